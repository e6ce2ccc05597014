"""What a C-STORE peer may answer to an instance, with the rows looked at after each."""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, JPEG2000Lossless, MRImageStorage, RLELossless

from node.deliver.attempts import Retries
from node.deliver.turns import Terms
from node.store.deliveries.orders import CANCEL, PAUSE, Order
from node.store.deliveries.scope import Scope
from tests.delivery_desk import Desk, MakeDesk, dimse
from tests.fault_peer import ABORT, HANG, FaultPeer, fault_peer, scripted

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
"""Pynetdicom drops the socket of a connection that did not come about without closing it."""


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
    """Even two as the first ones: the next attempt puts them last. In the end they are parked."""
    desk = make_desk(Terms(retries=Retries(attempts=4)))
    uids = desk.add("b", 4)
    peer.script = lambda _, uid: ABORT if uid in uids[:2] else 0x0000
    peer.start()

    desk.look()
    assert desk.states() == ["pending"] * 4
    desk.go_on()

    assert desk.states() == ["parked", "parked", "delivered", "delivered"]
    assert "gave up after 4 attempts: " in desk.reasons()[0]
    assert "ended the association" in desk.reasons()[0]


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
                if moment == len(p.asked) and desk.catalog.orders.give(
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
