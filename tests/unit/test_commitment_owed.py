"""Reports that are owed: one peer that is away must not keep the others from theirs."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from node.commitment.messages import report_of
from node.deliver.association import Peer
from node.deliver.attempts import MAXIMUM_ATTEMPTS
from node.model.commitment import Reference
from node.model.states import PromiseState, WorkState
from node.model.work import Task, WorkKind
from node.pipeline.due import DueWork, Handler, in_turn
from node.pipeline.owed import OwedReports
from node.receive.commitment_scp import CommitmentScp
from node.store.catalog import Catalog
from node.store.files import InstanceFiles
from tests.inline_jobs import InlineJobs
from tests.store_rows import open_catalog

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


@pytest.fixture
def owing(tmp_path: Path) -> Iterator[Catalog]:
    """Give a catalog whose clock the test has."""
    made = open_catalog(f"sqlite:///{tmp_path / 'owing.sqlite'}", lambda: 200.0)
    yield made
    made.close()


def _owe(catalog: Catalog, *numbers: int) -> None:
    """Let reports be owed that did not get through on the association they were asked on."""
    for number in numbers:
        report = catalog.promises.promise(
            f"2.25.{number}", "SCANNER", WANTED, "receiver", 100.0 + number
        )
        assert report is not None
        assert catalog.work.later(report, 0.0, attempts=0)


def _work_on(catalog: Catalog, folder: Path, port: int) -> None:
    """Do what is due, as a worker does in a while."""
    peer = Peer("SCANNER", "127.0.0.1", port, "RADNODE", connect_s=10)
    owed = OwedReports(
        catalog, InstanceFiles(folder), {"SCANNER": peer}, lambda: 200.0, lambda: 0.5
    )
    due = DueWork(InlineJobs(), catalog.claims, "worker")
    due.add([Handler(WorkKind.REPORT, 4, owed.report, owed.bury, in_turn(per_lane=1))])
    for _ in range(20):
        due.look(WorkKind.REPORT)


def test_a_peer_that_is_away_is_called_once_for_all_that_it_is_owed(
    owing: Catalog, tmp_path: Path, away: Away
) -> None:
    """Each call may take as long as a connection may: ten of them held up everybody's reports."""
    _owe(owing, *range(10))

    _work_on(owing, tmp_path, away.port)

    assert away.calls == 1
    later = owing.work.open(WorkKind.REPORT, "SCANNER")
    assert [(one.state, one.attempts) for one in later] == [(WorkState.WAITING, 1)] * 10
    assert all(one.due_at > 200.0 and one.reason for one in later)


def test_what_nobody_foresaw_in_one_report_holds_up_no_other(
    owing: Catalog, tmp_path: Path, away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect that shows with one request only would else come first at every look."""
    _owe(owing, 1, 2, 3)

    def spoiled(transaction_uid: str, *rest: Any) -> Any:
        if transaction_uid == "2.25.1":
            raise ValueError("DOE^JOHN")
        return report_of(transaction_uid, *rest)

    monkeypatch.setattr("node.commitment.tell.report_of", spoiled)

    with capture_logs() as said:
        _work_on(owing, tmp_path, away.port)

    assert away.calls == 1
    later = owing.work.open(WorkKind.REPORT, "SCANNER")
    assert {one.key: one.attempts for one in later} == {f"2.25.{n}": 1 for n in (1, 2, 3)}
    (spoilt,) = [one for one in later if one.key == "2.25.1"]
    assert spoilt.reason.startswith("ValueError at node.commitment.tell:")
    assert "DOE" not in repr(said)


def test_a_report_that_is_never_taken_is_given_up_with_the_reason(
    owing: Catalog, tmp_path: Path, away: Away
) -> None:
    """The peer may ask again; until then nothing is due."""
    report = owing.promises.promise("2.25.1", "SCANNER", WANTED, "receiver", 100.0)
    assert report is not None
    assert owing.work.later(report, 0.0, attempts=MAXIMUM_ATTEMPTS - 1)

    _work_on(owing, tmp_path, away.port)

    promise = owing.promises.get("2.25.1", "SCANNER")
    assert promise is not None
    assert promise.state is PromiseState.PARKED
    assert promise.reason
    assert owing.work.open(WorkKind.REPORT, "SCANNER") == []


def test_a_receiver_that_ends_leaves_what_it_owes_to_the_worker(
    owing: Catalog, tmp_path: Path
) -> None:
    """And so does one that was killed, at its next start."""
    scp = CommitmentScp(owing, InstanceFiles(tmp_path), "receiver", lambda: 200.0, {})
    assert owing.promises.promise("2.25.1", "SCANNER", WANTED, "receiver", 100.0)
    assert [one.state for one in _open(owing)] == [WorkState.CLAIMED]

    scp.close()

    assert [one.state for one in _open(owing)] == [WorkState.WAITING]
    assert owing.promises.promise("2.25.2", "SCANNER", WANTED, "receiver", 100.0)
    CommitmentScp(owing, InstanceFiles(tmp_path), "receiver", lambda: 200.0, {}).close()
    assert [one.state for one in _open(owing)] == [WorkState.WAITING] * 2


def _open(catalog: Catalog) -> list[Task]:
    return catalog.work.open(WorkKind.REPORT, "SCANNER")
