"""Audit messages over the wire: TLS, TCP, UDP; a collector that dies."""

import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from pynetdicom import AE
from typer.testing import CliRunner

from node.audit.auditor import Auditor
from node.audit.reporting import auditor_of
from node.audit.syslog import Collector
from node.cli import radnode
from node.errors import TransientDeliveryError
from node.settings import NodeSection, Settings
from node.settings.tls import ClientTls, server_context
from node.settings.trust import AuditSection, Source
from node.store.catalog import Catalog
from tests.audit_schema import faults
from tests.certificates import Authority
from tests.collecting import Collecting
from tests.node_process import wait_for
from tests.outbound import STUDY, ct_slice
from tests.peers import free_port
from tests.receiver import running_receiver, send


def test_messages_arrive_over_tls_with_both_sides_proven(signer: Authority) -> None:
    """And not where the collector is a stranger, or wants a certificate we lack."""
    receiver = Collecting(server_context(signer.pair(), signer.ca, "required"))
    trusted = ClientTls(signer.ca, signer.pair("radnode"))
    sent = [b"one", b"two with spaces", bytes(100_000)]
    Collector("localhost", receiver.port, "tls", trusted).deliver(sent)
    wait_for(lambda: len(receiver.messages) == 3, "the messages", 20)
    assert receiver.messages == sent
    for wrong in (ClientTls(signer.ca), ClientTls(None, signer.pair("radnode"))):
        with pytest.raises(TransientDeliveryError, match=r"tls localhost:\d+: "):
            Collector("localhost", receiver.port, "tls", wrong).deliver(sent)
    receiver.close()
    assert receiver.messages == sent


def test_a_collector_of_openssl_takes_them(tmp_path: Path, signer: Authority) -> None:
    """An end of TLS that is not ours: `openssl s_server`, which wants a client certificate."""
    program = shutil.which("openssl")
    assert program is not None
    own, port = signer.pair(), free_port()
    command = [program, "s_server", "-accept", str(port), "-quiet", "-naccept", "1"]
    command += ["-cert", str(own.certificate), "-key", str(own.key)]
    command += ["-CAfile", str(signer.ca), "-Verify", "1"]
    with (
        (tmp_path / "out").open("wb") as out,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.DEVNULL
        ) as server,
    ):
        to = Collector("localhost", port, "tls", ClientTls(signer.ca, signer.pair("radnode")))

        def delivered() -> bool:
            try:
                to.deliver([b"one", b"two"])
            except TransientDeliveryError:
                return False
            return True

        wait_for(delivered, "openssl s_server", 20)
        server.wait(timeout=20)
    assert (tmp_path / "out").read_bytes() == b"3 one3 two"


def test_a_collector_that_resets_the_connection_has_not_taken_them() -> None:
    """Its buffer died with it: they are sent again."""
    receiver = Collecting(resets=1)
    to = Collector("127.0.0.1", receiver.port, "tcp")
    with pytest.raises(TransientDeliveryError):
        to.deliver([b"one"])
    to.deliver([b"one"])
    receiver.close()
    assert receiver.messages == [b"one"]


def test_messages_arrive_over_udp() -> None:
    """One datagram each; one that fits in none is an error, not a loss."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(20)
        to = Collector("127.0.0.1", receiver.getsockname()[1], "udp")
        to.deliver([b"one", b"two"])
        assert [receiver.recv(100), receiver.recv(100)] == [b"one", b"two"]
        with pytest.raises(TransientDeliveryError, match="too long"):
            to.deliver([bytes(70_000)])


def auditor(node_settings: Settings, catalog: object) -> Auditor:
    """Return the auditor of these settings."""
    made = auditor_of(node_settings, catalog)  # type: ignore[arg-type]
    assert made is not None
    return made


def test_a_received_study_and_a_rejected_node_are_told(tmp_path: Path) -> None:
    """From the association to the collector; the study by its UID, the patient not at all."""
    receiver = Collecting()
    wanted = AuditSection(host="127.0.0.1", port=receiver.port, transport="tcp")
    settings = Settings(node=NodeSection(), audit=wanted)
    with running_receiver(tmp_path, sources=(Source(ae_title="SCANNER"),)) as node:
        assoc = node.associate()
        for number in range(3):
            assert send(assoc, ct_slice(number)) == 0x0000
        assoc.release()
        reject_a_stranger(node.scp.server_address)
        wait_for(lambda: bool(node.catalog.access.rejections()), "the rejection", 20)
        auditor(settings, node.catalog).tick()
    receiver.close()
    told = [message.partition(b"\xef\xbb\xbf")[2] for message in receiver.messages]
    assert [fault for one in told for fault in faults(one)] == []
    events = [re.findall(rb'<EventID csd-code="(\d+)"', one)[0] for one in told]
    assert sorted(events) == [b"110104", b"110113"]
    transferred = told[events.index(b"110104")]
    assert STUDY.encode() in transferred
    assert b'NumberOfInstances="3"' in transferred
    assert b'UserID="SCANNER"' in transferred
    assert b'NetworkAccessPointID="127.0.0.1"' in transferred
    whole = b"".join(receiver.messages)
    assert b"Made^Up" not in whole
    assert b"MADE-UP" not in whole


def reject_a_stranger(address: tuple[str, int]) -> None:
    """Ask for an association under a title nobody listed."""
    ae = AE("STRANGER")
    ae.add_requested_context("1.2.840.10008.1.1")
    assert ae.associate(*address, ae_title="RADNODE").is_rejected


def test_a_process_tells_its_begin_and_its_end(tmp_path: Path) -> None:
    """The receiver and the auditor as `radnode run` starts them; the auditor is killed between."""
    receiver = Collecting()
    config = tmp_path / "node.toml"
    config.write_text(
        f'[node]\nbind = "127.0.0.1"\nport = {free_port()}\ndata = "data"\n'
        f'[audit]\nhost = "127.0.0.1"\nport = {receiver.port}\ntransport = "tcp"\n',
        encoding="utf-8",
    )
    with (
        running_role("receive", config) as scp,
        running_role("audit", config) as first,
    ):
        wait_for(lambda: told(receiver, b"110120") == {b"receiver"}, "the begin")
        with closing(Catalog(f"sqlite:///{tmp_path / 'data' / 'catalog.sqlite'}")) as catalog:
            # Killed before it has noted that, it would be told twice.
            wait_for(lambda: not catalog.outbox.backlog(1), "the begin to count as told")
        first.kill()
        first.wait()
        scp.terminate()
        scp.wait()
        with running_role("audit", config):
            wait_for(lambda: told(receiver, b"110121") == {b"receiver"}, "the end")
    receiver.close()
    assert len(receiver.messages) == 2


@contextmanager
def running_role(role: str, config: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run one process of a node."""
    command = [sys.executable, "-m", "node.cli", role, "--config", str(config)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()


def told(receiver: Collecting, kind: bytes) -> set[bytes]:
    """Return the roles that told an event type."""
    return {
        re.findall(rb'UserID="(\w+):\d+"', one)[0]
        for one in list(receiver.messages)
        if b'csd-code="' + kind in one
    }


def test_radnode_check_looks_at_the_doors(tmp_path: Path, signer: Authority) -> None:
    """Who may send, how long our certificate lasts, whether the collector takes ours."""
    receiver = Collecting(server_context(signer.pair(), signer.ca, "required"))
    own = signer.pair("radnode")
    files = f'certificate_file = "{own.certificate}", key_file = "{own.key}"'
    config = tmp_path / "node.toml"
    audit = f'[audit]\nhost = "localhost"\nport = {receiver.port}\n'
    config.write_text(
        f'[tls]\ncertificate_file = "{own.certificate}"\nkey_file = "{own.key}"\n'
        f'ca_file = "{signer.ca}"\n{audit}tls = {{ ca_file = "{signer.ca}", {files} }}\n'
        '[[sources]]\nae_title = "CT1"\n',
        encoding="utf-8",
    )
    shown = CliRunner().invoke(radnode, ["check", "--config", str(config)])
    assert shown.exit_code == 0, shown.output
    assert "sources: 1 listed, all others are rejected" in shown.output
    assert "client certificate required, ours is valid until 20" in shown.output
    assert f"audit: ok, tls localhost:{receiver.port}" in shown.output

    config.write_text(audit, encoding="utf-8")
    shown = CliRunner().invoke(radnode, ["check", "--config", str(config)])
    assert shown.exit_code == 1
    assert "sources: none are listed, so anybody may send" in shown.output
    assert f"audit: tls localhost:{receiver.port}: certificate refused" in shown.output
    receiver.close()
    assert receiver.messages == []
