"""Pieces of work that are due, as plain values; where one stands is a `WorkState`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from node.model.states import WorkState


class Kind(StrEnum):
    """What is to be done."""

    DELIVER = "deliver"
    """Send a batch; lane: its destination."""
    ASK = "ask"
    """Ask a destination to commit; key: the Transaction UID of the request."""
    REPORT = "report"
    """Tell an application entity to what we commit; lane: its AE title."""
    PROBE = "probe"
    """Ask a destination whose circuit is open whether it is there; lane: the destination."""


@dataclass(frozen=True, slots=True)
class TaskKey:
    """One piece of work.

    Attributes
    ----------
    lane : str
        What is served in turn beside others of its kind: a destination, an AE title, or ''.
    key : str
        Which one in its lane.
    """

    kind: Kind
    lane: str
    key: str


@dataclass(frozen=True, slots=True)
class Task:
    """A piece of work as it stands.

    Attributes
    ----------
    serial : int
        Number of the claim; whoever was given an earlier one is stale, and changes nothing.
    attempts : int
        How many have failed: the longer is the wait for the next.
    begins : int
        How often this attempt has begun: all but one died with their process.
    due_at : float
        Seconds since the epoch, by the database's clock.
    since : float
        Since when it stands so, by the same clock; of what is claimed, since the claim.
    reason : str
        Why the last attempt failed.
    detail : mapping
        What the kind needs besides, as JSON.
    """

    kind: Kind
    lane: str
    key: str
    state: WorkState
    serial: int
    attempts: int = 0
    begins: int = 0
    urgent: bool = False
    due_at: float = 0.0
    since: float = 0.0
    reason: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def of(self) -> TaskKey:
        """Which piece of work it is."""
        return TaskKey(self.kind, self.lane, self.key)

    @property
    def job(self) -> str:
        """Id of the job that makes this attempt: known to the engine, it runs once.

        With the time of the claim: a catalog that was put back counts the same serials again.
        """
        claim = f"{self.serial}@{self.since:.3f}"
        return "/".join((self.kind, self.lane, self.key, claim))
