"""What holds a destination up: an operator's pause, an open circuit. Every process reads it."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from node.model.records import Circuit, Outlet
from node.store.database import Database
from node.store.tables import outlet


class Outlets:
    """The owner of table ``outlet``.

    Parameters
    ----------
    database : Database
        Where the rows are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, Outlet]:
        """Return every destination that anything was ever noted about."""
        with self._database.read() as connection:
            return {row.destination: _outlet(row) for row in connection.execute(sa.select(outlet))}

    def get(self, destination: str) -> Outlet:
        """Return what holds one destination up."""
        return self.all().get(destination, Outlet())

    def set_paused(self, destination: str, paused: bool, now: float) -> None:
        """Pause a destination, or let it go on."""
        self._change_outlet(destination, lambda known: Outlet(paused, known.circuit), now)

    def change_circuit(
        self, destination: str, change: Callable[[Circuit], Circuit], now: float
    ) -> Circuit:
        """Replace the circuit by what `change` makes of it, alone among all processes."""
        return self._change_outlet(
            destination, lambda known: Outlet(known.paused, change(known.circuit)), now
        ).circuit

    def move_due_times(self, connection: sa.Connection, seconds: float) -> None:
        """Let what waits be due as far ahead as it was before the clock was set."""
        connection.execute(
            sa.update(outlet).where(outlet.c.until > 0).values(until=outlet.c.until + seconds)
        )

    def _change_outlet(
        self, destination: str, change: Callable[[Outlet], Outlet], now: float
    ) -> Outlet:
        query = sa.select(outlet).where(outlet.c.destination == destination).with_for_update()
        with self._database.write() as connection:
            first = self._database.insert(outlet).on_conflict_do_nothing()
            connection.execute(first, {"destination": destination} | _values(Outlet(), now))
            known = _outlet(connection.execute(query).one())
            changed = change(known)
            if changed != known:
                connection.execute(
                    sa.update(outlet)
                    .where(outlet.c.destination == destination)
                    .values(_values(changed, now))
                )
        return changed


def _outlet(row: sa.Row[Any]) -> Outlet:
    circuit = Circuit(row.circuit, row.failures, row.openings, row.probes, row.until, row.reason)
    return Outlet(row.paused, circuit)


def _values(known: Outlet, now: float) -> dict[str, Any]:
    circuit = asdict(known.circuit)
    circuit["circuit"] = circuit.pop("state")
    return circuit | {"paused": known.paused, "changed_at": now}
