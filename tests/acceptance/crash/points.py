"""The numbered points at which the node is killed, along the way of an image through it.

A point is a place in a process: before or after one of the node's own functions. Nothing in the
node knows of it; `launcher/sitecustomize.py` wraps the function in the processes of a test.
"""

from dataclasses import dataclass
from typing import Final, Literal

Role = Literal["receive", "work"]


@dataclass(frozen=True)
class Point:
    """A place where a process may be killed.

    Attributes
    ----------
    where
        For people: what has happened by then, and what has not.
    target
        ``module:function`` or ``module:Class.method``.
    calls
        How many calls of it one study makes at least: the k-th, drawn from 1 to this, is killed.
    """

    number: int
    role: Role
    where: str
    side: Literal["before", "after"]
    target: str
    calls: int = 1

    @property
    def short(self) -> bool:
        """One of each stage: every kill of the worker costs the start of a new one."""
        return self.number in SHORT


SHORT: Final = frozenset({3, 5, 6, 7, 12, 14, 17, 20, 23, 28, 30, 31, 39, 40})

_FILES = "node.store.files:InstanceFiles"
_ROWS = "node.store"

POINTS: Final = (
    Point(1, "receive", "associated, not recorded", "before",
          f"{_ROWS}.access:AccessLog.open"),
    Point(2, "receive", "bytes read, nothing written", "before",
          "node.receive.reception:Reception._keep", 20),
    Point(3, "receive", "file written, no name yet", "after",
          "node.store.durable:write_all", 40),
    Point(4, "receive", "file named, not durable", "before",
          "node.store.durable:sync_and_close", 40),
    Point(5, "receive", "file durable, no row", "before",
          f"{_ROWS}.studies.series:Studies.record", 20),
    Point(6, "receive", "row and ledger written, not committed", "after",
          f"{_ROWS}.ledger:Ledger.tell", 20),
    Point(7, "receive", "row committed, no response", "after",
          f"{_ROWS}.studies.series:Studies.record", 20),
    Point(8, "receive", "response about to leave", "before",
          "node.wire.reactor:_AcceptorDimse.send_msg", 20),
    Point(9, "receive", "response sent", "after",
          "node.wire.reactor:_AcceptorDimse.send_msg", 20),
    Point(10, "receive", "association released, not recorded", "before",
          f"{_ROWS}.access:AccessLog.close"),
    Point(11, "work", "series judged whole, no revision", "before",
          f"{_ROWS}.studies.revisions:Revisions.settle", 2),
    Point(12, "work", "revision and its work written, not claimed", "after",
          f"{_ROWS}.studies.revisions:Revisions.settle", 2),
    Point(13, "work", "revision written, its work not; neither committed", "after",
          f"{_ROWS}.studies.series:Studies.settled", 2),
    Point(14, "work", "recognised, findings not kept", "before",
          f"{_ROWS}.studies.findings:Findings.put", 2),
    Point(15, "work", "findings kept, step not ended", "after",
          f"{_ROWS}.studies.findings:Findings.put", 2),
    Point(16, "work", "routed, deliveries not noted", "before",
          f"{_ROWS}.deliveries.deliveries:Deliveries.add", 2),
    Point(17, "work", "deliveries noted, not queued", "after",
          f"{_ROWS}.deliveries.deliveries:Deliveries.add", 2),
    Point(18, "work", "segmentation about to begin", "before",
          "node.segment.liver:segment_liver"),
    Point(19, "work", "segmented, SEG not written", "after",
          "node.segment.liver:segment_liver"),
    Point(20, "work", "a result written, no row", "after",
          f"{_FILES}.write_derived", 3),
    Point(21, "work", "results recorded, step not ended", "after",
          f"{_ROWS}.studies.results:Results.put"),
    Point(22, "work", "about to send", "before",
          "node.deliver.association:store", 20),
    Point(23, "work", "sent and answered, not noted", "after",
          "node.deliver.association:store", 20),
    Point(24, "work", "sent and noted, step not ended", "after",
          f"{_ROWS}.deliveries.deliveries:Deliveries.put_outcome", 20),
    Point(25, "work", "revision ended and what follows due, step not ended", "after",
          f"{_ROWS}.studies.revisions:Revisions.end", 2),
    Point(26, "work", "commitment request written, not queued", "after",
          f"{_ROWS}.commitments.requests:Requests.open"),
    Point(27, "work", "commitment about to be asked for", "before",
          "pynetdicom.association:Association.send_n_action"),
    Point(28, "work", "N-ACTION answered, no report yet", "after",
          "pynetdicom.association:Association.send_n_action"),
    Point(29, "receive", "commitment report come, not recorded", "before",
          f"{_ROWS}.commitments.reports:CommitmentAnswers.take"),
    Point(30, "receive", "commitment report recorded, not answered", "after",
          f"{_ROWS}.commitments.reports:CommitmentAnswers.take"),
    Point(31, "work", "series given up, its files still there", "after",
          f"{_ROWS}.studies.retention:Retention.delete"),
    Point(32, "work", "a file removed, not noted", "after",
          f"{_FILES}.remove", 20),
    Point(33, "work", "work claimed, its job not started", "before",
          "node.pipeline.due:DueWork._start", 5),
    Point(34, "work", "job begun, nothing done", "after",
          f"{_ROWS}.work.claims:Claims.begin", 5),
    Point(35, "work", "batch through, its job not ended", "after",
          f"{_ROWS}.deliveries.deliveries:Deliveries.end_batch", 2),
    Point(36, "work", "recognised, not routed", "before",
          "node.pipeline.stages:Stages.route", 2),
    Point(37, "work", "work noted as done, nothing committed", "after",
          f"{_ROWS}.work.work:Work.done_in", 5),
    Point(38, "work", "study whole, its report not begun", "before",
          "node.pipeline.summarising:Summarising.summarise"),
    Point(39, "work", "report written, no row", "before",
          f"{_ROWS}.studies.summaries:Summaries.put"),
    Point(40, "work", "report recorded, its deliveries not noted", "after",
          f"{_ROWS}.studies.summaries:Summaries.put"),
    Point(41, "work", "report on its way, its work not noted as done", "before",
          f"{_ROWS}.studies.summaries:Summaries.end"),
    Point(42, "work", "report's work noted as done, step not ended", "after",
          f"{_ROWS}.studies.summaries:Summaries.end"),
)  # fmt: skip
