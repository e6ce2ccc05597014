"""The system, in the order in which data meets it.

::

    receive ─> store ─> series ─> classify ─> route ─> deliver
                        (sweep)                 └────> segment ─> deliver ─> ask for commitment
                                                                   (work that is due)

Short durable workflows, linked by ids made of UIDs, so that running one twice never queues the
next one twice. What a step does stands in `stages` and `delivering`; here is only the order.
Route and segment note in rows what has to go where; that is work which `due` claims in its turn.
"""

from dataclasses import dataclass
from typing import Any, Final, Protocol

from node.model.work import Kind, Task
from node.pipeline.commitments import CommitmentRequests
from node.pipeline.due import Choose, Handler, in_turn
from node.pipeline.engine import Engine, Queue
from node.pipeline.owed import OwedReports
from node.pipeline.stages import Stages
from node.pipeline.time_limit import (
    LONGEST_PROBE_S,
    LONGEST_RECOGNITION_S,
    LONGEST_ROUTING_S,
    LONGEST_SEGMENTATION_S,
)

SEGMENT_LIVES: Final = 10
"""A segmentation is given up late: images do not wait for it, and restarts are not its fault."""

_ALWAYS: Final = [Queue("series", at_once=2), Queue("segment", at_once=1)]


class Delivers(Protocol):
    """The steps of delivery."""

    def send(self, job: Task) -> None:
        """Make one attempt with a batch."""

    def bury(self, job: Task) -> None:
        """Count an attempt whose job died."""

    def probe(self, job: Task) -> None:
        """Probe a destination whose circuit is open."""

    def bury_probe(self, job: Task) -> None:
        """Count a probe whose job died."""


@dataclass(frozen=True)
class Workflows:
    """The ways into the pipeline."""

    take_series: "_TakeSeries"
    """Queue one revision of a series; with why recognition died, it is routed without.

    `again` counts how often it was taken from the quarantine: each time is a job of its own.
    """


def queues() -> list[Queue]:
    """Return the queues of what is no work that is due."""
    return _ALWAYS


def delivery(engine: Engine, delivering: Delivers, choose: Choose, at_once: int) -> Handler:
    """Return what is done to deliver a batch; `at_once` is how many may be on their way."""
    send = engine.step(delivering.send, "send")
    return Handler(Kind.DELIVER, at_once, send, delivering.bury, choose)


def probes(engine: Engine, delivering: Delivers, choose: Choose) -> Handler:
    """Return what is done to probe a destination whose circuit is open."""
    probe = engine.step(delivering.probe, "probe", LONGEST_PROBE_S)
    return Handler(Kind.PROBE, 4, probe, delivering.bury_probe, choose)


def storage_commitment(
    engine: Engine, commitments: CommitmentRequests, owed: OwedReports
) -> list[Handler]:
    """Return what is done to ask others to commit, and to report to what we do."""
    ask = engine.step(commitments.ask, "ask for commitment")
    report = engine.step(owed.report, "report")
    return [
        Handler(Kind.ASK, 4, ask, commitments.bury, in_turn(per_lane=1)),
        Handler(Kind.REPORT, 4, report, owed.bury, in_turn(per_lane=1)),
    ]


def series_job(uid: str, revision: int, again: int, *, unrecognised: bool) -> str:
    """Return the id of the job that recognises and routes a revision."""
    return f"series/{uid}/{revision}" + _round(again) + ("/unrecognised" if unrecognised else "")


def segment_job(uid: str, revision: int, again: int) -> str:
    """Return the id of the job that segments a revision."""
    return f"segment/{uid}/{revision}" + _round(again)


def register(engine: Engine, stages: Stages) -> Workflows:
    """Define the workflows on an engine that is not launched yet."""
    series = _define_series(engine, stages, _define_segment(engine, stages))
    return Workflows(take_series=series)


class _TakeSeries(Protocol):
    def __call__(self, uid: str, revision: int, died: str = "", again: int = 0) -> None: ...


class _Segment(Protocol):
    def __call__(self, uid: str, revision: int, plan: dict[str, Any], again: int) -> None: ...


def _define_series(engine: Engine, stages: Stages, segment: _Segment) -> _TakeSeries:
    classify = engine.step(stages.classify, "classify", LONGEST_RECOGNITION_S)
    route = engine.step(stages.route, "route", LONGEST_ROUTING_S)

    @engine.workflow("series")
    def series(series_instance_uid: str, revision: int, died: str, again: int = 0) -> None:
        unrecognised = died or classify(series_instance_uid, revision)
        plan = route(series_instance_uid, revision, unrecognised)
        if plan["segment"]:
            segment(series_instance_uid, revision, plan, again)

    def queue(uid: str, revision: int, died: str = "", again: int = 0) -> None:
        job = series_job(uid, revision, again, unrecognised=bool(died))
        engine.enqueue("series", job, series, uid, revision, died, again)

    return queue


def _define_segment(engine: Engine, stages: Stages) -> _Segment:
    infer = engine.step(stages.segment, "segment", LONGEST_SEGMENTATION_S)

    @engine.workflow("segment", lives=SEGMENT_LIVES)
    def segment(
        series_instance_uid: str,
        revision: int,
        results_to: list[str],
        urgent: list[str],
        again: int = 0,
    ) -> None:
        infer(series_instance_uid, revision, results_to, urgent)

    def queue(uid: str, revision: int, plan: dict[str, Any], again: int) -> None:
        job = segment_job(uid, revision, again)
        results_to, urgent = plan["results_to"], plan["urgent"]
        engine.enqueue("segment", job, segment, uid, revision, results_to, urgent, again)

    return queue


def _round(again: int) -> str:
    """Return what sets a job apart from the one before the quarantine."""
    return f"/again-{again}" if again else ""
