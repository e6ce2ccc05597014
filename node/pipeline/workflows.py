"""The system, in the order in which data meets it: every kind of work that is due.

::

    receive ─> store ─> [sweep] ─> recognise ─┬──────────────> deliver ─> [gather] ─> ask
                                              ├─> segment ─────^  │
                                              └─> summarise ───^  └─> probe
    receive ─> promise ─> report

From `recognise` on, each word without brackets is a kind of work: rows that say what is to be
done, which a worker claims when it is due and has its turn, and runs as a durable job of the
engine (`node.pipeline.due`). What is in brackets looks now and then, and makes such rows. They are
written in the transaction that makes them necessary:

=========  =======================================  ==========================================
kind       its row is written with                  where its job died
=========  =======================================  ==========================================
recognise  a revision, or the order to run it       its images are routed without; where that
           again                                    dies, too, the revision is unusable
segment    the end of the recognition that wants    the revision is unusable
           it
summarise  the end of the last recognition of a     given up; what is recognised next of the
           study that is open                       study asks again
deliver    deliveries, or an order about them       an attempt that failed: later, or parked
probe      the opening of a circuit                 later
ask        a request for storage commitment         what it names is asked for in another one
report     the promise to commit, or not            later, or parked
=========  =======================================  ==========================================

What the steps of a job do stands in `stages`, `summarising`, `delivering`, `probing`,
`commitments` and `owed`; here is only their order.
"""

from typing import Final

from node.model.keys import RevisionKey
from node.model.work import Task, WorkKind
from node.pipeline.commitments import CommitmentRequests
from node.pipeline.delivering import Delivering
from node.pipeline.due import Choose, Handler, in_turn
from node.pipeline.engine import Engine
from node.pipeline.giving_up import DIED, GivingUp
from node.pipeline.owed import OwedReports
from node.pipeline.probing import Probing
from node.pipeline.stages import Stages
from node.pipeline.summarising import Summarising
from node.pipeline.time_limit import (
    LONGEST_PROBE_S,
    LONGEST_RECOGNITION_S,
    LONGEST_ROUTING_S,
    LONGEST_SEGMENTATION_S,
    LONGEST_SUMMARY_S,
)

SEGMENT_LIVES: Final = 10
"""A segmentation is given up late: images do not wait for it, and restarts are not its fault."""


def recognition(engine: Engine, stages: Stages, giving_up: GivingUp) -> Handler:
    """Return what is done to recognise and route a revision."""
    classify = engine.step(stages.classify, "classify", LONGEST_RECOGNITION_S)
    route = engine.step(stages.route, "route", LONGEST_ROUTING_S)

    def recognise(task: Task) -> None:
        key = RevisionKey.parse(task.key)
        route(task, task.detail.get(DIED) or classify(key.series, key.number))

    return Handler(
        WorkKind.RECOGNISE, 2, recognise, giving_up.recognition, in_turn(),
        is_ready=stages.networks.is_ready,
    )  # fmt: skip


def segmentation(engine: Engine, stages: Stages, giving_up: GivingUp) -> Handler:
    """Return what is done to segment a revision."""
    segment = engine.step(stages.segment, "segment", LONGEST_SEGMENTATION_S)
    bury, choose = giving_up.segmentation, in_turn()
    ready = stages.networks.is_ready
    return Handler(WorkKind.SEGMENT, 1, segment, bury, choose, SEGMENT_LIVES, ready)


def summary(engine: Engine, summarising: Summarising) -> Handler:
    """Return what is done to write down what was recognised of a study."""
    summarise = engine.step(summarising.summarise, "summarise", LONGEST_SUMMARY_S)
    return Handler(WorkKind.SUMMARISE, 1, summarise, summarising.bury, in_turn())


def delivery(engine: Engine, delivering: Delivering, choose: Choose, at_once: int) -> Handler:
    """Return what is done to deliver a batch; `at_once` is how many may be on their way."""
    send = engine.step(delivering.send, "send")
    return Handler(WorkKind.DELIVER, at_once, send, delivering.bury, choose)


def probes(engine: Engine, probing: Probing) -> Handler:
    """Return what is done to probe a destination whose circuit is open."""
    probe = engine.step(probing.probe, "probe", LONGEST_PROBE_S)
    return Handler(WorkKind.PROBE, 4, probe, probing.bury, probing.choose)


def storage_commitment(
    engine: Engine, commitments: CommitmentRequests, owed: OwedReports
) -> list[Handler]:
    """Return what is done to ask others to commit, and to report to what we do."""
    ask = engine.step(commitments.ask, "ask for commitment")
    report = engine.step(owed.report, "report")
    return [
        Handler(WorkKind.ASK, 4, ask, commitments.bury, in_turn(per_lane=1)),
        Handler(WorkKind.REPORT, 4, report, owed.bury, in_turn(per_lane=1)),
    ]
