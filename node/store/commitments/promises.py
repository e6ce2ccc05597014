"""What others have asked us to commit to, until they have been told what we hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from node.model.commitment import Reference
from node.model.events import EventKind, LedgerEvent
from node.model.records import StoredInstance
from node.model.states import (
    PROMISE_OWED,
    PROMISE_PARKED,
    PROMISE_REPORTED,
    Move,
    PromiseState,
)
from node.model.work import Task, TaskKey, WorkKind
from node.store.database import Database
from node.store.ledger import Ledger
from node.store.pruning import Spent, prune
from node.store.tables import commitment_promise
from node.store.work.claims import Claims
from node.store.work.work import Work

FIRST_REPORT_S: Final = 600.0
"""How long the process that was asked may take to report, with all files to be read before."""


@dataclass(frozen=True, slots=True)
class Promise:
    """One request of another application entity; when to report is a piece of work."""

    transaction_uid: str
    calling_ae: str
    wanted: tuple[Reference, ...]
    state: PromiseState
    reason: str


class Promises:
    """The owner of table ``commitment_promise``.

    Parameters
    ----------
    database : Database
        Where the rows are.
    ledger, work, claims
        Owners of what is written together with it.
    """

    def __init__(self, database: Database, ledger: Ledger, work: Work, claims: Claims) -> None:
        self._database = database
        self._ledger = ledger
        self._work = work
        self._claims = claims

    def promise(
        self,
        transaction_uid: str,
        calling_ae: str,
        wanted: Sequence[Reference],
        holder: str,
        now: float,
    ) -> Task | None:
        """Keep a request; when this returns, a report is owed, whatever is killed.

        Parameters
        ----------
        holder : str
            Name of the process that was asked: it has the association, and reports first.

        Returns
        -------
        Task or None
            The report, claimed by `holder`; whoever was at an earlier one is stale, for the same
            request again is owed a report again. None where the Transaction UID is in use for
            other instances.
        """
        listed = [[reference.sop_class_uid, reference.sop_instance_uid] for reference in wanted]
        key = {"transaction_uid": transaction_uid, "calling_ae": calling_ae}
        owed = {"state": PROMISE_OWED.to, "reason": "", "asked_at": now}
        with self._database.write() as connection:
            known = connection.execute(
                sa.select(commitment_promise.c.wanted).where(_is(transaction_uid, calling_ae))
            ).one_or_none()
            if known is not None and known.wanted != listed:
                return None
            asked = self._database.insert(commitment_promise).values(**key, wanted=listed, **owed)
            connection.execute(asked.on_conflict_do_update(index_elements=list(key), set_=owed))
            of = TaskKey(WorkKind.REPORT, calling_ae, transaction_uid)
            return self._claims.claim_at_once(connection, of, holder, FIRST_REPORT_S)

    def get(self, transaction_uid: str, calling_ae: str) -> Promise | None:
        """Return one request.

        Parameters
        ----------
        transaction_uid : str
        calling_ae : str
            Who asked.

        Returns
        -------
        Promise or None
        """
        query = sa.select(commitment_promise).where(_is(transaction_uid, calling_ae))
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return _promise_of(row) if row is not None else None

    def park(self, task: Task, reason: str) -> None:
        """Note that a report will not get through; the peer may ask again.

        Parameters
        ----------
        task : Task
            As it was claimed.
        reason : str
            For a person.
        """
        with self._database.write() as connection:
            _lock(connection, task)
            if self._work.done_in(connection, task):
                _put(connection, task, PROMISE_PARKED, reason)

    def keep(self, task: Task, committed: Sequence[StoredInstance], now: float) -> None:
        """Note that the peer has been told, and of what we have told it that we hold it.

        Nothing happens where the same was asked again meanwhile: that is owed its own report.

        Parameters
        ----------
        task : Task
            As it was claimed.
        committed : sequence of StoredInstance
            What the report said we hold.
        now : float
            Seconds since the epoch.
        """
        happened = [
            LedgerEvent(
                EventKind.COMMITTED,
                stored.study_instance_uid,
                stored.sop_instance_uid,
                {"for": task.lane, "sha256": stored.sha256, "transaction": task.key},
            )
            for stored in committed
        ]
        with self._database.write() as connection:
            _lock(connection, task)
            if self._work.done_in(connection, task):
                _put(connection, task, PROMISE_REPORTED, "")
                self._ledger.tell(connection, happened, now)

    def prune(self, before: float) -> int:
        """Remove requests of others that were over before a time; return how many.

        Parameters
        ----------
        before : float
            Seconds since the epoch.

        Returns
        -------
        int
        """
        return prune(self._database, _promises(before))


def _lock(connection: sa.Connection, task: Task) -> None:
    """Wait for who asks for the same again: it changes the promise first, and its report then."""
    query = sa.select(commitment_promise.c.state).where(_is(task.key, task.lane))
    connection.execute(query.with_for_update())


def _put(connection: sa.Connection, task: Task, move: Move[PromiseState], reason: str) -> None:
    connection.execute(
        sa.update(commitment_promise)
        .where(_is(task.key, task.lane), commitment_promise.c.state.in_(move.of))
        .values(state=move.to, reason=reason)
    )


def _is(transaction_uid: str, calling_ae: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        commitment_promise.c.transaction_uid == transaction_uid,
        commitment_promise.c.calling_ae == calling_ae,
    )


def _promise_of(row: sa.Row[Any]) -> Promise:
    return Promise(
        transaction_uid=row.transaction_uid,
        calling_ae=row.calling_ae,
        wanted=tuple(Reference(*reference) for reference in row.wanted),
        state=PromiseState(row.state),
        reason=row.reason,
    )


def _promises(before: float) -> Spent:
    """Say of which requests of others nothing is owed, nor was asked for again since."""
    over = (
        commitment_promise.c.state.in_((PromiseState.REPORTED, PromiseState.PARKED)),
        commitment_promise.c.asked_at < before,
    )
    return Spent(commitment_promise, over, over)
