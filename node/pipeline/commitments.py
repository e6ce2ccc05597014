"""Asking destinations to commit: rows first, then a job for each request.

The rows say who has to be asked, and when (`node.store.commitments`); the clock makes requests of
them, each of which is due at once. What dies on the way is asked for again when its time has run
out, in a request with another Transaction UID.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from node.commitment.ask import ask
from node.commitment.reports import Reports
from node.deliver.association import Peer
from node.deliver.attempts import Retries, next_delay
from node.errors import DeliveryError
from node.identity import derived_uid
from node.model.commitment import Reference
from node.model.records import Outlet
from node.model.states import CircuitState
from node.model.work import Task
from node.store.catalog import Catalog

log = structlog.get_logger()

INSTANCES_PER_REQUEST: Final = 1000


@dataclass(frozen=True)
class Committing:
    """A destination that is asked to commit to what it took.

    Attributes
    ----------
    timeout_s : float
        How long it may take to report, in seconds; then it is asked again.
    wait_s : float
        How long to stay associated for a report on the same association, in seconds.
    retries : Retries
        How often it is asked for an instance, and how far apart: as it is sent to.
    """

    peer: Peer
    timeout_s: float
    wait_s: float
    retries: Retries = field(default_factory=Retries)


class CommitmentRequests:
    """Storage Commitment SCU (PS3.4 Annex J) for all destinations.

    Parameters
    ----------
    destinations : mapping
        Those that are to commit, by name.
    random : callable
        Draws from [0, 1).
    """

    def __init__(
        self,
        catalog: Catalog,
        destinations: Mapping[str, Committing],
        random: Callable[[], float],
    ) -> None:
        self._catalog = catalog
        self._destinations = destinations
        self._random = random
        retries = {name: committing.retries for name, committing in destinations.items()}
        self._reports = Reports(catalog, random, retries)

    def tick(self) -> None:
        """Make requests of what waits for commitment.

        Of a destination that is paused or does not answer nothing is asked: its attempts would
        be used up by what is no fault of the instances.
        """
        outlets = self._catalog.outlets.all()
        for destination, committing in self._destinations.items():
            outlet = outlets.get(destination, Outlet())
            if outlet.paused or outlet.circuit.state != CircuitState.CLOSED:
                continue
            while self._opened(destination, committing) == INSTANCES_PER_REQUEST:
                pass

    def _opened(self, destination: str, committing: Committing) -> int:
        """Make one request of what waits; return of how many instances."""
        now = self._catalog.work.now()
        attempts = committing.retries.attempts
        reason = f"not committed: no answer to {attempts} requests"
        if parked := self._catalog.unanswered.give_up(destination, attempts, reason, now):
            log.error("commitment given up", destination=destination, instances=parked)
        # Random, since nobody but the peer may know it: it is all a report has to show.
        transaction_uid = derived_uid("commitment", destination, repr(now), repr(self._random()))
        return self._catalog.requests.open(
            destination, transaction_uid, INSTANCES_PER_REQUEST, now, now + committing.timeout_s
        )

    def ask(self, task: Task) -> None:
        """Ask once; a report, on whatever association, comes by way of `Reports`."""
        committing = self._destinations.get(task.lane)
        if committing is not None:  # else it is no longer in the settings: nobody asks
            self._ask(committing, task)
        self._catalog.work.done(task)

    def bury(self, task: Task) -> None:
        """Let what a request named whose job died be asked for in another."""
        self._fail(task, f"the request died: {task.reason}")
        self._catalog.work.done(task)

    def _ask(self, committing: Committing, task: Task) -> None:
        instances = self._catalog.requests.begin(task.key)
        if not instances:
            return
        wanted = [
            Reference(instance.sop_class_uid, instance.sop_instance_uid) for instance in instances
        ]
        try:
            ask(
                committing.peer,
                task.key,
                wanted,
                self._reports,
                lambda: self._catalog.requests.is_answered(task.key),
                committing.wait_s,
            )
        except DeliveryError as error:
            log.warning("commitment not asked", destination=task.lane, because=str(error))
            self._fail(task, str(error))

    def _fail(self, task: Task, reason: str) -> None:
        known = self._destinations.get(task.lane)
        retries = known.retries if known is not None else Retries()

        def wait_s(attempts: int) -> float:
            return next_delay(attempts, self._random, retries) or retries.longest_delay_s

        self._catalog.requests.fail(task.key, reason, wait_s, self._catalog.work.now())
