"""Certificate files are looked at before they are needed; TLS is what BCP 195 asks for."""

import socket
import ssl
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from node.errors import ConfigError
from node.settings.certificates import examine
from node.settings.tls import (
    SUITES,
    ClientTls,
    KeyPair,
    Renewed,
    client_context,
    server_context,
)
from tests.certificates import Authority, authority

NOW = datetime.now(UTC)


def shaken(server: ssl.SSLContext, client: ssl.SSLContext, name: str = "localhost") -> str:
    """Shake hands in memory; return the version and suite agreed on."""
    left, right = socket.socketpair()
    agreed: list[str] = []

    def serve() -> None:
        try:
            with server.wrap_socket(left, server_side=True) as secured:
                secured.recv(1)
        except OSError:
            left.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(right, server_hostname=name) as secured:
            cipher = secured.cipher()
            assert cipher is not None
            agreed += [str(secured.version()), cipher[0]]
            secured.sendall(b"x")
    finally:
        right.close()
        thread.join()
    return " ".join(agreed)


def test_a_good_pair_does_not_raise(signer: Authority) -> None:
    """Nothing to say about it."""
    examine(signer.pair(), signer.ca, NOW)


def test_a_missing_file_is_named(signer: Authority, tmp_path: Path) -> None:
    """Which file, and why it cannot be read."""
    own = signer.pair()
    with pytest.raises(ConfigError, match=r"nowhere\.crt: No such file"):
        examine(KeyPair(tmp_path / "nowhere.crt", own.key), None, NOW)
    with pytest.raises(ConfigError, match=r"nowhere\.key: No such file"):
        examine(KeyPair(own.certificate, tmp_path / "nowhere.key"), None, NOW)
    with pytest.raises(ConfigError, match=r"nowhere\.ca: No such file"):
        examine(None, tmp_path / "nowhere.ca", NOW)


def test_a_key_of_another_certificate_is_refused(signer: Authority) -> None:
    """The usual slip at renewal."""
    one, other = signer.pair(), signer.pair()
    with pytest.raises(ConfigError, match="does not belong to certificate"):
        examine(KeyPair(one.certificate, other.key), None, NOW)


def test_an_expired_certificate_is_refused(signer: Authority) -> None:
    """Every peer would refuse it anyway, with a worse message."""
    with pytest.raises(ConfigError, match=r"expired on \d{4}-\d\d-\d\d: renew it"):
        examine(signer.pair(days=-1), None, NOW)


def test_a_certificate_of_the_future_points_at_the_clock(signer: Authority) -> None:
    """A machine that starts in 1970."""
    with pytest.raises(ConfigError, match="clock"):
        examine(signer.pair(), None, datetime(1970, 1, 1, tzinfo=UTC))


def test_an_encrypted_key_is_refused(signer: Authority) -> None:
    """Nobody is there to enter the passphrase."""
    with pytest.raises(ConfigError, match="is encrypted"):
        examine(signer.pair(passphrase=b"open sesame"), None, NOW)


def test_what_is_no_pem_is_refused(signer: Authority, tmp_path: Path) -> None:
    """DER, or a picture."""
    (tmp_path / "x").write_bytes(b"\x30\x82")
    own = signer.pair()
    with pytest.raises(ConfigError, match="no certificate"):
        examine(KeyPair(tmp_path / "x", own.key), None, NOW)
    with pytest.raises(ConfigError, match="no private key"):
        examine(KeyPair(own.certificate, tmp_path / "x"), None, NOW)


def test_both_versions_are_spoken_with_forward_secrecy(signer: Authority) -> None:
    """TLS 1.3 where the peer can, else 1.2 with one of the suites of RFC 9325."""
    server = server_context(signer.pair(), None, "none")
    client = client_context(ClientTls(signer.ca))
    assert shaken(server, client).startswith("TLSv1.3")

    client.maximum_version = ssl.TLSVersion.TLSv1_2
    version, suite = shaken(server, client).split()
    assert version == "TLSv1.2"
    assert suite in SUITES


@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA"])
def test_a_suite_without_authenticated_encryption_is_refused(
    signer: Authority, suite: str
) -> None:
    """CBC suites, which scanners of ten years ago still offer."""
    weak = ssl.create_default_context(cafile=str(signer.ca))
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers(suite)
    with pytest.raises(ssl.SSLError):
        shaken(server_context(signer.pair(), None, "none"), weak)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_1_1_is_refused(signer: Authority) -> None:
    """RFC 8996."""
    old = ssl.create_default_context(cafile=str(signer.ca))
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1_1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        shaken(server_context(signer.pair(), None, "none"), old)


def test_a_stranger_is_not_trusted_and_the_reason_is_kept(
    signer: Authority, tmp_path: Path
) -> None:
    """Another authority, another name, an expired certificate."""
    strange = authority(tmp_path / "strange", "somebody else")
    for server, name, reason in (
        (strange.pair(), "localhost", "certificate refused"),
        (signer.pair(), "pacs.example.org", "mismatch"),
        (signer.pair(days=-1), "localhost", "expired"),
    ):
        context = client_context(ClientTls(signer.ca))
        with pytest.raises(ssl.SSLError):
            shaken(server_context(server, None, "none"), context, name)
        assert reason in context.failure


def test_a_common_name_does_not_count(signer: Authority) -> None:
    """RFC 9525: of a server either, also where there is no other name at all."""
    for names in ([], [x509.DNSName("other.example.org")]):
        server = server_context(signer.pair("pacs.example.org", names=names), None, "none")
        context = client_context(ClientTls(signer.ca))
        with pytest.raises(ssl.SSLError):
            shaken(server, context, "pacs.example.org")


def test_another_name_is_taken_only_where_it_is_said_so(signer: Authority) -> None:
    """The authority still counts."""
    context = client_context(ClientTls(signer.ca, check_name=False))
    assert shaken(server_context(signer.pair(), None, "none"), context, "pacs.example.org")


def test_a_client_without_certificate_is_refused_where_one_is_required(
    signer: Authority,
) -> None:
    """Optional takes it."""
    server = signer.pair()
    bare = client_context(ClientTls(signer.ca))
    bare.maximum_version = ssl.TLSVersion.TLSv1_2  # 1.3 tells only at the first read
    assert shaken(server_context(server, signer.ca, "optional"), bare)
    with pytest.raises(ssl.SSLError):
        shaken(server_context(server, signer.ca, "required"), bare)
    known = client_context(ClientTls(signer.ca, signer.pair("scanner")))
    assert shaken(server_context(server, signer.ca, "required"), known)


def test_a_renewed_certificate_counts_and_a_broken_one_does_not(signer: Authority) -> None:
    """Without a restart; half-written files leave the old one in service."""
    own, new = signer.pair("old"), signer.pair("new")
    context = Renewed(own, None, "none")
    first = context()
    assert context() is first

    own.certificate.write_bytes(b"")
    assert context() is first

    own.certificate.write_bytes(new.certificate.read_bytes())
    own.key.write_bytes(new.key.read_bytes())
    assert context() is not first
