"""Asking destinations to commit: rows first, then a job for each request.

The rows say who has to be asked, and when (`node.store.commitments`); the clock makes requests of
them and queues a job for each, under an id made of its Transaction UID. What dies on the way
is asked for again when its time has run out, in a request with another Transaction UID.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from node.commitment.ask import ask
from node.commitment.reports import Reports
from node.deliver.association import Peer
from node.deliver.attempts import LONGEST_DELAY_S, MAXIMUM_ATTEMPTS, next_delay
from node.errors import DeliveryError
from node.identity import derived_uid
from node.model.records import Outlet
from node.pipeline.engine import Engine, Queue
from node.store.catalog import Catalog
from node.store.commitments.requests import Reference

log = structlog.get_logger()

QUEUES: Final = [Queue("commit", at_once=4, per_key=1)]
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
    """

    peer: Peer
    timeout_s: float
    wait_s: float


class CommitmentRequests:
    """Storage Commitment SCU (PS3.4 Annex J) for all destinations.

    Parameters
    ----------
    destinations : mapping
        Those that are to commit, by name.
    clock : callable
        Seconds since the epoch.
    random : callable
        Draws from [0, 1).
    """

    def __init__(
        self,
        catalog: Catalog,
        destinations: Mapping[str, Committing],
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._catalog = catalog
        self._destinations = destinations
        self._clock = clock
        self._random = random
        self._reports = Reports(catalog, clock, random)
        self._queue: Callable[[str, str], None] | None = None

    def register(self, engine: Engine) -> None:
        """Define the workflow on an engine that is not launched yet."""
        step = engine.step(self.request, "ask for commitment")

        @engine.workflow("commit")
        def commit(destination: str, transaction_uid: str) -> None:
            step(destination, transaction_uid)

        def queue(destination: str, transaction_uid: str) -> None:
            job = f"commit/{transaction_uid}"
            engine.enqueue("commit", job, commit, destination, transaction_uid, key=destination)

        self._queue = queue

    def tick(self) -> None:
        """Make requests of what waits for commitment, and queue their jobs.

        Of a destination that is paused or does not answer nothing is asked: its attempts would
        be used up by what is no fault of the instances.
        """
        outlets = self._catalog.outlets.all()
        for destination, committing in self._destinations.items():
            outlet = outlets.get(destination, Outlet())
            if outlet.paused or outlet.circuit.state != "closed":
                continue
            while self._opened(destination, committing) == INSTANCES_PER_REQUEST:
                pass
        for transaction_uid, destination in self._catalog.requests.new():
            if self._queue is not None:
                self._queue(destination, transaction_uid)
            self._catalog.requests.mark_queued(transaction_uid)

    def _opened(self, destination: str, committing: Committing) -> int:
        """Make one request of what waits; return of how many instances."""
        now = self._clock()
        reason = f"not committed: no answer to {MAXIMUM_ATTEMPTS} requests"
        if parked := self._catalog.requests.give_up(destination, MAXIMUM_ATTEMPTS, reason, now):
            log.error("commitment given up", destination=destination, instances=parked)
        # Random, since nobody but the peer may know it: it is all a report has to show.
        transaction_uid = derived_uid("commitment", destination, repr(now), repr(self._random()))
        return self._catalog.requests.open(
            destination, transaction_uid, INSTANCES_PER_REQUEST, now, now + committing.timeout_s
        )

    def request(self, destination: str, transaction_uid: str) -> None:
        """Ask once; a report, on whatever association, comes by way of `Reports`."""
        committing = self._destinations.get(destination)
        if committing is None:  # no longer in the settings: nobody asks
            return
        instances = self._catalog.requests.begin(transaction_uid)
        if not instances:
            return
        wanted = [
            Reference(instance.sop_class_uid, instance.sop_instance_uid) for instance in instances
        ]
        try:
            ask(
                committing.peer,
                transaction_uid,
                wanted,
                self._reports,
                lambda: self._catalog.requests.is_answered(transaction_uid),
                committing.wait_s,
            )
        except DeliveryError as error:
            log.warning("commitment not asked", destination=destination, because=str(error))
            self._catalog.requests.fail(transaction_uid, str(error), self._wait_s, self._clock())

    def _wait_s(self, attempts: int) -> float:
        return next_delay(attempts, self._random) or LONGEST_DELAY_S
