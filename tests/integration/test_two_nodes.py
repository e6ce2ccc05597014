"""Two nodes whose rules send everything to each other: what one has never comes back to it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import time
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset

from node.app import Storage
from node.deliver.association import Peer
from node.deliver.dimse import DimseSender
from node.model.work import WorkKind
from node.networks import Networks
from node.settings import DimseDestination, NodeSection, Rule, Settings
from node.worker import Outside, Worker, build
from tests.bench import slices
from tests.due_time import batch_claimed, batches_due, pass_time
from tests.inline_jobs import HandEngine
from tests.made_ct import SERIES, STUDY
from tests.made_networks import AbdomenClassifier, SwitchableModel
from tests.receiver import Node, running_receiver, send

EVERYTHING = (
    Rule(name="all", when="true", deliver=("other",)),
    Rule(
        name="liver",
        when='"liver" in findings.coverage.value',
        segment=("liver",),
        results_to=("other",),
        summary=False,
    ),
)

TOLD = (Rule(name="all", when="true", deliver=("other",), results_to=("other",)),)


@dataclass
class Station:
    """A receiver, and the steps of its pipeline done by hand, one after the other."""

    title: str
    node: Node
    worker: Worker
    engine: HandEngine

    def step(self) -> int:
        """Take in what has come, and send what is due; return how many instances were due."""
        catalog, now = self.node.catalog, self.node.now
        self.worker.sweep.settle()
        for kind in (WorkKind.RECOGNISE, WorkKind.SEGMENT, WorkKind.SUMMARISE):
            self.worker.due.look(kind)
            self.engine.run_all()
        due = batches_due(catalog, "other", now)
        count = sum(len(catalog.pending.of_batch(one.key, "other")) for one in due)
        for one in due:
            self.worker.delivering.send(batch_claimed(catalog, "other", one.key))
        return count

    def told(self) -> Counter[str]:
        """Return how often what happened here."""
        return Counter(one.event for one in self.node.catalog.ledger.history(STUDY))


def station(
    title: str,
    node: Node,
    other: tuple[str, Node],
    known: bool,
    rules: tuple[Rule, ...] = EVERYTHING,
) -> Station:
    """Make a node that sends everything to another; `known`: it knows that one's address."""
    host, port = other[1].scp.server_address
    peer = Peer("RADNODE", host, port, title, connect_s=10, response_s=20)
    address = host if known else "192.0.2.1"  # RFC 5737: nobody's
    entry = DimseDestination(
        kind="dimse", name="other", ae_title=other[0], host=address, port=port
    )  # by what it calls itself
    engine = HandEngine()
    worker = build(
        Settings(
            node=NodeSection(ae_title=title, data=node.files.root),
            destinations=(entry,),
            rules=rules,
        ),
        Storage(node.catalog, node.files),
        engine,
        Networks(AbdomenClassifier(), SwitchableModel()),
        Outside(
            clock=lambda: node.now,
            monotonic=lambda: 0.0,
            local_time=lambda: time(12),
            random=lambda: 0.0,
            destination=lambda *_: DimseSender("other", peer),
        ),
    )
    return Station(title, node, worker, engine)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[tuple[Node, Node]]:
    """Run two receivers."""
    with ExitStack() as running:
        folders = [tmp_path / name for name in "ab"]
        for folder in folders:
            folder.mkdir()
        first, second = (running.enter_context(running_receiver(one)) for one in folders)
        pass_time(second, 5000)  # what both make of the same images is not of the same moment
        yield first, second


def until_quiet(*stations: Station) -> list[int]:
    """Step both until neither has anything to send; return how much was sent at each step."""
    sent: list[int] = []
    for _ in range(8):
        for one in stations:
            pass_time(one.node, 61)
            sent.append(one.step())
        if len(sent) >= 6 and not any(sent[-4:]):
            return sent
    raise AssertionError(f"still sending: {sent}")


@pytest.mark.parametrize("known", [True, False], ids=["address known", "behind another address"])
def test_two_nodes_that_route_to_each_other_do_not_play_ping_pong(
    nodes: tuple[Node, Node], known: bool
) -> None:
    """Six images and two results go over once; at most once they come back, and are no news."""
    first = station("NODEA", nodes[0], ("NODEB", nodes[1]), known)
    second = station("NODEB", nodes[1], ("NODEA", nodes[0]), known)
    assoc = nodes[0].associate()
    assert [send(assoc, ds) for ds in slices(*range(6))] == [0] * 6
    assoc.release()

    sent = until_quiet(first, second)

    back = 0 if known else 8
    assert sum(sent[0::2]) == 8 + (0 if known else 2)
    assert sum(sent[1::2]) == back + 2  # it segments the images that it got, too
    assert first.told()["received"] == 8
    assert second.told()["received"] == 8
    assert first.told()["repeated"] == back
    assert second.told()["repeated"] == (0 if known else 2)
    assert first.told()["conflict"] == second.told()["conflict"] == 0
    assert not any(first.told()[one] + second.told()[one] for one in ("parked", "retried"))


def test_the_same_result_of_the_same_moment_is_one_object(nodes: tuple[Node, Node]) -> None:
    """The other node's came first, and is the same to the last byte: one row, and one file."""
    first = station("NODEA", nodes[0], ("NODEB", nodes[1]), True)
    second = station("NODEB", nodes[1], ("NODEA", nodes[0]), True)
    assoc = nodes[0].associate()
    for ds in slices(*range(6)):
        send(assoc, ds)
    assoc.release()
    pass_time(nodes[0], 1061.0 - nodes[0].now)
    pass_time(nodes[1], 1000.0 - nodes[1].now)
    first.step()
    pass_time(nodes[1], 1061.0 - nodes[1].now)

    second.step()

    assert len(nodes[1].stored()) == 8
    assert second.told()["derived"] == 2
    assert second.told()["conflict"] == 0


def test_what_was_deleted_here_does_not_come_back_from_where_it_went(
    nodes: tuple[Node, Node],
) -> None:
    """A node that keeps nothing would take it for new, and send it on for ever."""
    first = station("NODEA", nodes[0], ("NODEB", nodes[1]), True)
    second = station("NODEB", nodes[1], ("NODEA", nodes[0]), True)
    assoc = nodes[0].associate()
    for ds in slices(*range(6)):
        send(assoc, ds)
    assoc.release()
    pass_time(nodes[0], 61)
    assert first.step() == 8
    assert nodes[0].catalog.retention.delete(SERIES, 1e12, (), nodes[0].now)

    until_quiet(second, first)

    assert first.told()["received"] == 6 + 2  # the other's own results, and no image again


def late(*indices: int) -> list[Dataset]:
    """Return slices of another series of the study."""
    made = slices(*indices)
    for ds in made:
        ds.SeriesInstanceUID = f"{SERIES}.7"
        ds.SOPInstanceUID = f"{ds.SOPInstanceUID}.7"
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return made


@pytest.mark.parametrize("known", [True, False], ids=["address known", "behind another address"])
def test_reports_of_a_study_do_not_answer_each_other(
    nodes: tuple[Node, Node], known: bool
) -> None:
    """Each node tells the other once of what came, and the other's report is no news to it."""
    first = station("NODEA", nodes[0], ("NODEB", nodes[1]), known, TOLD)
    second = station("NODEB", nodes[1], ("NODEA", nodes[0]), known, TOLD)
    for number, images in enumerate((slices(*range(6)), late(*range(6))), start=1):
        assoc = nodes[0].associate()
        assert [send(assoc, ds) for ds in images] == [0] * 6
        assoc.release()

        until_quiet(first, second)

        for one in (first, second):
            assert one.told()["derived"] == number
            assert one.told()["received"] == number * (6 + 1)
            assert one.told()["conflict"] == one.told()["parked"] == 0
    for node, other in (nodes, nodes[::-1]):
        (_, before), (_, last) = node.catalog.summaries.of_study(STUDY)
        there = other.catalog.instances.get(last.sop_instance_uid)
        assert there is not None
        assert there.sha256 == last.sha256
        sent = pydicom.dcmread(other.files.absolute(there.path))
        (study,) = sent.PredecessorDocumentsSequence
        named = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
        assert [one.ReferencedSOPInstanceUID for one in named] == [before.sop_instance_uid]
