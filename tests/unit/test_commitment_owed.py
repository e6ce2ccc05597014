"""Reports that are owed: one peer that is away must not keep the others from theirs."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from node.commitment.messages import report_of
from node.deliver.association import Peer
from node.errors import StoreError
from node.receive.commitment_scp import CommitmentScp
from node.store.catalog import Catalog
from node.store.commitments.promises import Promise
from node.store.commitments.requests import Reference
from node.store.files import InstanceFiles

WANTED = [Reference("1.2.840.10008.5.1.4.1.1.2", "1.2.3")]


class Away:
    """Takes connections, closes each at once, and counts them."""

    def __init__(self) -> None:
        self.calls = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            wire, _ = self._server.accept()
            with wire:
                if wire.recv(1) == b"":  # the word to end
                    return
                self.calls += 1

    def close(self) -> None:
        """End it."""
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        self._server.close()


@pytest.fixture
def away() -> Iterator[Away]:
    """Run a peer that is away."""
    made = Away()
    yield made
    made.close()


def test_a_peer_that_is_away_is_called_once_for_all_that_it_is_owed(
    catalog: Catalog, tmp_path: Path, away: Away
) -> None:
    """Each call may take as long as a connection may: ten of them held up everybody's reports."""
    for number in range(10):
        assert catalog.promises.promise(f"2.25.{number + 1}", "SCANNER", WANTED, 100.0 + number)
    peer = Peer("SCANNER", "127.0.0.1", away.port, "RADNODE", connect_s=10)
    scp = CommitmentScp(catalog, InstanceFiles(tmp_path), {"SCANNER": peer}, lambda: 200.0)

    scp.report_owed()

    assert away.calls == 1
    assert catalog.promises.owed(200.0) == []
    later = catalog.promises.owed(1e9)
    assert [(one.state, one.attempts) for one in later] == [("owed", 1)] * 10
    assert all(one.reason for one in later)


def _scp(
    catalog: Catalog,
    folder: Path,
    peer: Peer,
    wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
) -> CommitmentScp:
    files = InstanceFiles(folder)
    return CommitmentScp(catalog, files, {"SCANNER": peer}, lambda: 200.0, wait=wait)


def test_what_nobody_foresaw_in_one_report_holds_up_no_other(
    catalog: Catalog, tmp_path: Path, away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect that shows with one request only would else come first at every look."""
    for number in range(3):
        assert catalog.promises.promise(f"2.25.{number + 1}", "SCANNER", WANTED, 100.0 + number)

    def spoiled(transaction_uid: str, *rest: Any) -> Any:
        if transaction_uid == "2.25.1":
            raise ValueError("DOE^JOHN")
        return report_of(transaction_uid, *rest)

    monkeypatch.setattr("node.receive.commitment_scp.report_of", spoiled)
    peer = Peer("SCANNER", "127.0.0.1", away.port, "RADNODE", connect_s=10)

    with capture_logs() as said:
        _scp(catalog, tmp_path, peer).report_owed()

    assert away.calls == 1
    assert catalog.promises.owed(200.0) == []
    later = catalog.promises.owed(1e9)
    assert [one.attempts for one in later] == [1] * 3
    assert later[0].reason.startswith("ValueError at node.receive.commitment_scp:")
    assert "DOE" not in repr(said)


@pytest.mark.parametrize("error", [StoreError("the catalog was not read"), ValueError("DOE^JOHN")])
def test_reports_go_on_whatever_happens_and_wait_longer_each_time(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The thread is the only one that reports: were it to end, peers would wait for ever."""
    waited: list[float] = []
    looks = 0
    back = threading.Event()

    def wait(event: threading.Event, seconds: float) -> bool:
        waited.append(seconds)
        return event.wait(0.001)

    def owed(_now: float) -> list[Promise]:
        nonlocal looks
        looks += 1
        if looks <= 10:
            raise error
        if looks > 12:
            back.set()
        return []

    monkeypatch.setattr(catalog.promises, "owed", owed)
    scp = _scp(catalog, tmp_path, Peer("SCANNER", "127.0.0.1", 1, "RADNODE"), wait)
    with capture_logs() as said:
        scp.start()
        went_on = back.wait(10)
        scp.close()

    assert went_on
    assert waited[0] == 1.0
    assert 16.0 <= waited[6] <= 60.0
    assert max(waited) <= 60.0
    assert waited[11] == 1.0
    assert len([one for one in said if one["event"] == "commitment not reported"]) == 10
    assert "DOE" not in repr(said)


def test_a_receiver_that_ends_does_not_wait_for_the_next_try(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute of it would be a minute without a receiver."""
    failing = threading.Event()

    def owed(_now: float) -> list[Promise]:
        failing.set()
        raise ValueError

    def wait(event: threading.Event, seconds: float) -> bool:
        return event.wait(600.0 if failing.is_set() else seconds)

    monkeypatch.setattr(catalog.promises, "owed", owed)
    scp = _scp(catalog, tmp_path, Peer("SCANNER", "127.0.0.1", 1, "RADNODE"), wait)
    scp.start()
    assert failing.wait(30)

    began = time.monotonic()
    scp.close()

    assert time.monotonic() - began < 60
