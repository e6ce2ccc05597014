"""What is due at a time of day, moved along when somebody sets the clock."""

from node.store.database import Database
from node.store.deliveries import commitment


class Clock:
    """Lets every owner move what is due along, in one transaction.

    Parameters
    ----------
    database : Database
        Where the rows are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def move_due_times(self, seconds: float) -> None:
        """Let everything be due as far ahead as it was before the clock was set.

        What was noted in the past is left as it is: that is what the clock said then.
        """
        with self._database.write() as connection:
            commitment.move_due_times(connection, seconds)
