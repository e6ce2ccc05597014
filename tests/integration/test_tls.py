"""DICOM over TLS with real peers: ourselves, dcmtk, Orthanc; into the node and out of it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]
from typer.testing import CliRunner

from node.cli import radnode
from node.deliver.dimse import DimseSender
from node.errors import TransientDeliveryError
from node.settings.tls import ClientTls, KeyPair, server_context
from node.settings.trust import TlsSection
from tests.certificates import Authority, authority
from tests.outbound import series
from tests.peers import NO_NAGLE, free_port, running_orthanc
from tests.receiver import Node, running_receiver, sender


@contextmanager
def receiver(folder: Path, own: KeyPair, ca: Path | None, wanted: Any) -> Iterator[Node]:
    """Run a receiver with both ports."""
    folder.mkdir()
    section = TlsSection(
        port=0,
        certificate_file=own.certificate,
        key_file=own.key,
        ca_file=ca,
        client_certificate=wanted,
    )
    with running_receiver(folder, tls=section) as node:
        yield node


def test_our_own_sender_and_receiver_speak_tls_both_ways_proven(
    tmp_path: Path, signer: Authority
) -> None:
    """Mutual TLS; the plain port goes on beside it."""
    with receiver(tmp_path / "node", signer.pair(), signer.ca, "required") as node:
        trusted = ClientTls(signer.ca, signer.pair("scanner"))
        outcomes = list(
            sender(node.scp.tls_address[1], trusted).send(series(tmp_path / "a", 3, side=1024))
        )
        assert [one.state for one in outcomes] == ["delivered"] * 3
        assert len(node.stored()) == 3
        assert "0000" in sender(node.scp.server_address[1], None).check()


def test_the_plain_port_can_be_closed(tmp_path: Path, signer: Authority) -> None:
    """TLS instead of the plain listener."""
    own = signer.pair()
    (tmp_path / "node").mkdir()
    section = TlsSection(
        port=0,
        certificate_file=own.certificate,
        key_file=own.key,
        client_certificate="none",
        plain_port=False,
    )
    with running_receiver(tmp_path / "node", tls=section) as node:
        assert list(node.scp.addresses) == ["tls"]
        assert "0000" in sender(node.scp.tls_address[1], ClientTls(signer.ca)).check()


def test_who_cannot_prove_itself_does_not_get_in(tmp_path: Path, signer: Authority) -> None:
    """No certificate, one of a stranger, and no TLS at all; the next good one is served."""
    strange = authority(tmp_path / "strange", "somebody else").pair("scanner")
    with receiver(tmp_path / "node", signer.pair(), signer.ca, "required") as node:
        port = node.scp.tls_address[1]
        for trusted in (ClientTls(signer.ca), ClientTls(signer.ca, strange), None):
            with pytest.raises(TransientDeliveryError):
                sender(port, trusted).check()
        good = ClientTls(signer.ca, signer.pair("scanner"))
        assert "0000" in sender(port, good).check()


def test_the_reason_of_a_refused_certificate_is_told(tmp_path: Path, signer: Authority) -> None:
    """By the side that refuses, and by the side that is refused."""
    other = authority(tmp_path / "other", "other")
    with receiver(tmp_path / "node", signer.pair(), signer.ca, "required") as node:
        port = node.scp.tls_address[1]
        with pytest.raises(TransientDeliveryError, match="TLS: certificate refused"):
            sender(port, ClientTls(other.ca)).check()
        with pytest.raises(TransientDeliveryError, match=r"TLS: .*certificate required"):
            sender(port, ClientTls(signer.ca)).check()


def test_a_certificate_that_vanished_is_a_retry(tmp_path: Path, signer: Authority) -> None:
    """Somebody is renewing it."""
    gone = ClientTls(signer.ca, KeyPair(tmp_path / "gone.crt", tmp_path / "gone.key"))
    (outcome,) = sender(1, gone).send(series(tmp_path / "a", 1))
    assert outcome.state == "retry"
    assert "gone.crt" in outcome.reason


def test_delivery_to_a_pynetdicom_scp_checks_its_name(tmp_path: Path, signer: Authority) -> None:
    """A certificate for another machine is refused unless the settings name that machine."""
    ae = AE("PACS")
    ae.add_supported_context(CTImageStorage)
    context = server_context(signer.pair("pacs.example.org"), None, "none")
    server = ae.start_server(
        ("127.0.0.1", 0),
        block=False,
        ssl_context=context,
        evt_handlers=[(evt.EVT_C_STORE, lambda event: 0x0000)],
    )
    assert server is not None
    port = int(server.server_address[1])
    try:
        wrong = ClientTls(signer.ca, server_name="ris.example.org")
        (outcome,) = sender(port, wrong, "PACS").send(series(tmp_path / "a", 1))
        assert outcome.state == "retry"
        assert "certificate refused" in outcome.reason
        right = ClientTls(signer.ca, server_name="pacs.example.org")
        (outcome,) = sender(port, right, "PACS").send(series(tmp_path / "b", 1))
        assert outcome.state == "delivered"
    finally:
        server.shutdown()


@pytest.mark.dcmtk
@pytest.mark.parametrize("profile", ["+px", "+py"], ids=["BCP 195", "non-downgrading BCP 195"])
def test_dcmtk_sends_over_tls(
    tmp_path: Path, signer: Authority, dcmtk: dict[str, str], profile: str
) -> None:
    """Storescu with a client certificate; without one it is refused."""
    sent = series(tmp_path / "a", 3, side=1024)  # 2 MiB each: many PDUs and TLS records
    files = [str(one.path) for one in sent]
    with receiver(tmp_path / "node", signer.pair(), signer.ca, "required") as node:
        own = signer.pair("scanner")
        to = ["-aec", "RADNODE", "localhost", str(node.scp.tls_address[1])]
        trust = ["+cf", str(signer.ca)]
        known = ["+tls", str(own.key), str(own.certificate), *trust, profile]
        subprocess.run([dcmtk["echoscu"], *known, *to], check=True, timeout=60)
        subprocess.run([dcmtk["storescu"], *known, *to, *files], check=True, timeout=60)
        assert len(node.stored()) == 3
        bare = subprocess.run(
            [dcmtk["echoscu"], "+tla", *trust, *to], capture_output=True, timeout=60
        )
        assert bare.returncode != 0


@pytest.mark.dcmtk
def test_dcmtk_takes_over_tls(tmp_path: Path, signer: Authority, dcmtk: dict[str, str]) -> None:
    """Storescp that requires our certificate."""
    port, own, inbox = free_port(), signer.pair(), tmp_path / "inbox"
    inbox.mkdir()
    command = [dcmtk["storescp"], "+tls", str(own.key), str(own.certificate)]
    command += ["+cf", str(signer.ca), "-rc", "-od", str(inbox), str(port)]
    trusted = ClientTls(signer.ca, signer.pair("radnode"))
    with subprocess.Popen(command, env=os.environ | NO_NAGLE) as process:
        try:
            wait_for_echo(sender(port, trusted, "STORESCP"))
            outcomes = list(sender(port, trusted, "STORESCP").send(series(tmp_path / "a", 3)))
            with pytest.raises(TransientDeliveryError):
                sender(port, ClientTls(signer.ca), "STORESCP").check()
        finally:
            process.terminate()
    assert [one.state for one in outcomes] == ["delivered"] * 3
    assert len(list(inbox.iterdir())) == 3


def wait_for_echo(to: DimseSender) -> None:
    """Wait until a peer that was just started answers."""
    for _ in range(600):
        try:
            to.check()
        except TransientDeliveryError:
            continue
        return
    pytest.fail("the peer did not come up")


@pytest.mark.orthanc
def test_orthanc_takes_and_sends_over_tls(tmp_path: Path, signer: Authority) -> None:
    """Mutual TLS both ways: node to Orthanc, and the same instances back to another node."""
    orthanc_own, node_own = signer.pair("orthanc"), signer.pair("radnode")
    folder = tmp_path / "orthanc"
    folder.mkdir()
    with receiver(tmp_path / "node", node_own, signer.ca, "required") as node:
        modality = {
            "AET": "RADNODE",
            "Host": "localhost",
            "Port": node.scp.tls_address[1],
            "UseDicomTls": True,
        }
        with running_orthanc(
            folder,
            DicomTlsEnabled=True,
            DicomTlsCertificate=str(orthanc_own.certificate),
            DicomTlsPrivateKey=str(orthanc_own.key),
            DicomTlsTrustedCertificates=str(signer.ca),
            DicomTlsRemoteCertificateRequired=True,
            DicomModalities={"node": modality},
        ) as orthanc:
            trusted = ClientTls(signer.ca, node_own)
            to = sender(orthanc.dicom_port, trusted, orthanc.ae_title)
            sent = series(tmp_path / "a", 3, side=1024)
            assert [one.state for one in to.send(sent)] == ["delivered"] * 3
            assert orthanc.sop_instance_uids() == {one.sop_instance_uid for one in sent}
            with pytest.raises(TransientDeliveryError):
                sender(orthanc.dicom_port, ClientTls(signer.ca), orthanc.ae_title).check()

            orthanc.post("/modalities/node/store", orthanc.get("/instances"))
            assert {path.stem for path in node.stored()} == {one.sop_instance_uid for one in sent}


@pytest.mark.parametrize(("days", "code"), [(2, 0), (-1, 2)])
def test_radnode_check_refuses_an_expired_certificate(
    tmp_path: Path, signer: Authority, days: int, code: int
) -> None:
    """It is a mistake in the settings: exit code 2, with the file and what to do."""
    own = signer.pair(days=days)
    config = tmp_path / "node.toml"
    config.write_text(
        f'[tls]\ncertificate_file = "{own.certificate}"\nkey_file = "{own.key}"\n'
        'client_certificate = "none"\n',
        encoding="utf-8",
    )
    shown = CliRunner().invoke(radnode, ["check", "--config", str(config)])
    assert shown.exit_code == code
    assert ("renew it" in shown.output) is (code == 2)
