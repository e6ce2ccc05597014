"""The catalog: every row of the node, one method for one transaction."""

from collections.abc import Callable
from functools import cached_property

from node.store.audits import Audits
from node.store.clock import ClockChanges
from node.store.commitment_reports import CommitmentReports
from node.store.custody import Custody
from node.store.deliveries import Deliveries
from node.store.dispatches import Dispatches
from node.store.due_clock import DueClock
from node.store.editions import Editions
from node.store.holds import Holds
from node.store.orders import Orders
from node.store.outlets import Outlets
from node.store.promises import Promises
from node.store.pruning import Pruning
from node.store.reception import Reception
from node.store.rejections import Rejections
from node.store.results import Results
from node.store.retention import Retention
from node.store.revisions import Revisions
from node.store.rounds import Rounds
from node.store.snapshots import Snapshots
from node.store.work import Work


class Catalog(
    Reception,
    Revisions,
    Results,
    Editions,
    Deliveries,
    Dispatches,
    Outlets,
    Orders,
    Rejections,
    CommitmentReports,
    Promises,
    Holds,
    Rounds,
    Retention,
    Pruning,
    ClockChanges,
    Audits,
    Custody,
):
    """All tables behind one URL.

    Every method is one transaction, or several where it may change very many rows, and is durable
    when it returns. All of them raise
    `node.errors.StoreError` where the database cannot be read or written. Safe to share between
    threads; every process makes its own.

    Parameters
    ----------
    url : str
        ``sqlite:///path`` or ``postgresql+psycopg://…``; call `upgrade` once before use.
    clock : callable, optional
        Seconds since the epoch, in place of the database's clock, by which work is due.
    """

    def __init__(self, url: str, clock: Callable[[], float] | None = None) -> None:
        super().__init__(url)
        self.work = Work(self, DueClock(clock))

    @cached_property
    def snapshots(self) -> Snapshots:
        """What the headers of each series say."""
        return Snapshots(self)
