"""Hundreds of bad connections leave nothing behind: no thread, no socket, one row."""

import contextlib
import gc
import socket
import threading
from pathlib import Path

from node.settings import ReceiveSection
from node.settings.trust import Source, TlsSection
from tests.certificates import Authority
from tests.node_process import wait_for
from tests.receiver import running_receiver

FLOOD = 200


def open_sockets() -> int:
    """Return how many sockets this process holds."""
    gc.collect()
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += str(link.readlink()).startswith("socket:")
    return found


def test_a_flood_of_bad_connections_leaves_nothing_behind(
    tmp_path: Path, signer: Authority
) -> None:
    """Garbage to the TLS port, silence that hangs up, and strangers; each two hundred times."""
    own = signer.pair()
    (tmp_path / "node").mkdir()
    section = TlsSection(
        port=0, certificate_file=own.certificate, key_file=own.key, ca_file=signer.ca
    )
    patience = ReceiveSection(negotiation_timeout_s=5, maximum_associations=1000)
    with running_receiver(
        tmp_path / "node", patience, tls=section, sources=(Source(ae_title="CT1"),)
    ) as node:
        assert node.associate().is_rejected  # what is made once is made by now
        threads, sockets = threading.active_count(), open_sockets()
        for _ in range(FLOOD):
            with socket.create_connection(node.scp.tls_address) as wire:
                wire.sendall(b"GET / HTTP/1.0\r\n\r\n")
            with socket.create_connection(node.scp.server_address):
                pass
        for _ in range(FLOOD // 10):
            assert node.associate().is_rejected

        def counted(title: str) -> int:
            rows = node.catalog.access.rejections()
            return sum(row.times for row in rows if row.peer.calling_ae == title)

        wait_for(lambda: counted("") == FLOOD, "the handshakes to be counted", 60)
        wait_for(lambda: counted("SCANNER") == 1 + FLOOD // 10, "the strangers", 60)
        wait_for(lambda: threading.active_count() <= threads, "the threads", 60)
        wait_for(lambda: open_sockets() <= sockets, "the sockets", 60)
        assert len(node.catalog.access.rejections()) <= 3
