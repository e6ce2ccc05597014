"""The quarantine's rows: what is held, and what an operator decides about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from node.errors import DecisionError
from node.model.events import EventKind, LedgerEvent
from node.model.failures import HoldKind
from node.model.keys import HeldBytes, HeldRevision
from node.model.records import Held, Hold
from node.model.states import (
    HOLD_AGAIN,
    HOLD_DISCARDED,
    HOLD_DISCARDING,
    HOLD_RELEASED,
    HOLD_REPLAYED,
    DeliveryState,
    HoldState,
)
from node.store.commitments.requests import Requests
from node.store.database import Database
from node.store.deliveries.deliveries import Deliveries
from node.store.ledger import Ledger
from node.store.rows import held_of, hold_values
from node.store.studies.candidates import Candidate
from node.store.studies.instances import Instances
from node.store.studies.retention import series_of_unit
from node.store.studies.revisions import Revisions
from node.store.studies.series import Studies
from node.store.tables import delivery, instance, quarantine
from node.store.unheld import OPEN

HELD_ONLY: Final = (HoldState.HELD,)
TOLD: Final[dict[HoldState, EventKind]] = {
    HoldState.REPLAYED: EventKind.REPLAYED,
    HoldState.RELEASED: EventKind.RELEASED,
    HoldState.DISCARDING: EventKind.DISCARDED,
}
_MOVES: Final = {
    move.to: move for move in (HOLD_REPLAYED, HOLD_RELEASED, HOLD_DISCARDING, HOLD_DISCARDED)
}


@dataclass(frozen=True)
class Owners:
    """Owners of what is written together with a decision."""

    ledger: Ledger
    instances: Instances
    studies: Studies
    revisions: Revisions
    deliveries: Deliveries
    requests: Requests


class Holds:
    """The owner of table ``quarantine``.

    Parameters
    ----------
    database : Database
        Where the rows are.
    owners : Owners
        Of what is written together with a decision.
    """

    def __init__(self, database: Database, owners: Owners) -> None:
        self._database = database
        self._ledger = owners.ledger
        self._owners = owners

    def hold(self, hold: Hold, now: float) -> None:
        """Note that something is held, or held again after it was run again in vain.

        Parameters
        ----------
        hold : Hold
            What is held, why, and where its links are.
        now : float
            Seconds since the epoch.
        """
        again = {"state": HOLD_AGAIN.to, "reason": hold.reason, "changed_at": now}
        row = hold_values(hold) | again | {"rounds": 0, "held_at": now}
        with self._database.write() as connection:
            connection.execute(
                self._database.insert(quarantine).on_conflict_do_update(
                    index_elements=[quarantine.c.id], set_=again
                ),
                row,
            )
            self._ledger.tell(connection, [_event(EventKind.QUARANTINED, hold)], now)

    def held(self, states: Sequence[HoldState] = HELD_ONLY) -> list[Held]:
        """Return what is in these states, the oldest first.

        Parameters
        ----------
        states : sequence of HoldState
            Only these; those that wait for a decision if left out.

        Returns
        -------
        list of Held
        """
        query = (
            sa.select(quarantine)
            .where(quarantine.c.state.in_(states))
            .order_by(quarantine.c.held_at, quarantine.c.id)
        )
        with self._database.read() as connection:
            return [held_of(row) for row in connection.execute(query)]

    def spent_deliveries(self) -> list[Held]:
        """Return what is held for parked deliveries of which none is parked any more."""
        parked = sa.exists().where(
            delivery.c.state == DeliveryState.PARKED,
            delivery.c.destination == quarantine.c.destination,
            delivery.c.sop_instance_uid == instance.c.sop_instance_uid,
            instance.c.series_instance_uid == quarantine.c.series_instance_uid,
        )
        query = sa.select(quarantine).where(
            quarantine.c.kind == HoldKind.DELIVERY,
            quarantine.c.state == HoldState.HELD,
            ~parked,
        )
        with self._database.read() as connection:
            return [held_of(row) for row in connection.execute(query)]

    def get(self, hold_id: str) -> Held | None:
        """Return one thing that is or was held, or None.

        Parameters
        ----------
        hold_id : str
            As `radnode quarantine list` shows it.

        Returns
        -------
        Held or None
        """
        query = sa.select(quarantine).where(quarantine.c.id == hold_id)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return held_of(row) if row is not None else None

    def decide(self, held: Held, state: HoldState, now: float) -> None:
        """Note what is decided; ledger and row are written together.

        Parameters
        ----------
        held : Held
            As it was when that was decided.
        state : HoldState
            What becomes of it.
        now : float
            Seconds since the epoch.

        Raises
        ------
        DecisionError
            If it is no longer as it was when that was decided.
        """
        with self._database.write() as connection:
            self._move(connection, held, state, now)
            key = held.hold.key
            if state is HoldState.DISCARDED and isinstance(key, HeldBytes):
                self._owners.instances.drop(connection, key.sop_instance_uid, key.sha256)
            if state in TOLD:
                self._ledger.tell(connection, [_event(TOLD[state], held.hold)], now)

    def start_again(self, held: Held, now: float) -> None:
        """Put a revision back to where it was complete, to be recognised anew, as a new round.

        Parameters
        ----------
        held : Held
            A series; as it was when that was decided.
        now : float
            Seconds since the epoch.

        Raises
        ------
        DecisionError
            If it is no longer held.
        """
        hold = held.hold
        number = _revision_of(hold)
        with self._database.write() as connection:
            self._owners.revisions.replay(connection, hold.series_instance_uid, number)
            self._move(connection, held, HoldState.REPLAYED, now)
            connection.execute(
                sa.update(quarantine)
                .where(*_same_revision(hold.series_instance_uid, number))
                .values(rounds=quarantine.c.rounds + 1)
            )
            self._ledger.tell(connection, [_event(EventKind.REPLAYED, hold)], now)

    def begin_round(self, candidate: Candidate, send_again: bool, now: float) -> bool:
        """Have a revision run again, as a new round, whether something of it is held or not.

        What was held of it counts as run again. False where it is in work, or waits to be: then
        nothing is changed, and it is judged by the rules of the worker anyway.

        Parameters
        ----------
        send_again
            Send again, to where the rules say, what was delivered there before.
        """
        key = (candidate.series_instance_uid, candidate.revision)
        with self._database.write() as connection:
            begun = self._owners.revisions.begin_again(connection, *key, send_again=send_again)
            if begun is None:
                return False
            connection.execute(
                sa.update(quarantine)
                .where(*_same_revision(*key), quarantine.c.state.in_(HOLD_REPLAYED.of))
                .values(state=HOLD_REPLAYED.to, changed_at=now)
            )
            detail = {"revision": candidate.revision, "round": begun, "send_again": send_again}
            happened = LedgerEvent(
                EventKind.REPROCESSED,
                candidate.study_instance_uid,
                candidate.series_instance_uid,
                detail,
            )
            self._ledger.tell(connection, [happened], now)
        return True

    def folders_held(self, candidate: Candidate) -> list[Path]:
        """Return the folders in quarantine of a revision that is held no more.

        Parameters
        ----------
        candidate : Candidate
            The revision.

        Returns
        -------
        list of Path
            Relative to the storage root.
        """
        query = sa.select(quarantine.c.folder).where(
            *_same_revision(candidate.series_instance_uid, candidate.revision),
            quarantine.c.state == HoldState.REPLAYED,
        )
        with self._database.read() as connection:
            return [Path(folder) for folder in connection.execute(query).scalars()]

    def decided_folders(self, uid: str) -> list[Path]:
        """Return where a series stood in the quarantine, with what was made of it, if at all.

        Parameters
        ----------
        uid : str
            Of the series.

        Returns
        -------
        list of Path
            Relative to the storage root.
        """
        query = sa.select(quarantine.c.folder).where(
            quarantine.c.series_instance_uid.in_(series_of_unit(uid)),
            quarantine.c.state.not_in(OPEN),
        )
        with self._database.read() as connection:
            return [Path(folder) for folder in connection.execute(query).scalars()]

    def take_other(self, held: Held, transfer_syntax_uid: str, now: float) -> None:
        """Let the other bytes of a conflict take the place of the first ones, in one step.

        The first ones are kept apart in their turn, unless they were deleted. The series gets its
        next revision, and the instance is sent anew to wherever the rules say; what a destination
        still answers about the first ones is not about these. Where the first ones were made here,
        the others are an instance that was received, of a series that begins with it.

        Parameters
        ----------
        held : Held
            A conflict; as it was when that was decided.
        transfer_syntax_uid : str
            Of the other bytes.
        now : float
            Seconds since the epoch.

        Raises
        ------
        DecisionError
            If either is no longer there.
        """
        other = held.hold.key
        if not isinstance(other, HeldBytes):
            raise DecisionError(f"{held.hold.id} is no conflict: there are no other bytes")
        uid = other.sop_instance_uid
        owners = self._owners
        with self._database.write() as connection:
            self._move(connection, held, HoldState.RELEASED, now)
            first = owners.instances.take_place(
                connection, uid, other.sha256, transfer_syntax_uid, now
            )
            owners.deliveries.forget(connection, uid)
            owners.requests.forget(connection, uid)
            owners.studies.receive_again(connection, first, now)
            self._ledger.tell(connection, [_event(EventKind.RELEASED, held.hold)], now)

    def _move(self, connection: sa.Connection, held: Held, state: HoldState, now: float) -> None:
        move = _MOVES[state]
        moved = connection.execute(
            sa.update(quarantine)
            .where(
                quarantine.c.id == held.hold.id,
                quarantine.c.state == held.state,
                quarantine.c.state.in_(move.of),
            )
            .values(state=move.to, changed_at=now)
            .returning(quarantine.c.id)
        )
        if moved.one_or_none() is None:
            raise DecisionError(f"{held.hold.id} is no longer {held.state}: look at it again")


def _revision_of(hold: Hold) -> int:
    if not isinstance(hold.key, HeldRevision):
        raise DecisionError(f"{hold.id} is no revision of a series: there is nothing to run")
    return hold.key.revision


def _same_revision(series_instance_uid: str, number: int) -> list[sa.ColumnElement[bool]]:
    """Return the rows of one revision: it may be held as several kinds, which count together."""
    return [
        quarantine.c.series_instance_uid == series_instance_uid,
        quarantine.c.revision == number,
    ]


def _event(event: EventKind, hold: Hold) -> LedgerEvent:
    detail: dict[str, Any] = {"hold": hold.id, "kind": hold.kind, "what": str(hold.key)}
    subject = hold.series_instance_uid
    if isinstance(hold.key, HeldBytes):
        subject = hold.key.sop_instance_uid
        detail["sha256" if event is EventKind.RELEASED else "other_sha256"] = hold.key.sha256
    return LedgerEvent(event, hold.study_instance_uid, subject, detail)
