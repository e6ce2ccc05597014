"""Reports of storage commitment that are owed, to the addresses that `[[sources]]` gives.

The receiver reports first, on the association on which it was asked; what does not get through
there waits here, as work of the kind `report`.
"""

from collections.abc import Callable, Mapping

import structlog

from node.commitment.holding import held
from node.commitment.tell import tell
from node.deliver.association import Peer
from node.deliver.attempts import LONGEST_DELAY_S, next_delay
from node.errors import DeliveryError
from node.model.work import Task, WorkKind
from node.store.catalog import Catalog
from node.store.files import InstanceFiles

log = structlog.get_logger()


class OwedReports:
    """Tells peers to what we commit.

    Parameters
    ----------
    catalog, files
        What we hold.
    sources : mapping
        Where peers listen for reports, by AE title.
    clock : callable
        Seconds since the epoch.
    random : callable
        Draws from [0, 1).
    """

    def __init__(
        self,
        catalog: Catalog,
        files: InstanceFiles,
        sources: Mapping[str, Peer],
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._catalog = catalog
        self._files = files
        self._sources = sources
        self._clock = clock
        self._random = random

    def report(self, task: Task) -> None:
        """Make one attempt; one that does not get through is due again later, or given up.

        A peer that cannot be reached is called once: what else it is owed waits as well, and does
        not hold up the reports of others.
        """
        promise = self._catalog.promises.get(task.key, task.lane)
        if promise is None:
            self._catalog.work.done(task)
            return
        peer = self._sources.get(task.lane)
        if peer is None:
            self._give_up(task, f"[[sources]] has no address for {task.lane}")
            return
        holding = held(promise.wanted, self._catalog, self._files)
        try:
            refused = tell(peer, task.key, holding)
        except DeliveryError as error:
            self._later(task, str(error))
            self._catalog.work.put_off(WorkKind.REPORT, task.lane, self._wait_s, str(error))
            return
        if refused:
            self._later(task, refused)
        else:
            self._catalog.promises.keep(task, holding.committed, self._clock())
            log.info(
                "commitment given",
                to=task.lane,
                transaction=task.key,
                committed=len(holding.committed),
                failed=len(holding.failed),
            )

    def bury(self, task: Task) -> None:
        """Count an attempt whose job died."""
        self._later(task, task.reason)

    def _later(self, task: Task, refused: str) -> None:
        delay = next_delay(task.attempts + 1, self._random)
        if delay is None:
            self._give_up(task, refused)
            return
        log.warning("commitment not reported", to=task.lane, because=refused)
        self._catalog.work.later(task, delay, attempts=task.attempts + 1, reason=refused)

    def _give_up(self, task: Task, refused: str) -> None:
        """Report no more; the peer may ask again."""
        log.warning("commitment not reported", to=task.lane, because=refused)
        self._catalog.promises.park(task, refused)

    def _wait_s(self, attempts: int) -> float:
        return next_delay(attempts, self._random) or LONGEST_DELAY_S
