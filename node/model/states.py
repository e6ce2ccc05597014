"""Every state of a row, and every move from one to another. Rows change by these moves alone.

Whoever writes a state asks for a `Move`, whose UPDATE changes only rows that stand where the move
begins; where that is every state there is, or the row was read and locked in the same transaction,
it needs no condition. A `CommitmentState` is empty before anything is asked, and again where its
delivery moves away from what was asked about.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, TypeVar

State = TypeVar("State", bound=StrEnum)


@dataclass(frozen=True)
class Move(Generic[State]):
    """From which states a row may go to which.

    Attributes
    ----------
    of : collection of State
        Rows in any other state stay as they are.
    to : State
    """

    of: Collection[State]
    to: State


class Origin(StrEnum):
    """Where an instance came from."""

    RECEIVED = "received"
    DERIVED = "derived"


class Recorded(StrEnum):
    """What became of an instance that was to be recorded; see `Studies.record`."""

    NEW = "new"
    REPEATED = "repeated"
    CONFLICT = "conflict"
    DELETED = "deleted"


class RevisionState(StrEnum):
    """Where a revision of a series stands."""

    COMPLETE = "complete"
    """It was judged whole: it is to be recognised and routed, or that is at work."""
    QUEUED = "queued"
    """It was routed, and is to be segmented, or that is at work."""
    DONE = "done"
    UNUSABLE = "unusable"
    """It has no result; the reason and its kind stand beside it."""


_ANY_REVISION: Final = tuple(RevisionState)  # a step that runs again after a crash ends as before
REVISION_ROUTED: Final = Move(_ANY_REVISION, RevisionState.QUEUED)
"""Its images are on their way, and a segmentation follows."""
REVISION_DONE: Final = Move(_ANY_REVISION, RevisionState.DONE)
REVISION_UNUSABLE: Final = Move(_ANY_REVISION, RevisionState.UNUSABLE)
REVISION_AGAIN: Final = Move((RevisionState.DONE, RevisionState.UNUSABLE), RevisionState.COMPLETE)
"""An operator has it run again."""
REVISION_REPLAYED: Final = Move(_ANY_REVISION, RevisionState.COMPLETE)
"""An operator has what is held of it run again, also while an earlier round is at work."""

REVISION_MOVES: Final = (
    REVISION_ROUTED,
    REVISION_DONE,
    REVISION_UNUSABLE,
    REVISION_AGAIN,
    REVISION_REPLAYED,
)


class DeliveryState(StrEnum):
    """Where one instance stands at one destination."""

    PENDING = "pending"
    DELIVERED = "delivered"
    PARKED = "parked"
    """Only a person can help; the reason stands beside it."""
    PAUSED = "paused"
    CANCELLED = "cancelled"


_NOT_SENT: Final = (DeliveryState.PENDING, DeliveryState.PAUSED, DeliveryState.CANCELLED)
DELIVERY_TAKEN: Final = Move(_NOT_SENT, DeliveryState.DELIVERED)
"""The destination has it: also where it was paused or cancelled while it was on the line."""
DELIVERY_REFUSED: Final = Move((DeliveryState.PENDING,), DeliveryState.PARKED)
DELIVERY_FAILED: Final = Move((DeliveryState.PENDING,), DeliveryState.PENDING)
"""An attempt failed; the next one follows."""
DELIVERY_PAUSED: Final = Move((DeliveryState.PENDING,), DeliveryState.PAUSED)
DELIVERY_RESUMED: Final = Move((DeliveryState.PAUSED,), DeliveryState.PENDING)
DELIVERY_CANCELLED: Final = Move(
    (DeliveryState.PENDING, DeliveryState.PAUSED, DeliveryState.PARKED), DeliveryState.CANCELLED
)
DELIVERY_UNPARKED: Final = Move((DeliveryState.PARKED,), DeliveryState.PENDING)
DELIVERY_REPLAYED: Final = Move(
    (DeliveryState.PARKED, DeliveryState.CANCELLED), DeliveryState.PENDING
)
DELIVERY_SENT_AGAIN: Final = Move(
    (DeliveryState.PARKED, DeliveryState.CANCELLED, DeliveryState.DELIVERED), DeliveryState.PENDING
)
DELIVERY_COMMITTED: Final = Move(tuple(DeliveryState), DeliveryState.DELIVERED)
"""The destination answers for it: however late, it has it."""
DELIVERY_NOT_COMMITTED: Final = Move((DeliveryState.DELIVERED,), DeliveryState.PARKED)
DELIVERY_LOST_THERE: Final = Move((DeliveryState.DELIVERED,), DeliveryState.PENDING)
"""The destination does not hold what it took: it is sent again."""

DELIVERY_MOVES: Final = (
    DELIVERY_TAKEN,
    DELIVERY_REFUSED,
    DELIVERY_FAILED,
    DELIVERY_PAUSED,
    DELIVERY_RESUMED,
    DELIVERY_CANCELLED,
    DELIVERY_UNPARKED,
    DELIVERY_REPLAYED,
    DELIVERY_SENT_AGAIN,
    DELIVERY_COMMITTED,
    DELIVERY_NOT_COMMITTED,
    DELIVERY_LOST_THERE,
)


class CommitmentState(StrEnum):
    """How far a delivered instance is committed to; no state: not asked since it was sent last."""

    ASKED = "asked"
    """In an open request; ``commitment_due`` is when to ask again."""
    AGAIN = "again"
    """No request came through; ask at ``commitment_due``."""
    COMMITTED = "committed"


COMMITMENT_ASKED: Final = Move(
    (CommitmentState.ASKED, CommitmentState.AGAIN), CommitmentState.ASKED
)
COMMITMENT_AGAIN: Final = Move((CommitmentState.ASKED,), CommitmentState.AGAIN)
COMMITMENT_GIVEN: Final = Move(tuple(CommitmentState), CommitmentState.COMMITTED)

COMMITMENT_MOVES: Final = (COMMITMENT_ASKED, COMMITMENT_AGAIN, COMMITMENT_GIVEN)


class RequestState(StrEnum):
    """Where one of our requests for storage commitment stands."""

    NEW = "new"
    ASKED = "asked"
    FAILED = "failed"
    ANSWERED = "answered"


REQUEST_ASKED: Final = Move((RequestState.NEW,), RequestState.ASKED)
REQUEST_FAILED: Final = Move(tuple(RequestState), RequestState.FAILED)
REQUEST_ANSWERED: Final = Move(tuple(RequestState), RequestState.ANSWERED)

REQUEST_MOVES: Final = (REQUEST_ASKED, REQUEST_FAILED, REQUEST_ANSWERED)


class PromiseState(StrEnum):
    """Where a report stands that another application entity is owed."""

    OWED = "owed"
    REPORTED = "reported"
    PARKED = "parked"


PROMISE_OWED: Final = Move(tuple(PromiseState), PromiseState.OWED)
PROMISE_REPORTED: Final = Move(tuple(PromiseState), PromiseState.REPORTED)
PROMISE_PARKED: Final = Move(tuple(PromiseState), PromiseState.PARKED)

PROMISE_MOVES: Final = (PROMISE_OWED, PROMISE_REPORTED, PROMISE_PARKED)


class HoldState(StrEnum):
    """Where something stands that is or was held in the quarantine."""

    HELD = "held"
    REPLAYED = "replayed"
    RELEASED = "released"
    DISCARDING = "discarding"
    """Its files may not be gone yet."""
    DISCARDED = "discarded"


HOLD_AGAIN: Final = Move(tuple(HoldState), HoldState.HELD)
"""It was run again in vain, or the same went wrong once more."""
HOLD_REPLAYED: Final = Move((HoldState.HELD,), HoldState.REPLAYED)
HOLD_RELEASED: Final = Move((HoldState.HELD,), HoldState.RELEASED)
HOLD_DISCARDING: Final = Move((HoldState.HELD,), HoldState.DISCARDING)
HOLD_DISCARDED: Final = Move((HoldState.DISCARDING,), HoldState.DISCARDED)

HOLD_MOVES: Final = (
    HOLD_AGAIN,
    HOLD_REPLAYED,
    HOLD_RELEASED,
    HOLD_DISCARDING,
    HOLD_DISCARDED,
)


class WorkState(StrEnum):
    """Where a piece of work that is due stands; see `node.store.work`."""

    WAITING = "waiting"
    """For its time, and for its turn."""
    CLAIMED = "claimed"
    """A process is at it, until its lease ends."""
    DEAD = "dead"
    """It raised, or killed its process too often: its kind decides what follows."""
    DONE = "done"


AT_WORK: Final = (WorkState.CLAIMED, WorkState.DEAD)
"""Whoever has the serial of one of these may say how it ends."""

WORK_ADDED: Final = Move((WorkState.DONE,), WorkState.WAITING)
"""It is asked for again."""
WORK_HASTENED: Final = Move((WorkState.WAITING, WorkState.DONE), WorkState.WAITING)
"""It is to be tried at once; who is at it just now looks at its end what is left to do."""
WORK_CLAIMED: Final = Move((WorkState.WAITING,), WorkState.CLAIMED)
WORK_TAKEN_OVER: Final = Move(tuple(WorkState), WorkState.CLAIMED)
"""By the process that asks for it; whoever was at it is stale."""
WORK_LEASE_ENDED: Final = Move((WorkState.CLAIMED,), WorkState.WAITING)
WORK_LATER: Final = Move(AT_WORK, WorkState.WAITING)
WORK_PUT_OFF: Final = Move((WorkState.WAITING,), WorkState.WAITING)
"""Nobody would take it now: another of its lane was tried."""
WORK_DIED: Final = Move((WorkState.CLAIMED,), WorkState.DEAD)
WORK_UNBURIED: Final = Move((WorkState.DEAD,), WorkState.DEAD)
"""What should follow from its death failed, and is tried again."""
WORK_DONE: Final = Move(AT_WORK, WorkState.DONE)
WORK_EMPTIED: Final = Move(tuple(WorkState), WorkState.DONE)
"""Nothing is left to do of it: whoever is at it is stale."""

WORK_MOVES: Final = (
    WORK_ADDED,
    WORK_HASTENED,
    WORK_CLAIMED,
    WORK_TAKEN_OVER,
    WORK_LEASE_ENDED,
    WORK_LATER,
    WORK_PUT_OFF,
    WORK_DIED,
    WORK_UNBURIED,
    WORK_DONE,
    WORK_EMPTIED,
)


class CircuitState(StrEnum):
    """Whether a destination is talked to; `node.deliver.breaker` moves it."""

    CLOSED = "closed"
    OPEN = "open"
