"""Every way in which a STOW-RS server fails, with the rows looked at after each."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydicom.uid import RLELossless

from node.deliver.attempts import Retries
from node.deliver.dicomweb import DicomwebSender
from node.deliver.turns import Terms
from node.errors import TransientDeliveryError
from node.store.deliveries.orders import CANCEL, REPLAY
from node.store.deliveries.scope import Scope
from tests.delivery_desk import Desk
from tests.http_peer import http_server, item, response

Answer = Callable[[list[str]], tuple[int, object]]


class Server:
    """An origin server: what it was asked to store, and what `answer` says to that."""

    def __init__(self) -> None:
        self.answer: Answer = lambda uids: (200, response([item(uid) for uid in uids], []))
        self.uids: list[str] = []
        self.body = b""
        self.requests: list[list[str]] = []

    def __call__(self, path: str, body: bytes) -> tuple[int, object]:
        """Answer one request."""
        if not body:
            return 200, []
        self.body = body
        asked = [uid for uid in self.uids if uid.encode() in body]
        self.requests.append(asked)
        return self.answer(asked)

    def count(self, uid: str) -> int:
        """Return how often an instance was sent."""
        return sum(uid in asked for asked in self.requests)


@pytest.fixture
def server() -> Server:
    """Give a server that stores all."""
    return Server()


@pytest.fixture
def desk(tmp_path: Path, server: Server) -> Iterator[Desk]:
    """Deliver to that server; the rows are checked at the end."""
    with ExitStack() as stack:
        url = stack.enter_context(http_server(server))
        terms = Terms(retries=Retries(attempts=6))
        made = Desk(tmp_path, {"pacs": DicomwebSender("pacs", url)}, {"pacs": terms})
        stack.callback(made.close)
        stack.callback(made.check)
        yield made


@pytest.mark.parametrize("status", [200, 202, 409])
def test_each_instance_is_judged_by_its_own_word(server: Server, desk: Desk, status: int) -> None:
    """Stored, stored with a warning, refused for good, refused for now, not mentioned."""
    uids = server.uids = desk.add("b", 5)

    def first(asked: list[str]) -> tuple[int, object]:
        server.answer = lambda again: (200, response([item(uid) for uid in again], []))
        stored = [item(uids[0]), item(uids[1], warning=0xB000)]
        return status, response(
            stored, [item(uids[2], failure=0xC122), item(uids[3], failure=0xA700)]
        )

    server.answer = first
    desk.look()
    assert desk.states() == ["delivered", "delivered", "parked", "pending", "pending"]
    desk.check()
    desk.go_on()

    assert desk.states() == ["delivered", "delivered", "parked", "delivered", "delivered"]
    assert "B000" in desk.reasons()[1]
    assert "C122" in desk.reasons()[2]
    assert [server.count(uid) for uid in uids] == [1, 1, 1, 2, 2]


def test_busy_and_then_not(server: Server, desk: Desk) -> None:
    """503 is said of the moment."""
    uids = server.uids = desk.add("b", 3)
    usual = server.answer
    server.answer = lambda asked: (503, None) if len(server.requests) < 3 else usual(asked)

    desk.look()
    assert desk.states() == ["pending"] * 3
    assert "503" in desk.reasons()[0]
    desk.check()
    desk.go_on()

    assert desk.states() == ["delivered"] * 3
    assert uids == sorted(server.uids)


def test_dropped_connection(server: Server, desk: Desk) -> None:
    """It may have stored them all: they are sent again, and the peer knows them."""
    server.uids = desk.add("b", 3)
    usual = server.answer

    def hang_up_once(_asked: list[str]) -> tuple[int, object]:
        server.answer = usual
        raise ConnectionAbortedError

    server.answer = hang_up_once
    desk.look()
    assert desk.states() == ["pending"] * 3
    assert "no answer" in desk.reasons()[0]
    desk.check()
    desk.go_on()

    assert desk.states() == ["delivered"] * 3


@pytest.mark.parametrize("how", ["hangs up", "500"])
def test_an_instance_that_fells_the_server_keeps_nobody_back(
    server: Server, desk: Desk, how: str
) -> None:
    """After two attempts in company each goes alone; in the end one is parked."""
    uids = server.uids = desk.add("b", 6)
    usual = server.answer

    def fall_over(asked: list[str]) -> tuple[int, object]:
        if uids[0] in asked:
            if how == "500":
                return 500, None
            raise ConnectionAbortedError
        return usual(asked)

    server.answer = fall_over
    desk.go_on()

    assert desk.states() == ["parked"] + ["delivered"] * 5
    assert "gave up after" in desk.reasons()[0]


@pytest.mark.parametrize("status", [400, 413])
def test_a_refusal_of_the_whole_request_is_asked_again_in_halves(
    server: Server, desk: Desk, status: int
) -> None:
    """One bad file, or a proxy's limit on the size: the others go at once."""
    uids = server.uids = desk.add("b", 8)
    usual = server.answer
    server.answer = lambda asked: (
        (status, None) if uids[5] in asked or len(asked) > 3 else usual(asked)
    )

    desk.look()

    assert desk.states() == ["delivered"] * 5 + ["parked"] + ["delivered"] * 2
    assert str(status) in desk.reasons()[5]


@pytest.mark.parametrize("how", ["C122", "415"])
def test_a_server_that_refuses_the_syntax_gets_the_pixels_decoded(
    server: Server, desk: Desk, how: str
) -> None:
    """Within the same attempt, and only those; a plain instance it refuses stays refused."""
    packed = desk.add("packed", 2, syntax=RLELossless)
    plain = desk.add("plain", 2)
    server.uids = [*packed, *plain]

    def answer(asked: list[str]) -> tuple[int, object]:
        refused = [u for u in asked if RLELossless.encode() in server.body or u == plain[0]]
        if not refused:
            return 200, response([item(uid) for uid in asked], [])
        if how == "415":
            return 415, None
        stored = [item(uid) for uid in asked if uid not in refused]
        return 202, response(stored, [item(uid, failure=0xC122) for uid in refused])

    server.answer = answer
    for _ in range(2):
        desk.look()

    assert desk.states(packed) == ["delivered"] * 2
    assert desk.states(plain) == ["parked", "delivered"]


def test_cancelled_between_two_requests(server: Server, desk: Desk) -> None:
    """Sixty instances are two requests; what is cancelled during the first is not in the next."""
    uids = server.uids = desk.add("b", 60)
    usual = server.answer

    def cancel(asked: list[str]) -> tuple[int, object]:
        desk.catalog.orders.give(CANCEL, Scope("pacs"), desk.now)
        return usual(asked)

    server.answer = cancel
    desk.go_on()

    assert [len(asked) for asked in server.requests] == [50]
    assert sorted(desk.states()) == ["cancelled"] * 10 + ["delivered"] * 50
    server.answer = usual
    desk.catalog.orders.give(REPLAY, Scope("pacs"), desk.now)
    desk.go_on()
    assert desk.states() == ["delivered"] * 60
    assert sum(server.count(uid) for uid in uids) == 60


@pytest.mark.parametrize(("status", "there"), [(405, True), (501, True), (404, False)])
def test_a_server_without_qido_is_there(status: int, there: bool) -> None:
    """Else its circuit, once open, would never close; 404 may be a wrong path."""
    with http_server(lambda _path, _body: (status, None)) as url:
        sender = DicomwebSender("web", url)
        if there:
            assert "not to QIDO-RS" in sender.check()
        else:
            with pytest.raises(TransientDeliveryError, match="404"):
                sender.check()
