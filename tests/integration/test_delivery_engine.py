"""Delivery on the durable engine: several associations at once, and nobody waits for a hanger."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import highdicom as hd
import pytest

from node.deliver.dimse import DimseSender
from node.deliver.turns import Terms
from node.model.work import Kind
from node.pipeline import workflows
from node.pipeline.dispatch import AT_ONCE
from node.pipeline.due import DueWork
from node.pipeline.engine import Engine
from node.pipeline.stages import Stages
from node.route.rules import compile_rules
from node.store.files import InstanceFiles
from radnet.inference.classifier import Prediction
from tests.delivery_desk import Desk, dimse
from tests.fault_peer import HANG, FaultPeer, fault_peer
from tests.made_ct import MadeModel
from tests.node_process import wait_for


class NoClassifier:
    """A classifier that nobody asks."""

    digest = "0" * 64

    def classify(self, volume: hd.Volume, modality: str) -> Prediction:
        """Fail."""
        raise AssertionError(f"nothing is classified here, least of all {modality} {volume.shape}")


@pytest.fixture
def peers() -> Iterator[tuple[FaultPeer, FaultPeer]]:
    """Run a peer that answers nothing, and a willing one."""
    with fault_peer(lambda _peer, _uid: HANG) as hanging, fault_peer() as willing:
        yield hanging, willing


@pytest.fixture
def desk(tmp_path: Path, peers: tuple[FaultPeer, FaultPeer]) -> Iterator[Desk]:
    """Deliver to both, with jobs of the engine and a thread that looks."""
    hanging, willing = peers
    patient = Terms(connections=3, priority="high")
    with ExitStack() as stack:
        made = Desk(
            tmp_path,
            {
                "hangs": DimseSender("hangs", dimse(hanging.port, 60).peer),
                "pacs": dimse(willing.port),
            },
            {"hangs": patient, "pacs": Terms(connections=2, priority="low")},
        )
        stack.callback(made.close)
        stages = Stages(
            made.catalog, InstanceFiles(tmp_path), NoClassifier(), MadeModel(), compile_rules(()),
            0.6, lambda: made.now,
        )  # fmt: skip
        engine = Engine(f"sqlite:///{tmp_path / 'pipeline.sqlite'}", "test:worker")
        stack.callback(engine.close)
        pipeline = workflows.register(engine, stages, made.delivering)
        due = DueWork(engine, made.catalog.work, "test:worker")
        choose = made.dispatcher.choose
        due.add([workflows.delivery(engine, made.delivering, choose, AT_ONCE + 2)])
        engine.launch([*workflows.queues(), *due.queues])
        stop = threading.Event()

        def looks() -> None:
            while not stop.wait(0.05):
                made.dispatcher.probe(pipeline)
                due.look(Kind.DELIVER)

        thread = threading.Thread(target=looks)
        thread.start()
        stack.callback(thread.join)
        stack.callback(stop.set)
        yield made


def test_a_peer_that_hangs_keeps_nobody_waiting(
    desk: Desk, peers: tuple[FaultPeer, FaultPeer]
) -> None:
    """Eight series to each: the willing one has all, within its two associations, meanwhile."""
    hanging, willing = peers
    stuck = [uid for n in range(8) for uid in desk.add(f"h{n}", 2, destination="hangs")]
    sent = [uid for n in range(8) for uid in desk.add(f"p{n}", 2, destination="pacs")]

    wait_for(lambda: desk.states(sent) == ["delivered"] * 16, "the willing one", 120)

    assert willing.at_once == 2
    assert willing.associations == 8
    wait_for(lambda: hanging.at_once == 3, "three associations", 60)
    assert desk.states(stuck) == ["pending"] * 16
    desk.check()
    hanging.script = lambda _peer, _uid: 0x0000
    hanging.let_go()
    # The three were answered with a failure, now or in a moment, and wait for their next attempt.
    wait_for(lambda: _all_there_later(desk, stuck), "the one that hung", 120)
    assert hanging.at_once == 3
    desk.check()


def _all_there_later(desk: Desk, uids: list[str]) -> bool:
    desk.now += 5
    return _all_there(desk, uids)


def _all_there(desk: Desk, uids: list[str]) -> bool:
    desk.now += 1
    return desk.states(uids) == ["delivered"] * len(uids)
