"""Attempts, one after the other: counted, spared by the circuit, given up, and never lost."""

import pytest

from node.deliver.attempts import Retries
from node.deliver.turns import Terms
from node.model.work import TaskKey, WorkKind
from node.store.deliveries.orders import REPLAY
from node.store.deliveries.scope import Scope
from node.store.work.leases import LEASE_S
from tests.delivery_desk import Desk, MakeDesk
from tests.fault_peer import ABORT, FaultPeer
from tests.inline_jobs import HandEngine

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
"""Pynetdicom drops the socket of a connection that did not come about without closing it."""


def test_the_circuit_opens_and_a_c_echo_closes_it(peer: FaultPeer, make_desk: MakeDesk) -> None:
    """Of ten batches to a peer that is down, three attempts are made; then it is only asked."""
    desk = make_desk(Terms(connections=1, break_after=3))
    for number in range(10):
        desk.add(f"batch{number}", 1)
    for _ in range(20):
        desk.look()

    assert desk.catalog.outlets.get("pacs").circuit.state == "open"
    tried = [job.attempts for job in desk.catalog.work.open(WorkKind.DELIVER, "pacs")]
    assert sorted(tried) == [0] * 7 + [1] * 3
    desk.check()
    for _ in range(20):  # asked again and again; no batch is charged for it
        desk.now = desk.probe_at
        desk.look()
    assert sorted(
        job.attempts for job in desk.catalog.work.open(WorkKind.DELIVER, "pacs")
    ) == sorted(tried)
    assert sum(name.startswith("probe/") for name in desk.ran) == 20

    peer.start()
    desk.go_on()

    assert desk.states() == ["delivered"] * 10
    assert peer.echoes == 1
    assert desk.catalog.outlets.get("pacs").circuit.state == "closed"


@pytest.mark.parametrize("place", [0, 2, 3])
def test_an_instance_the_peer_does_not_bear_costs_itself_alone(
    peer: FaultPeer, make_desk: MakeDesk, place: int
) -> None:
    """First, in the midst or last of its batch; the circuit stays closed, later batches go."""
    desk = make_desk(Terms(connections=1, break_after=2, retries=Retries(attempts=6)))
    uids = desk.add("b", 4)
    peer.script = lambda _peer, uid: ABORT if uid == uids[place] else 0x0000
    peer.start()
    desk.look()
    assert desk.states().count("delivered") == 3

    desk.go_on()
    circuit = desk.catalog.outlets.get("pacs").circuit
    later = desk.add("later", 2)
    desk.look()

    assert desk.states(later) == ["delivered"] * 2
    assert (circuit.state, circuit.openings) == ("closed", 0)
    states = ["delivered"] * 4
    states[place] = "parked"
    assert [one.state for uid in uids for one in desk.rows([uid])] == states
    (lost,) = desk.rows([uids[place]])
    assert "gave up after 6 attempts" in lost.reason
    assert "again over this instance" in lost.reason
    assert peer.asked.count(uids[place]) == 6
    assert [peer.asked.count(uid) for uid in uids].count(1) == 3


def test_a_peer_that_answers_and_stores_nothing_is_asked_ever_less(
    peer: FaultPeer, make_desk: MakeDesk
) -> None:
    """Its disk is full and its C-ECHO is fine: nothing is lost, nothing is hammered."""
    desk = make_desk(Terms(connections=1, break_after=2))
    for number in range(4):
        desk.add(f"batch{number}", 1)
    full = [True]
    peer.script = lambda _peer, _uid: 0xA700 if full[0] else 0x0000
    peer.start()
    waits: list[float] = []
    for _ in range(60):
        if desk.look() == 0:
            circuit = desk.catalog.outlets.get("pacs").circuit
            jobs = desk.catalog.work.open(WorkKind.DELIVER, "pacs")
            if circuit.state == "open":
                waits.append(desk.probe_at - desk.now)
            desk.now = desk.probe_at if circuit.state == "open" else min(j.due_at for j in jobs)
    opened = [wait for wait in waits if wait > 0]
    assert opened == sorted(opened)
    assert opened[-1] > opened[0]
    desk.check()

    full[0] = False
    desk.go_on()

    assert desk.states() == ["delivered"] * 4
    assert desk.catalog.outlets.get("pacs").circuit.openings == 0


def _opened(desk: Desk) -> None:
    desk.add("b", 1)
    while desk.look():
        desk.now += 400
    assert desk.catalog.outlets.get("pacs").circuit.state == "open"


@pytest.mark.parametrize("end", ["raised", "its machine is gone"])
def test_a_probe_that_died_is_a_failed_one_and_another_follows(
    peer: FaultPeer, make_desk: MakeDesk, end: str
) -> None:
    """A worker that is killed while it asks must not leave the destination shut for ever."""
    desk = make_desk(Terms(break_after=2))
    _opened(desk)
    desk.now = desk.probe_at
    desk.look(run=False)
    (probe,) = desk.catalog.work.open(WorkKind.PROBE, "pacs")
    assert probe.state == "claimed"
    desk.jobs.clear()
    if end == "raised":
        openings = desk.catalog.outlets.get("pacs").circuit.openings
        assert desk.catalog.claims.die(probe.of, probe.serial, "ERROR: poison")
        desk.look()
        circuit = desk.catalog.outlets.get("pacs").circuit
        assert (circuit.openings, circuit.reason) == (
            openings + 1, "probe died: ERROR: poison",
        )  # fmt: skip
    else:
        desk.engine = HandEngine("another")
        desk.restart()
    peer.start()
    desk.now += LEASE_S + 1
    desk.go_on()

    assert desk.states() == ["delivered"]
    assert peer.echoes == 1


def test_a_destination_that_is_paused_is_not_probed(peer: FaultPeer, make_desk: MakeDesk) -> None:
    """Until it goes on: then at once, for its time has come long ago."""
    desk = make_desk(Terms(break_after=2))
    _opened(desk)
    peer.start()
    desk.catalog.outlets.set_paused("pacs", True, desk.now)
    for _ in range(5):
        desk.now += 86400
        assert desk.look() == 0
    assert peer.echoes == 0

    desk.catalog.outlets.set_paused("pacs", False, desk.now)
    assert desk.look() == 1
    assert peer.echoes == 1
    desk.go_on()
    assert desk.states() == ["delivered"]


def test_given_up_after_all_attempts_and_replayed(peer: FaultPeer, make_desk: MakeDesk) -> None:
    """Parked with the last reason, for a person; replay starts from the beginning."""
    desk = make_desk(Terms(retries=Retries(attempts=3), break_after=1000))
    desk.add("b", 2)

    desk.go_on()

    assert desk.states() == ["parked"] * 2
    assert "gave up after 3 attempts: " in desk.reasons()[0]
    assert "no connection" in desk.reasons()[0]
    desk.check()
    peer.start()
    desk.catalog.orders.give(REPLAY, Scope("pacs"), desk.now)
    desk.go_on()
    assert desk.states() == ["delivered"] * 2


def test_a_destination_that_is_no_longer_in_the_settings_parks(
    peer: FaultPeer, make_desk: MakeDesk
) -> None:
    """Nobody will send it; it does not vanish either."""
    desk = make_desk()
    desk.add("b", 2, destination="gone")
    peer.start()

    desk.go_on()

    assert desk.states() == ["parked"] * 2
    assert "no such destination" in desk.reasons()[0]


def test_a_job_that_runs_twice_sends_once(peer: FaultPeer, make_desk: MakeDesk) -> None:
    """The engine runs a step again that was killed after its work and before its checkpoint."""
    desk = make_desk()
    uids = desk.add("b", 3)
    peer.start()
    desk.look(run=False)
    ((_, job),) = desk.jobs.items()

    job()
    job()
    assert desk.catalog.claims.begin(TaskKey(WorkKind.DELIVER, "pacs", "b"), 7, 3) is None

    assert sorted(peer.asked) == uids
    assert desk.states() == ["delivered"] * 3


@pytest.mark.parametrize(
    ("end", "attempts"),
    [("lost", None), ("dead", 1), ("long", None)],
    ids=["the pipeline's database is lost", "the job died", "it is only long"],
)
def test_a_job_that_does_not_come_back_is_looked_for(
    peer: FaultPeer, make_desk: MakeDesk, end: str, attempts: int | None
) -> None:
    """A row that says "claimed" with no job behind it would wait for ever."""
    desk = make_desk()
    desk.add("b", 2)
    desk.look(run=False)
    (task,) = desk.catalog.work.open(WorkKind.DELIVER, "pacs")
    if end == "lost":
        desk.jobs.clear()
        desk.restart()
    elif end == "dead":
        desk.jobs.clear()
        desk.catalog.claims.die(task.of, task.serial, "ERROR: poison")
    for _ in range(7):
        desk.now += 2
        desk.look(run=False)

    (job,) = desk.catalog.work.open(WorkKind.DELIVER, "pacs")
    assert (job.attempts if job.state == "waiting" else None) == attempts
    if attempts == 1:
        assert "delivery died: ERROR: poison" in desk.reasons()[0]
    else:
        assert len(desk.jobs) == 1
    peer.start()
    desk.go_on()
    assert desk.states() == ["delivered"] * 2
