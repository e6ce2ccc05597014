"""Having revisions run again, and what the rules said of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

from node.model.records import REVISION, Hold
from node.store.ledger import Happening, Ledger
from node.store.tables import ledger, quarantine, revision, series

Standing = Literal["through", "in work", "coming in", "deleted"]
"""Only what is through can be run again."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A series with its last revision, and whether that can be run again."""

    study_instance_uid: str
    series_instance_uid: str
    revision: int
    standing: Standing


class Rounds(Ledger):
    """The catalog as reprocessing sees it."""

    def candidates(self, uid: str | None, since: float | None = None) -> list[Candidate]:
        """Return the series that a UID names, of a study or series, and that changed since.

        Parameters
        ----------
        since
            Seconds since the epoch: of the last instance that came.
        """
        query = (
            sa.select(series, revision.c.state)
            .outerjoin(
                revision,
                (revision.c.series_instance_uid == series.c.series_instance_uid)
                & (revision.c.revision == series.c.revision),
            )
            .order_by(series.c.first_instance_at, series.c.series_instance_uid)
        )
        if uid is not None:
            query = query.where(
                sa.or_(
                    series.c.series_instance_uid == uid,
                    series.c.received_uid == uid,
                    series.c.study_instance_uid == uid,
                )
            )
        if since is not None:
            query = query.where(series.c.last_instance_at >= since)
        with self._read() as connection:
            return [
                Candidate(
                    row.study_instance_uid, row.series_instance_uid, row.revision, _standing(row)
                )
                for row in connection.execute(query)
            ]

    def begin_round(self, one: Candidate, send_again: bool, now: float) -> bool:
        """Put a revision back to where it was complete: the sweep queues it, as a new round.

        What was held of it in quarantine counts as run again. False where it is in work, or
        waits to be: then nothing is changed, and it is judged by the rules of the worker anyway.

        Parameters
        ----------
        send_again
            Send again, to where the rules say, what was delivered there before.
        """
        with self._write() as connection:
            begun = connection.execute(
                sa.update(revision)
                .where(
                    *_of(one.series_instance_uid, one.revision),
                    revision.c.state.in_(("done", "unusable")),
                )
                .values(
                    state="complete",
                    reason="",
                    failure_kind=None,
                    rounds=revision.c.rounds + 1,
                    send_again=send_again,
                )
                .returning(revision.c.rounds)
            ).one_or_none()
            if begun is None:
                return False
            connection.execute(
                sa.update(quarantine)
                .where(*_held(one), quarantine.c.state == "held")
                .values(state="replayed", changed_at=now)
            )
            detail = {"revision": one.revision, "round": begun.rounds, "send_again": send_again}
            told = Happening(
                "reprocessed", one.study_instance_uid, one.series_instance_uid, detail
            )
            self._tell(connection, [told], now)
        return True

    def folders_held(self, one: Candidate) -> list[Path]:
        """Return the folders in quarantine of a revision that is held no more."""
        query = sa.select(quarantine).where(*_held(one), quarantine.c.state == "replayed")
        with self._read() as connection:
            return [
                Hold(
                    row.kind,
                    row.study_instance_uid,
                    row.series_instance_uid,
                    row.what,
                    row.reason,
                ).folder
                for row in connection.execute(query)
            ]

    def is_sent_again(self, series_instance_uid: str, number: int) -> bool:
        """Tell whether what a revision delivered before is to be sent again in this round."""
        query = sa.select(revision.c.send_again).where(*_of(series_instance_uid, number))
        with self._read() as connection:
            return bool(connection.execute(query).scalar())

    def put_judged(self, series_instance_uid: str, detail: Mapping[str, Any], now: float) -> None:
        """Note in the ledger what the rules said of instances of a series."""
        with self._write() as connection:
            query = sa.select(series.c.study_instance_uid).where(
                series.c.series_instance_uid == series_instance_uid
            )
            study = connection.execute(query).scalar_one()
            told = Happening("judged", study, series_instance_uid, detail)
            self._tell(connection, [told], now)

    def judged(self, study_instance_uid: str) -> dict[str, list[dict[str, Any]]]:
        """Return what the rules said last of each series of a study.

        Of one that holds own output beside images, they said something of each.
        """
        query = (
            sa.select(ledger.c.subject, ledger.c.detail)
            .where(ledger.c.study_instance_uid == study_instance_uid, ledger.c.event == "judged")
            .order_by(ledger.c.number)
        )
        last: dict[str, dict[str, dict[str, Any]]] = {}
        with self._read() as connection:
            for subject, detail in connection.execute(query):
                last.setdefault(subject, {})[str(detail.get("of", ""))] = detail
        return {uid: list(told.values()) for uid, told in last.items()}


def _standing(row: sa.Row[Any]) -> Standing:
    if row.deleted_at is not None:
        return "deleted"
    if row.unsettled or row.state is None:
        return "coming in"
    return "through" if row.state in ("done", "unusable") else "in work"


def _of(series_instance_uid: str, number: int) -> Sequence[sa.ColumnElement[bool]]:
    return [revision.c.series_instance_uid == series_instance_uid, revision.c.revision == number]


def _held(one: Candidate) -> Sequence[sa.ColumnElement[bool]]:
    return [
        quarantine.c.series_instance_uid == one.series_instance_uid,
        quarantine.c.what == f"{REVISION}{one.revision}",
    ]
