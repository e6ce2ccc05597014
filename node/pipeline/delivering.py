"""What a delivery job does: one attempt with one batch, and what follows from it.

The rows say what is pending; a job carries nothing but their key, so that it may run twice, late,
or not at all. After every attempt each instance is delivered, pending with
its batch due at a known time, parked with a reason, or cancelled.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import time
from functools import partial
from typing import Final

import structlog

from node.deliver import breaker
from node.deliver.attempts import next_delay
from node.deliver.destination import (
    Destination,
    OutboundInstance,
    Outcome,
    Prepared,
    State,
    TaggingDestination,
)
from node.deliver.turns import Terms, held_because, is_open
from node.model.records import StoredInstance
from node.model.states import CircuitState, DeliveryState
from node.model.work import Task
from node.pipeline.coercing import coercion_of
from node.store.catalog import Catalog
from node.store.files import InstanceFiles

log = structlog.get_logger()

Tag = Callable[[TaggingDestination, str], bool]
"""Writes the findings of a batch to a destination; tells whether that is done."""

_AFTER: Final[dict[State, DeliveryState]] = {
    "delivered": DeliveryState.DELIVERED,
    "refused": DeliveryState.PARKED,
    "retry": DeliveryState.PENDING,
}
_NO_OUTCOME: Final = "the attempt ended without a word on this instance"


@dataclass
class _Tally:
    """What one attempt came to."""

    delivered: bool = False
    answered: bool = False
    failed: bool = False
    """Whether it says of the destination that it was not there."""
    states: Counter[str] = field(default_factory=Counter)
    """How many instances are now how."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Why, for each instance that has to be tried again."""

    def count(self, outcome: Outcome) -> None:
        self.delivered = self.delivered or outcome.state == "delivered"
        self.answered = self.answered or outcome.state != "retry"
        self.states[_AFTER[outcome.state]] += 1
        self.failed = self.failed or (outcome.state == "retry" and not outcome.blamed)
        if outcome.state == "retry":
            self.reasons[outcome.sop_instance_uid] = outcome.reason


@dataclass(frozen=True)
class Delivering:
    """The steps of delivery and what they work with.

    Attributes
    ----------
    destinations, terms
        By name, as in the settings.
    tag : callable
        Writes findings beside the images, where the destination can hold them.
    clock : callable
        Seconds since the epoch.
    local_time : callable
        Time of day where the node stands, for windows.
    random : callable
        A number in [0, 1), for jitter.
    """

    catalog: Catalog
    files: InstanceFiles
    destinations: Mapping[str, Destination]
    terms: Mapping[str, Terms]
    tag: Tag
    clock: Callable[[], float]
    local_time: Callable[[], time]
    random: Callable[[], float]

    def send(self, job: Task) -> None:
        """Make one attempt with what is pending of a batch."""
        target = self.destinations.get(job.lane)
        if target is None:
            self._give_up(job, "there is no such destination in the settings", {})
            return
        outlet = self.catalog.outlets.get(job.lane)
        if held_because(self._terms(job.lane), outlet, self.local_time(), job.urgent):
            self.catalog.work.later(job, 0.0, attempts=job.attempts, reason=job.reason)
            return
        tally = self._attempt(target, job)
        self._note_circuit(job.lane, tally)
        tagged = bool(tally.reasons) or self._is_tagged(target, job)
        if tally.reasons or not tagged:
            self._try_later(job, tally)
        elif not self.catalog.deliveries.end_batch(job):
            self.catalog.work.later(job, 0.0, attempts=job.attempts)

    def bury(self, job: Task) -> None:
        """Count an attempt whose job died; the next one comes after the usual wait."""
        pending = self.catalog.pending.of_batch(job.key, job.lane)
        uids = [instance.sop_instance_uid for instance in pending]
        reason = f"delivery died: {job.reason}"
        self.catalog.deliveries.put_untried(uids, job.lane, reason, self.clock())
        self._try_later(job, _Tally(reasons=dict.fromkeys(uids, reason)))

    def _attempt(self, target: Destination, job: Task) -> _Tally:
        destination = job.lane
        window = None if job.urgent else self._terms(destination).window
        pending = self.catalog.pending.of_batch(job.key, destination)
        unheard = {instance.sop_instance_uid for instance in pending}

        def wanted(uid: str) -> bool:
            in_time = is_open(window, self.local_time())
            if in_time and self.catalog.pending.is_wanted(uid, destination, job.key):
                return True
            unheard.discard(uid)
            return False

        tally = _Tally()
        wish = self._terms(destination).coerce
        coercion = coercion_of(self.catalog, job.key, destination, pending, wish)
        untried: dict[str, list[str]] = {}
        failed = self.catalog.pending.failed_attempts(job.key, destination)
        outbound = [
            self._outbound(instance, failed.get(uid, 0), coercion.prepared(uid))
            for instance in pending
            for uid in [instance.sop_instance_uid]
        ]
        for outcome in target.send(outbound, wanted):
            uid = outcome.sop_instance_uid
            unheard.discard(uid)
            tally.count(outcome)
            if not outcome.tried:
                untried.setdefault(outcome.reason, []).append(uid)
                continue
            state = _AFTER[outcome.state]
            reason, now = coercion.reason_for(uid, outcome.reason), self.clock()
            coerced = coercion.done.get(uid)
            if coerced is not None and state is DeliveryState.DELIVERED:
                self.catalog.deliveries.put_coerced(
                    uid, destination, reason, now, job.key, coerced
                )
                continue
            self.catalog.deliveries.put_outcome(uid, destination, state, reason, now, job.key)
        if unheard:
            untried.setdefault(_NO_OUTCOME, []).extend(sorted(unheard))
            tally.reasons.update(dict.fromkeys(unheard, _NO_OUTCOME))
            tally.states["pending"] += len(unheard)
            tally.failed = True
        for reason, uids in untried.items():
            self.catalog.deliveries.put_untried(uids, destination, reason, self.clock())
        _tell(job, pending, tally)
        return tally

    def _note_circuit(self, destination: str, tally: _Tally) -> None:
        now = self.clock()
        if tally.answered:
            self.catalog.outlets.change_circuit(destination, breaker.answered, now)
        elif tally.failed:
            change = partial(
                breaker.failed,
                reason=next(iter(tally.reasons.values())),
                break_after=self._terms(destination).break_after,
            )
            wait_s = partial(breaker.probe_wait_s, random=self.random)
            after = self.catalog.outlets.change_circuit(destination, change, now, wait_s)
            if after.state == CircuitState.OPEN:
                log.warning("circuit open", destination=destination, because=after.reason)

    def _is_tagged(self, target: Destination, job: Task) -> bool:
        return not isinstance(target, TaggingDestination) or self.tag(target, job.key)

    def _try_later(self, job: Task, tally: _Tally) -> None:
        """Let the batch wait, longer each time until something gets through; or give it up."""
        attempts = 1 if tally.delivered else job.attempts + 1
        retries = self._terms(job.lane).retries
        delay_s = next_delay(attempts, self.random, retries)
        if delay_s is None:
            self._give_up(job, f"gave up after {attempts} attempts", tally.reasons)
            return
        reason = next(iter(tally.reasons.values()), "not tagged yet")
        self.catalog.work.later(job, delay_s, attempts=attempts, reason=reason)

    def _give_up(self, job: Task, because: str, reasons: Mapping[str, str]) -> None:
        for instance in self.catalog.pending.of_batch(job.key, job.lane):
            uid = instance.sop_instance_uid
            reason = f"{because}: {reasons[uid]}" if reasons.get(uid) else because
            now = self.clock()
            self.catalog.deliveries.put_outcome(
                uid, job.lane, DeliveryState.PARKED, reason, now, job.key
            )
        log.error("delivery given up", destination=job.lane, batch=job.key, why=because)
        if not self.catalog.deliveries.end_batch(job):  # an operator has replayed some of it
            self.catalog.work.later(job, 0.0, attempts=0)

    def _terms(self, destination: str) -> Terms:
        return self.terms.get(destination, Terms())

    def _outbound(
        self, instance: StoredInstance, attempts: int, prepared: Prepared
    ) -> OutboundInstance:
        return OutboundInstance(
            instance.sop_instance_uid,
            instance.sop_class_uid,
            instance.transfer_syntax_uid,
            self.files.absolute(instance.path),
            attempts,
            prepared,
        )


def _tell(job: Task, pending: Sequence[StoredInstance], tally: _Tally) -> None:
    """Log what became of an attempt: of which study, and how many instances are now how."""
    if pending:
        log.info(
            "delivery attempted",
            destination=job.lane,
            study=pending[0].study_instance_uid,
            batch=job.key,
            instances=len(pending),
            delivered=tally.states["delivered"],
            parked=tally.states["parked"],
            pending=tally.states["pending"],
        )
