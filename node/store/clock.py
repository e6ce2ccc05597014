"""What is due at a time of day, moved along when somebody sets the clock."""

import sqlalchemy as sa

from node.store.database import Database
from node.store.tables import commitment_promise, delivery, dispatch, outlet


class ClockChanges(Database):
    """The catalog as the worker sees it when its clock was set."""

    def move_due_times(self, seconds: float) -> None:
        """Let everything be due as far ahead as it was before the clock was set.

        What was noted in the past is left as it is: that is what the clock said then.
        """
        with self._write() as connection:
            connection.execute(
                sa.update(dispatch)
                .where(dispatch.c.state == "waiting")
                .values(next_at=dispatch.c.next_at + seconds)
            )
            connection.execute(
                sa.update(outlet).where(outlet.c.until > 0).values(until=outlet.c.until + seconds)
            )
            connection.execute(
                sa.update(delivery)
                .where(delivery.c.commitment_due.is_not(None))
                .values(commitment_due=delivery.c.commitment_due + seconds)
            )
            connection.execute(
                sa.update(commitment_promise).values(due_at=commitment_promise.c.due_at + seconds)
            )
