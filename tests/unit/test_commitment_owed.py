"""Reports that are owed: one peer that is away must not keep the others from theirs."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.deliver.association import Peer
from node.receive.commitment_scp import CommitmentScp
from node.store.catalog import Catalog
from node.store.commitments import Reference
from node.store.instances import InstanceFiles

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
    tmp_path: Path, away: Away
) -> None:
    """Each call may take as long as a connection may: ten of them held up everybody's reports."""
    catalog = Catalog(f"sqlite:///{tmp_path / 'catalog.sqlite'}")
    catalog.upgrade()
    for number in range(10):
        assert catalog.promise(f"2.25.{number + 1}", "SCANNER", WANTED, 100.0 + number)
    peer = Peer("SCANNER", "127.0.0.1", away.port, "RADNODE", connect_s=10)
    scp = CommitmentScp(catalog, InstanceFiles(tmp_path), {"SCANNER": peer}, lambda: 200.0)

    scp.report_owed()

    assert away.calls == 1
    assert catalog.owed(200.0) == []
    later = catalog.owed(1e9)
    assert [(one.state, one.attempts) for one in later] == [("owed", 1)] * 10
    assert all(one.reason for one in later)
    catalog.close()
