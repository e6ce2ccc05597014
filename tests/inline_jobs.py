"""An engine that runs each job at once, where it is queued: for tests of what jobs do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from node.deliver.build import peer_of
from node.model.work import Kind
from node.pipeline.due import DueWork, Handler, in_turn
from node.pipeline.owed import OwedReports
from node.pipeline.ticker import Ticker
from node.settings.trust import Source
from node.store.work import Work
from tests.receiver import Node, running_receiver

Workflow = Callable[..., Any]


class InlineJobs:
    """Stands for the engine; a known id runs once."""

    def __init__(self) -> None:
        self.ran: set[str] = set()

    def workflow(self, name: str) -> Callable[[Workflow], Workflow]:
        """Leave a function as it is."""
        assert name
        return lambda function: function

    def enqueue(self, queue: str, workflow_id: str, workflow: Workflow, *arguments: Any) -> None:
        """Run a job; what it raises, its row tells."""
        assert queue
        if workflow_id not in self.ran:
            self.ran.add(workflow_id)
            with suppress(Exception):
                workflow(*arguments)


@contextmanager
def doing(work: Work, *handlers: Handler) -> Iterator[DueWork]:
    """Do what is due, in a thread that looks all the time."""
    due = DueWork(InlineJobs(), work, "worker")
    due.add(handlers)
    due.resume()

    def look() -> None:
        for kind in due.kinds:
            due.look(kind)

    with Ticker([(look, 0.02)]):
        yield due


@contextmanager
def reporting_receiver(folder: Path, *sources: Source) -> Iterator[Node]:
    """Run a receiver, and report to the addresses of its sources, too."""
    listed = {one.ae_title: peer_of(one, "RADNODE") for one in sources if one.host}
    with running_receiver(folder, sources=sources) as node:
        owed = OwedReports(node.catalog, node.files, listed, lambda: node.now, lambda: 0.5)
        report = Handler(Kind.REPORT, 4, owed.report, owed.bury, in_turn(per_lane=1))
        with doing(node.catalog.work, report):
            yield node
