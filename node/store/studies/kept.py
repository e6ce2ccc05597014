"""Why a series must stay on the disk, decided from what its rows say."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from node.model.failures import FailureKind
from node.model.states import CommitmentState, DeliveryState, RevisionState

_FINAL: Final = (RevisionState.DONE, RevisionState.UNUSABLE)


@dataclass(frozen=True, slots=True)
class Member:
    """An instance of a unit, received or derived."""

    sop_instance_uid: str
    study_instance_uid: str
    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class DeliveryStanding:
    """Where a member stands at one destination."""

    sop_instance_uid: str
    destination: str
    state: DeliveryState
    commitment: CommitmentState | None


@dataclass(frozen=True, slots=True)
class RetainedSeries:
    """A received series, and what was made of it: it is kept or deleted as a whole.

    Attributes
    ----------
    settled : bool
        Every instance belongs to a revision.
    summarised : bool
        No report of what was recognised of its study is due.
    revisions : tuple of (RevisionState, FailureKind or None)
        State of each, and what went wrong.
    quarantined : int
        What is held until somebody decides, and instances kept apart from their namesakes.
    last_at : float
        When anything last happened to it.
    """

    settled: bool
    summarised: bool
    revisions: tuple[tuple[RevisionState, FailureKind | None], ...]
    quarantined: int
    members: tuple[Member, ...]
    standings: tuple[DeliveryStanding, ...]
    last_at: float


def kept_because(unit: RetainedSeries, before: float, committing: Collection[str]) -> str:
    """Return why a series must stay; '' where it may go.

    Parameters
    ----------
    before : float
        It may go if nothing has happened to it since.
    committing : collection of str
        The destinations that have to have committed to it.
    """
    if not unit.settled or not unit.revisions:
        return "it is still coming in"
    if not unit.summarised or any(state not in _FINAL for state, _ in unit.revisions):
        return "it is being worked on"
    if any(kind is FailureKind.ROUTING for _, kind in unit.revisions):
        return "nobody knows where it has to go"
    if unit.quarantined:
        return "something of it is in quarantine"
    if not unit.members:
        return "nothing of it is left"
    if unsent := _unsent(unit, committing):
        return unsent
    if unit.last_at > before:
        return "its time has not passed"
    return ""


def _unsent(unit: RetainedSeries, committing: Collection[str]) -> str:
    asked_for = {standing.sop_instance_uid for standing in unit.standings}
    if any(member.sop_instance_uid not in asked_for for member in unit.members):
        return "no destination has it"
    for standing in unit.standings:
        if standing.state != DeliveryState.DELIVERED:
            return f"{standing.destination} does not have all of it"
        if standing.destination in committing and standing.commitment != CommitmentState.COMMITTED:
            return f"{standing.destination} has not committed to all of it"
    return ""
