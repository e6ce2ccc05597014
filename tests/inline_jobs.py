"""Engines without a database: one runs each job at once, one when a test says so."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from node.deliver.build import peer_of
from node.model.work import WorkKind
from node.pipeline.due import DueWork, Handler, in_turn
from node.pipeline.engine import Engine
from node.pipeline.owed import OwedReports
from node.pipeline.ticker import Ticker
from node.settings.trust import Source
from node.store.work.claims import Claims
from tests.receiver import Node, running_receiver

Workflow = Callable[..., Any]


class InlineJobs:
    """Stands for the engine; a known id runs once."""

    def __init__(self) -> None:
        self.ran: set[str] = set()

    def workflow(self, name: str, lives: int) -> Callable[[Workflow], Workflow]:
        """Leave a function as it is."""
        assert name
        assert lives
        return lambda function: function

    def start(self, job: str, workflow: Workflow, *arguments: Any) -> None:
        """Run a job; what it raises, its row tells."""
        if job not in self.ran:
            self.ran.add(job)
            with suppress(Exception):
                workflow(*arguments)


class HandEngine(Engine):
    """Keeps jobs until a test runs them; a known id runs once.

    Attributes
    ----------
    jobs : dict
        By name, in the order in which they were started.
    ran : list[str]
        Names of jobs that a test ran.
    """

    def __init__(self, executor_id: str = "worker") -> None:
        self.executor_id = executor_id
        self.jobs: dict[str, Callable[[], None]] = {}
        self.ran: list[str] = []

    def workflow(self, name: str, lives: int = 1) -> Callable[[Workflow], Workflow]:
        """Leave a function as it is."""
        assert name
        assert lives
        return lambda function: function

    def step(self, function: Workflow, name: str, longest_s: float = 1.0) -> Workflow:
        """Leave a function as it is."""
        assert name
        assert longest_s
        return function

    def launch(self) -> None:
        """Do nothing of itself."""

    def start(self, job: str, workflow: Workflow, *arguments: Any) -> None:
        """Keep a job."""
        if job not in self.ran:
            self.jobs[job] = partial(workflow, *arguments)

    def run_all(self) -> None:
        """Run what was started."""
        for name in list(self.jobs):
            self.ran.append(name)
            self.jobs.pop(name)()

    def close(self) -> None:
        """Have nothing to end."""


@contextmanager
def doing(claims: Claims, *handlers: Handler) -> Iterator[DueWork]:
    """Do what is due, in a thread that looks all the time."""
    due = DueWork(InlineJobs(), claims, "worker")
    due.add(handlers)
    due.resume(lambda: None)

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
        report = Handler(WorkKind.REPORT, 4, owed.report, owed.bury, in_turn(per_lane=1))
        with doing(node.catalog.claims, report):
            yield node
