"""Every way in which a C-STORE peer fails, over real associations, with the rows looked at.

After each: every instance is delivered, or pending with a next attempt, or stands with a reason;
what was cancelled is not sent. `Desk.check` holds all rows against that.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, JPEG2000Lossless, MRImageStorage, RLELossless

from node.deliver.attempts import Retries
from node.deliver.turns import Terms, window_of
from node.pipeline.engine import Fate
from node.store.orders import CANCEL, PAUSE, REPLAY, RESUME, Order, Scope
from node.store.records import Circuit
from tests.delivery_desk import Desk, dimse
from tests.fault_peer import (
    ABORT,
    HANG,
    FaultPeer,
    fault_peer,
    hangs_up_in_negotiation,
    scripted,
)
from tests.node_process import wait_for

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
"""Pynetdicom drops the socket of a connection that did not come about without closing it."""

MakeDesk = Callable[..., Desk]


@pytest.fixture
def peer() -> Iterator[FaultPeer]:
    """Give a peer that is not up yet."""
    with fault_peer(up=False) as made:
        yield made


@pytest.fixture
def make_desk(tmp_path: Path, peer: FaultPeer) -> Iterator[MakeDesk]:
    """Make a desk that delivers to the peer; its rows are checked at the end."""
    with ExitStack() as stack:

        def make(terms: Terms | None = None, response_s: float = 10.0) -> Desk:
            target = dimse(peer.port, response_s)
            desk = Desk(tmp_path, {"pacs": target}, {"pacs": terms or Terms()})
            stack.callback(desk.close)
            stack.callback(desk.check)
            return desk

        yield make


def test_down_and_then_up(peer: FaultPeer, make_desk: MakeDesk) -> None:
    """The batch waits half a minute and more; no instance is charged for what nobody heard."""
    desk = make_desk()
    uids = desk.add("b", 3)

    desk.look()

    assert desk.states() == ["pending"] * 3
    assert "no connection" in desk.reasons()[0]
    assert [one.attempts for one in desk.rows(uids)] == [0, 0, 0]
    (job,) = desk.catalog.dispatches("pacs")
    assert (job.attempts, job.next_at) == (1, desk.now + 30.0)
    desk.check()
    assert desk.look() == 0

    peer.start()
    desk.go_on()

    assert desk.states() == ["delivered"] * 3
    assert sorted(peer.stored) == uids


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0x0122, 0x0117])
def test_refused_for_good_is_parked_at_once(
    peer: FaultPeer, make_desk: MakeDesk, status: int
) -> None:
    """The others go; the one that was refused waits for a person, not for a week."""
    desk = make_desk()
    uids = desk.add("b", 3)
    peer.script = lambda _, uid: status if uid == uids[1] else 0x0000
    peer.start()

    desk.go_on()

    assert desk.states() == ["delivered", "parked", "delivered"]
    assert f"status {status:04X}" in desk.reasons()[1]
    assert len(peer.asked) == 3


@pytest.mark.parametrize("status", [0xA700, 0x0110, 0x0124])
def test_refused_for_now_is_tried_alone_until_it_is_taken(
    peer: FaultPeer, make_desk: MakeDesk, status: int
) -> None:
    """What was taken is not sent again."""
    desk = make_desk()
    uids = desk.add("b", 4)
    peer.script = lambda p, uid: status if uid == uids[2] and p.asked.count(uid) < 4 else 0x0000
    peer.start()

    desk.go_on()

    assert desk.states() == ["delivered"] * 4
    assert [peer.asked.count(uid) for uid in uids] == [1, 1, 4, 1]


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007])
def test_a_warning_is_delivered_and_told(
    peer: FaultPeer, make_desk: MakeDesk, status: int
) -> None:
    """The peer has it; that it changed something stands in the row."""
    desk = make_desk()
    desk.add("b", 2)
    peer.script = lambda _peer, _uid: status
    peer.start()

    desk.go_on()

    assert desk.states() == ["delivered"] * 2
    assert all(f"status {status:04X}" in reason for reason in desk.reasons())
    assert len(peer.asked) == 2


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
    desk.go_on()
    assert desk.states() == ["delivered"] * 2


def test_no_answer_in_time_costs_the_instance_on_the_line(
    peer: FaultPeer, make_desk: MakeDesk
) -> None:
    """It may have arrived: it is sent again; the others are not kept waiting by it."""
    desk = make_desk(response_s=2.0)
    uids = desk.add("b", 3)
    peer.script = lambda p, uid: HANG if uid == uids[1] and p.asked.count(uid) == 1 else 0x0000
    peer.start()

    desk.look()

    assert desk.states() == ["delivered", "pending", "delivered"]
    assert "did not answer in time" in desk.reasons()[1]
    desk.check()
    desk.go_on()
    assert desk.states() == ["delivered"] * 3
    assert [peer.asked.count(uid) for uid in uids] == [1, 2, 1]


def test_an_instance_that_fells_the_peer_keeps_nobody_back(
    peer: FaultPeer, make_desk: MakeDesk
) -> None:
    """Even as the first one: the next attempt puts it last. In the end it alone is parked."""
    desk = make_desk(Terms(retries=Retries(attempts=4)))
    uids = desk.add("b", 4)
    peer.script = lambda _, uid: ABORT if uid == uids[0] else 0x0000
    peer.start()

    desk.look()
    assert desk.states() == ["pending"] * 4
    desk.go_on()

    assert desk.states() == ["parked", "delivered", "delivered", "delivered"]
    assert "gave up after 4 attempts: " in desk.reasons()[0]
    assert "ended the association" in desk.reasons()[0]


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


def _as_mr(ds: Dataset) -> None:
    ds.SOPClassUID = MRImageStorage


def test_what_the_peer_takes_in_no_form_is_parked_and_the_rest_goes(
    peer: FaultPeer, make_desk: MakeDesk
) -> None:
    """CT is taken in implicit VR alone: explicit and RLE are turned into it; MR is not taken."""
    peer.supported = {next(iter(peer.supported)): [ImplicitVRLittleEndian]}
    peer.start()
    desk = make_desk()
    plain, packed = desk.add("plain", 2), desk.add("packed", 2, syntax=RLELossless)
    other = desk.add("other", 1, edit=_as_mr)

    desk.go_on()

    assert desk.states([*plain, *packed]) == ["delivered"] * 4
    assert desk.states(other) == ["parked"]
    assert "SOP Class not accepted: MR Image Storage" in " ".join(desk.reasons())
    assert sorted(peer.stored) == sorted([*plain, *packed])


def test_a_peer_of_one_compressed_syntax_gets_nothing_encoded_anew(
    peer: FaultPeer, make_desk: MakeDesk
) -> None:
    """We only decode: no plain syntax there, nothing sent, and the reason told."""
    peer.supported = {next(iter(peer.supported)): [JPEG2000Lossless]}
    peer.start()
    desk = make_desk()
    desk.add("b", 1)

    desk.go_on()

    assert desk.states() == ["parked"]
    assert "not accepted" in desk.reasons()[0]
    assert peer.asked == []


def test_cancelled_in_the_midst_is_not_sent(peer: FaultPeer, make_desk: MakeDesk) -> None:
    """From the next instance on; the one on the line is told as it went."""
    desk = make_desk()
    uids = desk.add("b", 6)

    def cancel_at_third(p: FaultPeer, _uid: str) -> int:
        if len(p.asked) == 3:
            desk.catalog.order(CANCEL, Scope(uid=uids[4]), desk.now)
            desk.catalog.order(CANCEL, Scope(uid=uids[2]), desk.now)
        return 0x0000

    peer.script = cancel_at_third
    peer.start()
    desk.go_on()

    assert desk.states() == ["delivered"] * 4 + ["cancelled", "delivered"]
    assert uids[4] not in peer.asked
    desk.catalog.order(REPLAY, Scope("pacs"), desk.now)
    desk.go_on()
    assert desk.states() == ["delivered"] * 6
    assert len(peer.asked) == 6


def test_cancelled_while_it_waits_is_never_sent(peer: FaultPeer, make_desk: MakeDesk) -> None:
    """Also where its job is queued already."""
    desk = make_desk()
    uids = desk.add("b", 3)
    desk.look(run=False)
    desk.catalog.order(CANCEL, Scope(uid=uids[0]), desk.now)
    desk.catalog.order(CANCEL, Scope("pacs"), desk.now)
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
            desk.catalog.set_paused("pacs", True, desk.now)
        return 0x0000

    peer.script = pause_at_second
    peer.start()
    desk.look()
    assert len(peer.asked) == 2
    desk.check()

    for _ in range(5):
        desk.now += 86400
        assert desk.look() == 0
    assert [job.attempts for job in desk.catalog.dispatches("pacs")] == [0]

    desk.catalog.set_paused("pacs", False, desk.now)
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
        desk.catalog.set_paused("pacs", True, desk.now)
    else:
        shut = Circuit("open", 5, 1, 0, desk.now + 60, "no connection")
        desk.catalog.change_circuit("pacs", lambda _: shut, desk.now)

    desk.look()

    assert peer.associations == 0
    (job,) = desk.catalog.dispatches("pacs")
    assert (job.state, job.attempts) == ("waiting", 0)
    desk.catalog.set_paused("pacs", False, desk.now)
    desk.go_on()
    assert desk.states() == ["delivered"] * 2


def test_paused_instances_wait_alone(peer: FaultPeer, make_desk: MakeDesk) -> None:
    """The rest of their batch goes."""
    desk = make_desk()
    uids = desk.add("b", 3)
    desk.catalog.order(PAUSE, Scope(uid=uids[1]), desk.now)
    peer.start()

    desk.go_on(86400)
    assert desk.states() == ["delivered", "paused", "delivered"]
    desk.catalog.order(RESUME, Scope(uid=uids[1]), desk.now)
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
    assert [job.attempts for job in desk.catalog.dispatches("pacs")] == [0]

    desk.local = time(23)
    desk.go_on()
    assert desk.states(routine) == ["delivered"] * 4


def test_the_circuit_opens_and_a_c_echo_closes_it(peer: FaultPeer, make_desk: MakeDesk) -> None:
    """Of ten batches to a peer that is down, three attempts are made; then it is only asked."""
    desk = make_desk(Terms(connections=1, break_after=3))
    for number in range(10):
        desk.add(f"batch{number}", 1)
    for _ in range(20):
        desk.look()

    assert desk.catalog.outlet("pacs").circuit.state == "open"
    tried = [job.attempts for job in desk.catalog.dispatches("pacs")]
    assert sorted(tried) == [0] * 7 + [1] * 3
    desk.check()
    for _ in range(20):  # asked again and again; no batch is charged for it
        desk.now = desk.catalog.outlet("pacs").circuit.until
        desk.look()
    assert sorted(job.attempts for job in desk.catalog.dispatches("pacs")) == sorted(tried)
    assert desk.catalog.outlet("pacs").circuit.probes == 20

    peer.start()
    desk.go_on()

    assert desk.states() == ["delivered"] * 10
    assert peer.echoes == 1
    assert desk.catalog.outlet("pacs").circuit.state == "closed"


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
            circuit = desk.catalog.outlet("pacs").circuit
            jobs = desk.catalog.dispatches("pacs")
            if circuit.state == "open":
                waits.append(circuit.until - desk.now)
            desk.now = circuit.until if circuit.state == "open" else min(j.next_at for j in jobs)
    opened = [wait for wait in waits if wait > 0]
    assert opened == sorted(opened)
    assert opened[-1] > opened[0]
    desk.check()

    full[0] = False
    desk.go_on()

    assert desk.states() == ["delivered"] * 4
    assert desk.catalog.outlet("pacs").circuit.openings == 0


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
    desk.catalog.order(REPLAY, Scope("pacs"), desk.now)
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
    desk.delivering.send("pacs", "b", 7)

    assert sorted(peer.asked) == uids
    assert desk.states() == ["delivered"] * 3


class Fates:
    """An engine of which every job came to the same end."""

    def __init__(self, fate: Fate) -> None:
        self._fate = fate

    def fate(self, workflow_id: str) -> Fate:
        """Return it."""
        return self._fate


@pytest.mark.parametrize(
    ("fate", "attempts"),
    [(Fate("gone"), 0), (Fate("dead", "ERROR: poison"), 1), (Fate("alive"), None)],
    ids=["the pipeline's database is lost", "the job killed its process", "it is only long"],
)
def test_a_job_that_does_not_come_back_is_looked_for(
    peer: FaultPeer, make_desk: MakeDesk, fate: Fate, attempts: int | None
) -> None:
    """A row that says "queued" with no job behind it would wait for ever."""
    desk = make_desk()
    desk.add("b", 2)
    desk.look(run=False)
    desk.jobs.clear()
    desk.dispatcher.mend(Fates(fate), desk.delivering)
    assert desk.catalog.in_flight() == {"pacs": 1}  # not before its time

    desk.now += 61
    desk.dispatcher.mend(Fates(fate), desk.delivering)

    (job,) = desk.catalog.dispatches("pacs")
    assert (job.attempts if job.state == "waiting" else None) == attempts
    if attempts == 1:
        assert "delivery died: ERROR: poison" in desk.reasons()[0]
    if attempts is not None:
        peer.start()
        desk.go_on()
        assert desk.states() == ["delivered"] * 2


def test_associations_are_several_and_bounded(peer: FaultPeer, make_desk: MakeDesk) -> None:
    """Eight series, three connections: never more than three at once, and no less."""
    desk = make_desk(Terms(connections=3), response_s=60)
    for number in range(8):
        desk.add(f"batch{number}", 2)
    peer.script = _held_until(lambda p: p.at_once == 3 or len(desk.ran) > 3)
    peer.start()

    while desk.catalog.dispatches("pacs"):
        desk.look_in_parallel()

    assert desk.states() == ["delivered"] * 16
    assert peer.at_once == 3
    assert peer.associations == 8


def _held_until(condition: Callable[[FaultPeer], bool]) -> Callable[[FaultPeer, str], int]:
    def answer(peer: FaultPeer, _uid: str) -> int:
        wait_for(lambda: condition(peer), "three associations", 50)
        return 0x0000

    return answer


ANSWERS = st.sampled_from((0x0000, 0x0000, 0xB000, 0xA700, 0xC000, ABORT))


@settings(
    max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    answers=st.lists(ANSWERS, max_size=25),
    orders=st.lists(
        st.tuples(st.integers(0, 15), st.sampled_from((CANCEL, PAUSE)), st.integers(0, 7)),
        max_size=3,
    ),
)
def test_whatever_happens_nothing_is_lost(
    tmp_path_factory: pytest.TempPathFactory,
    answers: Sequence[int],
    orders: Sequence[tuple[int, Order, int]],
) -> None:
    """Any answers in any order, with orders of an operator in between.

    In the end every instance was taken by the peer, or was refused for good, or is held by an
    order; what was cancelled or paused was not asked for again; and only what failed was sent
    twice.
    """
    folder = tmp_path_factory.mktemp("desk")
    with fault_peer(scripted(answers)) as peer:
        desk = Desk(folder, {"pacs": dimse(peer.port)}, {"pacs": Terms(connections=1)})
        uids = [*desk.add("one", 4), *desk.add("other", 4)]
        forbidden: dict[str, int] = {}
        given_answers = peer.script

        def with_orders(p: FaultPeer, uid: str) -> int:
            for moment, order, which in orders:
                if moment == len(p.asked) and desk.catalog.order(
                    order,
                    Scope(uid=uids[which]),
                    desk.now,
                ):
                    forbidden[uids[which]] = len(p.asked)
            return given_answers(p, uid)

        peer.script = with_orders
        desk.go_on()
        desk.check()
        rows = {one.sop_instance_uid: one for one in desk.rows(uids)}
        desk.close()

    assert len(rows) == 8
    for uid, row in rows.items():
        assert (row.state == "delivered") == (uid in peer.stored), row
        assert row.state in ("delivered", "parked", "cancelled", "paused")
        assert peer.stored.count(uid) <= 1
        assert uid not in peer.asked[forbidden.get(uid, len(peer.asked)) :]
