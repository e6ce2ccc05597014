"""A receiver, and what a worker does of the reports of storage commitment that it owes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.deliver.build import peer_of
from node.model.work import Kind
from node.pipeline.due import Handler, in_turn
from node.pipeline.owed import OwedReports
from node.settings.trust import Source
from tests.inline_jobs import doing
from tests.receiver import Node, running_receiver


@contextmanager
def reporting_receiver(folder: Path, *sources: Source) -> Iterator[Node]:
    """Run a receiver, and report to the addresses of its sources, too."""
    listed = {one.ae_title: peer_of(one, "RADNODE") for one in sources if one.host}
    with running_receiver(folder, sources=sources) as node:
        owed = OwedReports(node.catalog, node.files, listed, lambda: node.now, lambda: 0.5)
        report = Handler(Kind.REPORT, 4, owed.report, owed.bury, in_turn(per_lane=1))
        with doing(node.catalog.work, report):
            yield node
