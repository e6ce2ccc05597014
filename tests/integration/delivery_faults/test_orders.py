"""What an operator or a window holds back is not sent; it goes when it may."""

from datetime import time

import pytest

from node.deliver.attempts import Retries
from node.deliver.expedite import expedite
from node.deliver.turns import Terms, window_of
from node.model.records import Circuit
from node.model.states import CircuitState
from node.model.work import Task, WorkKind
from node.store.deliveries.orders import CANCEL, PAUSE, REPLAY, RESUME
from node.store.deliveries.scope import Scope
from tests.delivery_desk import MakeDesk
from tests.fault_peer import FaultPeer

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
"""Pynetdicom drops the socket of a connection that did not come about without closing it."""


def test_cancelled_in_the_midst_is_not_sent(peer: FaultPeer, make_desk: MakeDesk) -> None:
    """From the next instance on; the one on the line is told as it went."""
    desk = make_desk()
    uids = desk.add("b", 6)

    def cancel_at_third(p: FaultPeer, _uid: str) -> int:
        if len(p.asked) == 3:
            desk.catalog.orders.give(CANCEL, Scope(uid=uids[4]), desk.now)
            desk.catalog.orders.give(CANCEL, Scope(uid=uids[2]), desk.now)
        return 0x0000

    peer.script = cancel_at_third
    peer.start()
    desk.go_on()

    assert desk.states() == ["delivered"] * 4 + ["cancelled", "delivered"]
    assert uids[4] not in peer.asked
    desk.catalog.orders.give(REPLAY, Scope("pacs"), desk.now)
    desk.go_on()
    assert desk.states() == ["delivered"] * 6
    assert len(peer.asked) == 6


def test_cancelled_while_it_waits_is_never_sent(peer: FaultPeer, make_desk: MakeDesk) -> None:
    """Also where its job is queued already."""
    desk = make_desk()
    uids = desk.add("b", 3)
    desk.look(run=False)
    desk.catalog.orders.give(CANCEL, Scope(uid=uids[0]), desk.now)
    desk.catalog.orders.give(CANCEL, Scope("pacs"), desk.now)
    peer.start()

    desk.go_on()

    assert desk.states() == ["cancelled"] * 3
    assert peer.asked == []
    assert peer.associations == 0


def test_paused_holds_everything_and_costs_no_attempt(
    peer: FaultPeer, make_desk: MakeDesk
) -> None:
    """In the midst of a batch, and for days."""
    desk = make_desk()
    desk.add("b", 5)

    def pause_at_second(p: FaultPeer, _uid: str) -> int:
        if len(p.asked) == 2:
            desk.catalog.outlets.set_paused("pacs", True, desk.now)
        return 0x0000

    peer.script = pause_at_second
    peer.start()
    desk.look()
    assert len(peer.asked) == 2
    desk.check()

    for _ in range(5):
        desk.now += 86400
        assert desk.look() == 0
    assert [job.attempts for job in desk.catalog.work.open(WorkKind.DELIVER, "pacs")] == [0]

    desk.catalog.outlets.set_paused("pacs", False, desk.now)
    desk.go_on()
    assert desk.states() == ["delivered"] * 5
    assert len(peer.asked) == 5


@pytest.mark.parametrize("held", ["paused", "circuit open"])
def test_what_is_held_after_its_job_was_queued_is_not_even_called(
    peer: FaultPeer, make_desk: MakeDesk, held: str
) -> None:
    """The job looks before it asks for an association, and no attempt is counted."""
    desk = make_desk()
    desk.add("b", 2)
    peer.start()
    desk.look(run=False)
    if held == "paused":
        desk.catalog.outlets.set_paused("pacs", True, desk.now)
    else:
        shut = Circuit(CircuitState.OPEN, 5, 1, "no connection")
        desk.catalog.outlets.change_circuit("pacs", lambda _: shut, desk.now, lambda _: 60.0)

    desk.look()

    assert peer.associations == 0
    (job,) = desk.catalog.work.open(WorkKind.DELIVER, "pacs")
    assert (job.state, job.attempts) == ("waiting", 0)
    desk.catalog.outlets.set_paused("pacs", False, desk.now)
    desk.go_on()
    assert desk.states() == ["delivered"] * 2


def test_paused_instances_wait_alone(peer: FaultPeer, make_desk: MakeDesk) -> None:
    """The rest of their batch goes."""
    desk = make_desk()
    uids = desk.add("b", 3)
    desk.catalog.orders.give(PAUSE, Scope(uid=uids[1]), desk.now)
    peer.start()

    desk.go_on(86400)
    assert desk.states() == ["delivered", "paused", "delivered"]
    desk.catalog.orders.give(RESUME, Scope(uid=uids[1]), desk.now)
    desk.go_on()

    assert desk.states() == ["delivered"] * 3


def test_outside_its_window_only_what_is_urgent_goes(peer: FaultPeer, make_desk: MakeDesk) -> None:
    """And a batch that is on the line when the window closes stops there, without an attempt."""
    desk = make_desk(Terms(window=window_of("22:00-06:00")))
    routine, urgent = desk.add("routine", 4), desk.add("urgent", 2, urgent=True)
    peer.start()
    desk.go_on()
    assert desk.states(urgent) == ["delivered"] * 2
    assert desk.states(routine) == ["pending"] * 4

    def dawn(_peer: FaultPeer, uid: str) -> int:
        if uid == routine[1]:
            desk.local = time(6)
        return 0x0000

    peer.script = dawn
    desk.local = time(22)
    desk.go_on()
    assert desk.states(routine) == ["delivered", "delivered", "pending", "pending"]
    assert [job.attempts for job in desk.catalog.work.open(WorkKind.DELIVER, "pacs")] == [0]

    desk.local = time(23)
    desk.go_on()
    assert desk.states(routine) == ["delivered"] * 4


def test_now_is_now(peer: FaultPeer, make_desk: MakeDesk) -> None:
    """The peer was away for a day, is back, and gets everything without another wait."""
    desk = make_desk()
    desk.add("b", 3)
    for _ in range(40):
        desk.now += 3600
        desk.look()
    assert desk.probe_at > desk.now
    peer.start()
    assert desk.look() == 0

    expedite(desk.catalog, Scope("pacs"), desk.terms, desk.now, desk.local)
    for _ in range(2):  # the probe, and the batch
        desk.look()

    assert desk.states() == ["delivered"] * 3
    assert peer.echoes == 1


def test_now_does_not_wait_for_a_probe_under_way(peer: FaultPeer, make_desk: MakeDesk) -> None:
    """That one hangs, and comes back later with old news."""
    desk = make_desk(Terms(break_after=2))
    desk.add("b", 3)
    while desk.look():
        desk.now += 400
    desk.now = desk.probe_at
    desk.look(run=False)
    ((_, hangs),) = desk.jobs.items()
    desk.jobs.clear()

    peer.start()
    expedite(desk.catalog, Scope("pacs"), desk.terms, desk.now, desk.local)
    desk.go_on()
    assert desk.states() == ["delivered"] * 3
    before = desk.catalog.outlets.get("pacs")
    hangs()

    assert peer.echoes == 1
    assert desk.catalog.outlets.get("pacs") == before


@pytest.mark.parametrize("dead", [False, True], ids=["the last attempt failed", "the job died"])
def test_replayed_while_it_is_given_up_is_tried_at_once(
    peer: FaultPeer, make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch, dead: bool
) -> None:
    """The order comes between the parked instances and the end of their batch."""
    desk = make_desk(Terms(retries=Retries(attempts=1), break_after=100))
    uids = desk.add("b", 2)
    deliveries = desk.catalog.deliveries
    real = deliveries.end_batch
    given: list[int] = []

    def end_batch(task: Task) -> bool:
        if not given:
            given.append(desk.catalog.orders.give(REPLAY, Scope(uid=uids[0]), desk.now))
            peer.start()
        return real(task)

    monkeypatch.setattr(deliveries, "end_batch", end_batch)
    if dead:
        desk.look(run=False)
        (task,) = desk.catalog.work.open(WorkKind.DELIVER, "pacs")
        assert desk.catalog.claims.die(task.of, task.serial, "odd")
        desk.jobs.clear()
    desk.look()
    desk.look()
    assert given == [1]
    assert desk.states() == ["delivered", "parked"]
