"""A C-STORE peer that is away, rejects, hangs up, or is called by several at once."""

from collections.abc import Callable

import pytest

from node.deliver.turns import Terms
from node.model.work import WorkKind
from tests.delivery_desk import MakeDesk
from tests.fault_peer import ABORT, FaultPeer, hangs_up_in_negotiation
from tests.node_process import wait_for

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
"""Pynetdicom drops the socket of a connection that did not come about without closing it."""


def test_down_and_then_up(peer: FaultPeer, make_desk: MakeDesk) -> None:
    """The batch waits half a minute and more; no instance is charged for what nobody heard."""
    desk = make_desk()
    uids = desk.add("b", 3)

    desk.look()

    assert desk.states() == ["pending"] * 3
    assert "no connection" in desk.reasons()[0]
    assert [one.attempts for one in desk.rows(uids)] == [0, 0, 0]
    (job,) = desk.catalog.work.open(WorkKind.DELIVER, "pacs")
    assert (job.attempts, job.due_at) == (1, desk.now + 30.0)
    desk.check()
    assert desk.look() == 0

    peer.start()
    desk.go_on()

    assert desk.states() == ["delivered"] * 3
    assert sorted(peer.stored) == uids


def test_rejected_until_the_other_side_knows_us(peer: FaultPeer, make_desk: MakeDesk) -> None:
    """A wrong AE title is for people to mend; the images are welcome after that."""
    peer.known_callers = ["SOMEBODY"]
    peer.start()
    desk = make_desk()
    desk.add("b", 2)
    desk.look()
    assert desk.states() == ["pending"] * 2
    assert "rejected: Calling AE title not recognised" in desk.reasons()[0]
    assert peer.asked == []

    peer.stop()
    peer.known_callers = ["RADNODE"]
    peer.start()
    desk.go_on()

    assert desk.states() == ["delivered"] * 2


def test_rejected_for_want_of_room(peer: FaultPeer, make_desk: MakeDesk) -> None:
    """Local limit exceeded (PS3.8 Table 9-21): transient by its own word."""
    peer.maximum_associations = 1
    peer.start()
    desk = make_desk()
    first, second = desk.add("first", 1), desk.add("second", 1)
    reached: list[str] = []

    def busy(_peer: FaultPeer, uid: str) -> int:
        if not reached:
            reached.append(uid)
            desk.look()  # the other batch comes while this association stands
        return 0x0000

    peer.script = busy
    desk.look(run=False)
    name = next(iter(desk.jobs))
    desk.ran.append(name)
    desk.jobs.pop(name)()

    assert desk.states([*first, *second]).count("pending") == 1
    assert any("local limit exceeded" in reason.lower() for reason in desk.reasons())
    wait_for(peer.is_alone, "the first one to have left", 30)
    desk.go_on()
    assert desk.states() == ["delivered"] * 2


def test_dropped_in_the_midst(peer: FaultPeer, make_desk: MakeDesk) -> None:
    """Of ten, the one on the line is sent twice, the others once."""
    desk = make_desk()
    uids = desk.add("b", 10)
    peer.script = lambda p, uid: ABORT if uid == uids[5] and p.asked.count(uid) == 1 else 0x0000
    peer.start()

    desk.go_on()

    assert desk.states() == ["delivered"] * 10
    assert [peer.asked.count(uid) for uid in uids] == [1] * 5 + [2] + [1] * 4


def test_dropped_during_negotiation(peer: FaultPeer, make_desk: MakeDesk) -> None:
    """A load balancer without a server behind it takes the call and hangs up."""
    desk = make_desk()
    desk.add("b", 3)
    with hangs_up_in_negotiation(peer.port) as seen:
        desk.look()
        assert len(seen) == 1

    assert desk.states() == ["pending"] * 3
    assert "aborted the negotiation" in desk.reasons()[0]
    desk.check()
    peer.start()
    desk.go_on()
    assert desk.states() == ["delivered"] * 3


def test_associations_are_several_and_bounded(peer: FaultPeer, make_desk: MakeDesk) -> None:
    """Eight series, three connections: never more than three at once, and no less."""
    desk = make_desk(Terms(connections=3), response_s=60)
    for number in range(8):
        desk.add(f"batch{number}", 2)
    peer.script = _held_until(lambda p: p.at_once == 3 or len(desk.ran) > 3)
    peer.start()

    while desk.catalog.work.open(WorkKind.DELIVER, "pacs"):
        desk.look_in_parallel()

    assert desk.states() == ["delivered"] * 16
    assert peer.at_once == 3
    assert peer.associations == 8


def _held_until(condition: Callable[[FaultPeer], bool]) -> Callable[[FaultPeer, str], int]:
    def answer(peer: FaultPeer, _uid: str) -> int:
        wait_for(lambda: condition(peer), "three associations", 50)
        return 0x0000

    return answer
