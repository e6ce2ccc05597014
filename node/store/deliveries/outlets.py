"""What holds a destination up: an operator's pause, an open circuit. Every process reads it.

That a circuit is open and that its destination is to be probed is one fact: both are written in
one transaction, the row of the circuit first.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import sqlalchemy as sa

from node.model.records import Circuit, Outlet
from node.model.states import CircuitState
from node.model.work import Task, TaskKey, WorkKind
from node.store.database import Database
from node.store.tables import outlet
from node.store.work.work import Work

Change = Callable[[Circuit], Circuit]
"""Makes the next circuit of one; pure, see `node.deliver.breaker`."""


def _at_once(_openings: int) -> float:
    return 0.0


class Outlets:
    """The owner of table ``outlet``.

    Parameters
    ----------
    database : Database
        Where the rows are.
    work
        Owner of what is written together with it.
    """

    def __init__(self, database: Database, work: Work) -> None:
        self._database = database
        self._work = work

    def all(self) -> dict[str, Outlet]:
        """Return every destination that anything was ever noted about."""
        with self._database.read() as connection:
            return {row.destination: _outlet(row) for row in connection.execute(sa.select(outlet))}

    def get(self, destination: str) -> Outlet:
        """Return what holds one destination up."""
        return self.all().get(destination, Outlet())

    def set_paused(self, destination: str, paused: bool, now: float) -> None:
        """Pause a destination, or let it go on."""
        with self._database.write() as connection:
            known = self._locked(connection, destination, now)
            _put(connection, destination, known, replace(known, paused=paused), now)

    def change_circuit(
        self,
        destination: str,
        change: Change,
        now: float,
        wait_s: Callable[[int], float] = _at_once,
    ) -> Circuit:
        """Replace the circuit by what `change` makes of it, alone among all processes.

        One that opens is probed after a wait; one that closes no more, and who is at a probe of
        it is stale.

        Parameters
        ----------
        wait_s : callable
            Takes how often it has opened; returns how long until it is probed, in seconds.
        """
        with self._database.write() as connection:
            before = self._locked(connection, destination, now)
            after = _changed(connection, destination, before, change, now)
            if before.circuit.state is after.state:
                return after
            if after.state is CircuitState.OPEN:
                self._work.add(connection, _probe(destination), wait_s=wait_s(after.openings))
            else:
                self._work.empty(connection, _probe(destination))
        return after

    def probe_at_once(self, destination: str, change: Change, now: float) -> None:
        """Let a destination whose circuit is open be probed now, beside a probe under way.

        That one may be so for minutes yet; it is stale, and changes nothing.
        """
        with self._database.write() as connection:
            known = self._locked(connection, destination, now)
            after = _changed(connection, destination, known, change, now)
            if after.state is CircuitState.OPEN:
                self._work.empty(connection, _probe(destination))
                self._work.add(connection, _probe(destination))

    def end_probe(
        self, probe: Task, change: Change, now: float, wait_s: Callable[[int], float]
    ) -> None:
        """Change the circuit as a probe found it; where that is stale, nothing.

        Parameters
        ----------
        wait_s : callable
            Takes how often it has opened; returns how long until the next probe, in seconds.
        """
        with self._database.write() as connection:
            known = self._locked(connection, probe.lane, now)
            if not self._work.is_held(connection, probe):
                return
            after = _changed(connection, probe.lane, known, change, now)
            if after.state is CircuitState.CLOSED:
                self._work.done_in(connection, probe)
                return
            attempts, wait = probe.attempts + 1, wait_s(after.openings)
            self._work.later_in(connection, probe, wait, attempts=attempts, reason=after.reason)

    def _locked(self, connection: sa.Connection, destination: str, now: float) -> Outlet:
        """Return what is noted about a destination; who would change it waits."""
        query = sa.select(outlet).where(outlet.c.destination == destination).with_for_update()
        first = self._database.insert(outlet).on_conflict_do_nothing()
        connection.execute(first, {"destination": destination} | _values(Outlet(), now))
        return _outlet(connection.execute(query).one())


def _probe(destination: str) -> TaskKey:
    return TaskKey(WorkKind.PROBE, destination, "")


def _changed(
    connection: sa.Connection, destination: str, known: Outlet, change: Change, now: float
) -> Circuit:
    """Replace the circuit of a destination; return the new one."""
    changed = replace(known, circuit=change(known.circuit))
    _put(connection, destination, known, changed, now)
    return changed.circuit


def _put(
    connection: sa.Connection, destination: str, known: Outlet, changed: Outlet, now: float
) -> None:
    if changed != known:
        connection.execute(
            sa.update(outlet)
            .where(outlet.c.destination == destination)
            .values(_values(changed, now))
        )


def _outlet(row: sa.Row[Any]) -> Outlet:
    return Outlet(row.paused, Circuit(row.circuit, row.failures, row.openings, row.reason))


def _values(known: Outlet, now: float) -> dict[str, Any]:
    circuit = asdict(known.circuit)
    circuit["circuit"] = circuit.pop("state")
    return circuit | {"paused": known.paused, "changed_at": now}
