"""The quarantine's rows: what is held, and what an operator decides about it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from node.errors import DecisionError
from node.model.records import REVISION, Conflict, FailedRevision, Held, Hold
from node.model.states import REVISION_AGAIN, HoldState, RevisionState
from node.store.ledger import Event, Happening, Ledger
from node.store.rows import conflict_of
from node.store.tables import (
    commitment_part,
    conflict,
    delivery,
    instance,
    quarantine,
    revision,
    series,
)

OPEN: Final[tuple[HoldState, ...]] = (HoldState.HELD,)
TOLD: Final[dict[HoldState, Event]] = {
    HoldState.REPLAYED: "replayed",
    HoldState.RELEASED: "released",
    HoldState.DISCARDING: "discarded",
}


def went_wrong() -> list[sa.ColumnElement[bool]]:
    """Select revisions that ended as somebody ought to look at."""
    return [revision.c.state == RevisionState.UNUSABLE, revision.c.failure_kind.is_not(None)]


class Holds(Ledger):
    """The catalog as the quarantine sees it."""

    def failed_revisions(self) -> list[FailedRevision]:
        """Return the revisions that went wrong and are not held (again)."""
        held = sa.exists().where(
            quarantine.c.series_instance_uid == revision.c.series_instance_uid,
            quarantine.c.what == sa.literal(REVISION) + sa.cast(revision.c.revision, sa.String),
            quarantine.c.state != "replayed",
        )
        query = (
            sa.select(
                series.c.study_instance_uid,
                revision.c.series_instance_uid,
                revision.c.revision,
                revision.c.failure_kind,
                revision.c.reason,
            )
            .join(series, series.c.series_instance_uid == revision.c.series_instance_uid)
            .where(*went_wrong(), ~held)
        )
        with self._read() as connection:
            return [FailedRevision(**row._mapping) for row in connection.execute(query)]

    def unheld_conflicts(self) -> list[Conflict]:
        """Return what came under a known UID with other bytes and is not held (again)."""
        what = conflict.c.sop_instance_uid + sa.literal(".") + conflict.c.sha256
        held = sa.exists().where(
            quarantine.c.kind == "conflict",
            quarantine.c.what == what,
            quarantine.c.state.in_(("held", "discarding")),
        )
        with self._read() as connection:
            return [
                conflict_of(row)
                for row in connection.execute(sa.select(conflict).where(~held)).mappings()
            ]

    def unheld_parked(self) -> list[tuple[str, str, str, str]]:
        """Return (study, series, destination, reason) of parked deliveries that are not held.

        What was decided counts for what was parked then, not for what was since.
        """
        held = sa.exists().where(
            quarantine.c.kind == "delivery",
            quarantine.c.series_instance_uid == instance.c.series_instance_uid,
            quarantine.c.what == delivery.c.destination,
            quarantine.c.state != "replayed",
            sa.or_(
                quarantine.c.state.in_(("held", "discarding")),
                delivery.c.changed_at <= quarantine.c.changed_at,
            ),
        )
        series_of = (
            instance.c.study_instance_uid,
            instance.c.series_instance_uid,
            delivery.c.destination,
        )
        query = (
            sa.select(*series_of, sa.func.min(delivery.c.reason))
            .join(instance, instance.c.sop_instance_uid == delivery.c.sop_instance_uid)
            .where(delivery.c.state == "parked", ~held)
            .group_by(*series_of)
        )
        with self._read() as connection:
            return [tuple(row) for row in connection.execute(query)]

    def parked_paths(self, series_instance_uid: str, destination: str) -> list[Path]:
        """Return the files of a series that are parked at a destination."""
        query = (
            sa.select(instance.c.path)
            .join(delivery, delivery.c.sop_instance_uid == instance.c.sop_instance_uid)
            .where(
                instance.c.series_instance_uid == series_instance_uid,
                delivery.c.destination == destination,
                delivery.c.state == "parked",
            )
        )
        with self._read() as connection:
            return [Path(path) for path in connection.execute(query).scalars()]

    def conflict_paths(self, hold: Hold) -> list[Path]:
        """Return where the other bytes of a conflict are; nothing where they are gone."""
        query = sa.select(conflict.c.path).where(*_other(hold))
        with self._read() as connection:
            return [Path(path) for path in connection.execute(query).scalars()]

    def hold(self, hold: Hold, now: float) -> None:
        """Note that something is held, or held again after it was run again in vain."""
        row = {
            "id": hold.id,
            "kind": hold.kind,
            "study_instance_uid": hold.study_instance_uid,
            "series_instance_uid": hold.series_instance_uid,
            "what": hold.what,
            "reason": hold.reason,
            "folder": hold.folder.as_posix(),
            "state": "held",
            "rounds": 0,
            "held_at": now,
            "changed_at": now,
        }
        again = {"state": "held", "reason": hold.reason, "changed_at": now}
        with self._write() as connection:
            connection.execute(
                self._insert(quarantine).on_conflict_do_update(
                    index_elements=[quarantine.c.id], set_=again
                ),
                row,
            )
            self._tell(connection, [_happening("quarantined", hold)], now)

    def held(self, states: Sequence[HoldState] = OPEN) -> list[Held]:
        """Return what is in these states, the oldest first."""
        query = (
            sa.select(quarantine)
            .where(quarantine.c.state.in_(states))
            .order_by(quarantine.c.held_at, quarantine.c.id)
        )
        with self._read() as connection:
            return [_held_of(row) for row in connection.execute(query)]

    def spent_deliveries(self) -> list[Held]:
        """Return what is held for parked deliveries of which none is parked any more."""
        parked = sa.exists().where(
            delivery.c.state == "parked",
            delivery.c.destination == quarantine.c.what,
            delivery.c.sop_instance_uid == instance.c.sop_instance_uid,
            instance.c.series_instance_uid == quarantine.c.series_instance_uid,
        )
        query = sa.select(quarantine).where(
            quarantine.c.kind == "delivery", quarantine.c.state == "held", ~parked
        )
        with self._read() as connection:
            return [_held_of(row) for row in connection.execute(query)]

    def held_as(self, hold_id: str) -> Held | None:
        """Return one thing that is or was held, or None."""
        query = sa.select(quarantine).where(quarantine.c.id == hold_id)
        with self._read() as connection:
            row = connection.execute(query).one_or_none()
        return _held_of(row) if row is not None else None

    def rounds(self, series_instance_uid: str, number: int) -> int:
        """Return how often a revision was run again: from the quarantine, or all the same."""
        held = sa.select(sa.func.max(quarantine.c.rounds)).where(
            *_same_revision(series_instance_uid, number)
        )
        others = sa.select(revision.c.rounds).where(
            revision.c.series_instance_uid == series_instance_uid, revision.c.revision == number
        )
        with self._read() as connection:
            counts = (connection.execute(query).scalar() or 0 for query in (held, others))
            return sum(map(int, counts))

    def decide(self, held: Held, state: HoldState, now: float) -> None:
        """Note what is decided; ledger and row are written together.

        Raises
        ------
        DecisionError
            If it is no longer as it was when that was decided.
        """
        with self._write() as connection:
            self._move(connection, held, state, now)
            if state == "discarded" and held.hold.kind == "conflict":
                connection.execute(sa.delete(conflict).where(*_other(held.hold)))
            if state in TOLD:
                self._tell(connection, [_happening(TOLD[state], held.hold)], now)

    def start_again(self, held: Held, now: float) -> None:
        """Put a revision back to where it was complete: the sweep queues it, as a new round.

        Raises
        ------
        DecisionError
            If it is no longer held.
        """
        hold = held.hold
        with self._write() as connection:
            self._move(connection, held, HoldState.REPLAYED, now)
            connection.execute(
                sa.update(quarantine)
                .where(*_same_revision(hold.series_instance_uid, hold.revision))
                .values(rounds=quarantine.c.rounds + 1)
            )
            connection.execute(
                sa.update(revision)
                .where(
                    revision.c.series_instance_uid == hold.series_instance_uid,
                    revision.c.revision == hold.revision,
                )
                .values(state=REVISION_AGAIN.to, reason="", failure_kind=None)
            )
            self._tell(connection, [_happening("replayed", hold)], now)

    def take_other(self, held: Held, transfer_syntax_uid: str, now: float) -> None:
        """Let the other bytes of a conflict take the place of the first ones, in one step.

        The first ones are kept apart in their turn, unless they were deleted. The series gets its
        next revision, and the instance is sent anew to wherever the rules say; what a destination
        still answers about the first ones is not about these. Where the first ones were made here,
        the others are an instance that was received, of a series that begins with it.

        Raises
        ------
        DecisionError
            If either is no longer there.
        """
        with self._write() as connection:
            self._move(connection, held, HoldState.RELEASED, now)
            other = connection.execute(sa.select(conflict).where(*_other(held.hold))).one()
            uid = other.sop_instance_uid
            of_instance = instance.c.sop_instance_uid == uid
            first = connection.execute(sa.select(instance).where(of_instance)).one()
            connection.execute(sa.delete(conflict).where(*_other(held.hold)))
            if first.deleted_at is None:
                connection.execute(
                    self._insert(conflict).on_conflict_do_nothing(),
                    {column.name: first._mapping[column.name] for column in conflict.columns},
                )
            connection.execute(
                sa.delete(commitment_part).where(commitment_part.c.sop_instance_uid == uid)
            )
            connection.execute(
                sa.update(instance).where(of_instance).values(
                    {name: other._mapping[name] for name in _SWAPPED}
                    | {"transfer_syntax_uid": transfer_syntax_uid, "received_at": now}
                    | {"association_id": None, "revision": None, "deleted_at": None}
                    | {"origin": "received"}
                )
            )  # fmt: skip
            connection.execute(sa.delete(delivery).where(delivery.c.sop_instance_uid == uid))
            again = {"unsettled": True, "last_instance_at": now, "deleted_at": None}
            begun = {
                "series_instance_uid": first.series_instance_uid,
                "study_instance_uid": first.study_instance_uid,
                "instance_count": 1,
                "revision": 0,
                "first_instance_at": now,
            }
            connection.execute(
                self._insert(series).on_conflict_do_update(
                    index_elements=[series.c.series_instance_uid], set_=again
                ),
                begun | again,
            )
            self._tell(connection, [_happening("released", held.hold)], now)

    def _move(self, connection: sa.Connection, held: Held, state: HoldState, now: float) -> None:
        moved = connection.execute(
            sa.update(quarantine)
            .where(quarantine.c.id == held.hold.id, quarantine.c.state == held.state)
            .values(state=state, changed_at=now)
            .returning(quarantine.c.id)
        )
        if moved.one_or_none() is None:
            raise DecisionError(f"{held.hold.id} is no longer {held.state}: look at it again")


_SWAPPED = ("path", "size", "sha256", "calling_ae")


def _same_revision(series_instance_uid: str, number: int) -> list[sa.ColumnElement[bool]]:
    """Return the rows of one revision: it may be held as several kinds, which count together."""
    return [
        quarantine.c.series_instance_uid == series_instance_uid,
        quarantine.c.what == f"{REVISION}{number}",
    ]


def _other(hold: Hold) -> list[sa.ColumnElement[bool]]:
    uid, _, sha256 = hold.what.rpartition(".")
    return [conflict.c.sop_instance_uid == uid, conflict.c.sha256 == sha256]


def _happening(event: Event, hold: Hold) -> Happening:
    detail: dict[str, Any] = {"hold": hold.id, "kind": hold.kind, "what": hold.what}
    if hold.kind == "conflict":
        subject, _, other = hold.what.rpartition(".")
        detail["sha256" if event == "released" else "other_sha256"] = other
        return Happening(event, hold.study_instance_uid, subject, detail)
    return Happening(event, hold.study_instance_uid, hold.series_instance_uid, detail)


def _held_of(row: sa.Row[Any]) -> Held:
    hold = Hold(row.kind, row.study_instance_uid, row.series_instance_uid, row.what, row.reason)
    return Held(hold, row.state, row.rounds, row.held_at)
