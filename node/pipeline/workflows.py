"""The system, in the order in which data meets it.

::

    receive ─> store ─> series ─> classify ─> route ─> deliver
                        (sweep)                 └────> segment ─> deliver

Three short durable workflows, linked by ids made of UIDs, so that running one twice never
queues the next one twice. What a step does stands in `stages`; here is only the order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from node.pipeline.engine import Engine, Queue
from node.pipeline.stages import Stages

QUEUES: Final = [Queue("series", at_once=2), Queue("segment", at_once=1), Queue("deliver", 8, 2)]


@dataclass(frozen=True)
class Workflows:
    """The ways into the pipeline."""

    take_series: "_TakeSeries"
    """Queue one revision of a series; with why recognition died, it is routed without."""
    deliver_again: "_Deliver"
    """Queue one more attempt to deliver a batch to a destination."""


def register(engine: Engine, stages: Stages) -> Workflows:
    """Define the workflows on an engine that is not launched yet."""
    deliver = _define_deliver(engine, stages)
    segment = _define_segment(engine, stages, deliver)
    series = _define_series(engine, stages, deliver, segment)
    return Workflows(take_series=series, deliver_again=deliver)


class _TakeSeries(Protocol):
    def __call__(self, uid: str, revision: int, died: str = "") -> None: ...


class _Deliver(Protocol):
    def __call__(
        self, destination: str, batch: str, attempt: int, delay_s: float | None = None
    ) -> None: ...


def _define_series(
    engine: Engine, stages: Stages, deliver: _Deliver, segment: Callable[..., None]
) -> _TakeSeries:
    classify = engine.step(stages.classify, "classify")
    route = engine.step(stages.route, "route")

    @engine.workflow("series")
    def series(series_instance_uid: str, revision: int, died: str) -> None:
        unusable = died or classify(series_instance_uid, revision)
        plan = route(series_instance_uid, revision, unusable)
        for destination in plan["deliver"]:
            deliver(destination, plan["batch"], 0)
        if plan["segment"]:
            segment(series_instance_uid, revision, plan["results_to"])

    def queue(uid: str, revision: int, died: str = "") -> None:
        job = f"series/{uid}/{revision}" + ("/unrecognised" if died else "")
        engine.enqueue("series", job, series, uid, revision, died)

    return queue


def _define_segment(
    engine: Engine, stages: Stages, deliver: _Deliver
) -> Callable[[str, int, list[str]], None]:
    infer = engine.step(stages.segment, "segment")

    @engine.workflow("segment")
    def segment(series_instance_uid: str, revision: int, results_to: list[str]) -> None:
        batch = infer(series_instance_uid, revision, results_to)
        if batch is not None:
            for destination in results_to:
                deliver(destination, batch, 0)

    def queue(uid: str, revision: int, results_to: list[str]) -> None:
        engine.enqueue("segment", f"segment/{uid}/{revision}", segment, uid, revision, results_to)

    return queue


def _define_deliver(engine: Engine, stages: Stages) -> _Deliver:
    send = engine.step(stages.send, "send")

    @engine.workflow("deliver")
    def deliver(destination: str, batch: str, attempt: int) -> None:
        delay_s = send(destination, batch, attempt)
        if delay_s is not None:
            queue(destination, batch, attempt + 1, delay_s)

    def queue(destination: str, batch: str, attempt: int, delay_s: float | None = None) -> None:
        job = f"deliver/{destination}/{batch}/{attempt}"
        engine.enqueue(
            "deliver", job, deliver, destination, batch, attempt, key=destination, delay_s=delay_s
        )

    return queue
