"""Pieces of work that are due, as plain values; where one stands is a `WorkState`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from node.model.keys import RevisionKey
from node.model.states import WorkState


class WorkKind(StrEnum):
    """What is to be done."""

    RECOGNISE = "recognise"
    """Recognise a revision of a series and route it; key: a `RevisionKey`."""
    SEGMENT = "segment"
    """Segment a revision; key: a `RevisionKey`; detail: a `SegmentationPlan`."""
    SUMMARISE = "summarise"
    """Write what was recognised of a study as one report; key: the Study Instance UID."""
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

    kind: WorkKind
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
        How often this attempt has begun, but for what ended because its process was told to: all
        but one died with their process.
    due_at : float
        Seconds since the epoch, by the database's clock.
    since : float
        Since when it stands so, by the same clock; of what is claimed, since the claim.
    reason : str
        Why the last attempt failed.
    detail : mapping
        What the kind needs besides, as JSON.
    """

    kind: WorkKind
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


def recognition_of(revision: RevisionKey) -> TaskKey:
    """Return the work of recognising and routing a revision.

    Parameters
    ----------
    revision : RevisionKey

    Returns
    -------
    TaskKey
        In the one lane of its kind.
    """
    return TaskKey(WorkKind.RECOGNISE, "", str(revision))


def segmentation_of(revision: RevisionKey) -> TaskKey:
    """Return the work of segmenting a revision.

    Parameters
    ----------
    revision : RevisionKey

    Returns
    -------
    TaskKey
        In the one lane of its kind.
    """
    return TaskKey(WorkKind.SEGMENT, "", str(revision))


def summary_of(study_instance_uid: str) -> TaskKey:
    """Return the work of writing down what was recognised of a study.

    Parameters
    ----------
    study_instance_uid : str

    Returns
    -------
    TaskKey
        In the one lane of its kind.
    """
    return TaskKey(WorkKind.SUMMARISE, "", study_instance_uid)


@dataclass(frozen=True, slots=True)
class SegmentationPlan:
    """What the rules want of the results of a segmentation.

    Attributes
    ----------
    results_to : tuple of str
        Names of destinations.
    urgent : tuple of str
        Those of them that are served first.
    """

    results_to: tuple[str, ...] = ()
    urgent: tuple[str, ...] = ()

    def as_json(self) -> dict[str, list[str]]:
        """Return it as a row of work keeps it."""
        return {"results_to": list(self.results_to), "urgent": list(self.urgent)}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "SegmentationPlan":
        """Return what a row of work kept.

        Parameters
        ----------
        kept : mapping
            As `as_json` made it.

        Returns
        -------
        SegmentationPlan

        Raises
        ------
        KeyError
            If it is the detail of something else.
        """
        return cls(tuple(kept["results_to"]), tuple(kept["urgent"]))
