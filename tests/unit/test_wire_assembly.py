"""Fragments put together: at whatever places they were split, and in no other order."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import MalformedMessageError
from node.wire.assembly import PDV, Assembly, values
from tests.wire import P_DATA_TF, pdu, pdv


class Kept:
    """A message that notes what becomes of it."""

    def __init__(self, context: int, command: bytes) -> None:
        self.context = context
        self.command = command
        self.expects_data = not command.startswith(b"alone")
        self.data = b""
        self.fate = ""

    def write(self, fragment: memoryview) -> None:
        """Keep a copy."""
        self.data += bytes(fragment)

    def end(self) -> None:
        """Note that it was served."""
        self.fate += "served "

    def discard(self) -> None:
        """Note that it was let go."""
        self.fate += "discarded"


class Receiver:
    """An assembly with what it has begun."""

    def __init__(self) -> None:
        self.begun: list[Kept] = []
        self.assembly = Assembly(self._begin)

    def _begin(self, context: int, command: bytes) -> Kept:
        self.begun.append(Kept(context, command))
        return self.begun[-1]

    def take(self, *fragments: PDV) -> None:
        """Take fragments in order."""
        for one in fragments:
            self.assembly.take(one)


def pieces(whole: bytes, cuts: list[int]) -> list[bytes]:
    """Return a whole in pieces, some of them empty."""
    places = [0, *sorted(cut % (len(whole) + 1) for cut in cuts), len(whole)]
    return [whole[a:b] for a, b in pairwise(places)]


def fragments(command: bytes, data: bytes, cuts: tuple[list[int], list[int]]) -> list[bytes]:
    """Return the presentation data values of one message."""
    found: list[bytes] = []
    for kind, whole, places in ((1, command, cuts[0]), (0, data, cuts[1])):
        parts = pieces(whole, places)
        found += [
            pdv(5, kind | (2 if number == len(parts) - 1 else 0), part)
            for number, part in enumerate(parts)
        ]
    return found


CUTS = st.lists(st.integers(0, 1000), max_size=6)


@given(st.tuples(CUTS, CUTS), st.lists(st.integers(0, 20), max_size=4))
def test_split_at_every_place(cuts: tuple[list[int], list[int]], pdus: list[int]) -> None:
    """Two messages in any fragments, any number of those in a PDU, also of both messages."""
    receiver = Receiver()
    items = fragments(b"command", b"all of its data", cuts) * 2
    places = [0, *sorted(one % (len(items) + 1) for one in pdus), len(items)]

    for a, b in pairwise(places):
        receiver.take(*values(memoryview(pdu(P_DATA_TF, b"".join(items[a:b])))))

    assert [(one.context, one.command, one.data) for one in receiver.begun] == [
        (5, b"command", b"all of its data")
    ] * 2
    assert {one.fate for one in receiver.begun} == {"served discarded"}
    assert not receiver.assembly.unfinished


def view(context: int, control: int, fragment: bytes = b"x") -> PDV:
    """Return a fragment."""
    return context, control, memoryview(fragment)


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ([view(1, 0)], "wrong order"),
        ([view(1, 2)], "wrong order"),
        ([view(1, 1), view(1, 0)], "wrong order"),
        ([view(1, 3), view(1, 0), view(1, 3)], "wrong order"),
        ([view(1, 1), view(3, 3)], "two presentation contexts"),
        ([view(1, 3), view(3, 2)], "two presentation contexts"),
        ([view(1, 1, bytes(60_000)), view(1, 3, bytes(6_000))], "over 65536"),
        ([view(1, 3, b"alone"), view(1, 2)], "wrong order"),
    ],
)
def test_fragments_out_of_order_are_refused(sent: list[PDV], told: str) -> None:
    """PS3.8 Annex E."""
    receiver = Receiver()
    with pytest.raises(MalformedMessageError, match=told):
        receiver.take(*sent)


def test_a_message_that_never_ends_is_let_go() -> None:
    """The connection closes in its middle."""
    receiver = Receiver()
    receiver.take(view(1, 3), view(1, 0))
    assert receiver.assembly.unfinished

    receiver.assembly.discard()

    assert receiver.begun[0].fate == "discarded"
    assert not receiver.assembly.unfinished


def test_a_message_that_cannot_be_served_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its memory and its file go, and the fault is told."""

    def broken(_: Kept) -> None:
        raise MalformedMessageError("not servable")

    monkeypatch.setattr(Kept, "end", broken)
    receiver = Receiver()
    with pytest.raises(MalformedMessageError, match="not servable"):
        receiver.take(view(1, 3), view(1, 2))

    assert receiver.begun[0].fate == "discarded"


@given(st.binary(max_size=40))
def test_lengths_that_do_not_fill_the_pdu_are_refused(body: bytes) -> None:
    """Either the items make up the PDU, or it is none."""
    try:
        found = values(memoryview(pdu(P_DATA_TF, body)))
    except MalformedMessageError:
        return
    assert b"".join(pdv(*one[:2], bytes(one[2])) for one in found) == body
