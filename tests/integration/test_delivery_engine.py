"""Delivery on the durable engine: several associations at once, and nobody waits for a hanger."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from node.deliver.dimse import DimseSender
from node.deliver.turns import Terms
from node.pipeline.engine import Engine
from node.pipeline.ticker import Ticker
from tests.delivery_desk import Desk, dimse
from tests.fault_peer import HANG, FaultPeer, fault_peer
from tests.node_process import wait_for


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
    engine = Engine(f"sqlite:///{tmp_path / 'pipeline.sqlite'}", "test:worker")
    with ExitStack() as stack:
        made = Desk(
            tmp_path,
            {
                "hangs": DimseSender("hangs", dimse(hanging.port, 60).peer),
                "pacs": dimse(willing.port),
            },
            {"hangs": patient, "pacs": Terms(connections=2, priority="low")},
            engine,
        )
        stack.callback(made.close)
        stack.callback(engine.close)
        stack.enter_context(Ticker([(made.look_once, 0.05)]))
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
