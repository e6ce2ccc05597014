"""Who may send, over real associations; what an administrator is shown of the rest."""

import threading
from ipaddress import ip_network
from pathlib import Path

import pytest
import structlog
from cryptography import x509
from pynetdicom import AE
from structlog.testing import capture_logs
from typer.testing import CliRunner

from node.cli import radnode
from node.receive.gate import Gate
from node.settings import ReceiveSection
from node.settings.tls import ClientTls
from node.settings.trust import Source, TlsSection
from node.store.access import LIMIT, OTHERS, Rejected
from tests.certificates import Authority
from tests.node_process import wait_for
from tests.outbound import ct_slice
from tests.receiver import running_receiver, send, sender
from tests.store_rows import open_catalog

HERE = Source(ae_title="SCANNER", networks=(ip_network("127.0.0.0/8"),))
ELSEWHERE = Source(ae_title="SCANNER", networks=(ip_network("10.0.0.0/8"),))


def test_an_unlisted_peer_is_rejected_and_kept_for_the_administrator(tmp_path: Path) -> None:
    """Before anything else: the rejection names the calling title, twice it counts two."""
    structlog.reset_defaults()
    other = Source(ae_title="CT1")
    with running_receiver(tmp_path, sources=(other,)) as node:
        with capture_logs() as logs:
            for _ in range(2):
                assoc = node.associate()
                assert assoc.is_rejected
                answer = assoc.acceptor.primitive
                assert answer is not None
                assert (answer.result, answer.result_source, answer.diagnostic) == (1, 1, 3)
            wait_for(lambda: bool(node.catalog.access.rejections()), "the row", 20)
            wait_for(lambda: node.catalog.access.rejections()[0].times == 2, "the count", 20)
        (row,) = node.catalog.access.rejections()
        assert node.catalog.access.visitors() == []
    told = [line for line in logs if line["event"] == "association rejected"]
    assert [line["calling_ae"] for line in told] == ["SCANNER", "SCANNER"]
    assert row.peer == Rejected("SCANNER", "RADNODE", "127.0.0.1", "not among the sources")


@pytest.mark.parametrize(("source", "gets_in"), [(HERE, True), (ELSEWHERE, False)])
def test_the_network_counts(tmp_path: Path, source: Source, gets_in: bool) -> None:
    """A known title from elsewhere is a stranger."""
    with running_receiver(tmp_path, sources=(source,)) as node:
        assoc = node.associate()
        assert assoc.is_established is gets_in
        if gets_in:
            assert send(assoc, ct_slice(1)) == 0x0000
            assoc.release()
            (came,) = node.catalog.access.visitors()
            assert (came.calling_ae, came.called_ae, came.times) == ("SCANNER", "RADNODE", 1)


def test_a_source_may_call_another_title(tmp_path: Path) -> None:
    """The title it calls is what is recorded."""
    source = Source(ae_title="SCANNER", called_ae="OLDPACS")
    with running_receiver(tmp_path, sources=(source,)) as node:
        assert node.associate().is_rejected
        ae = AE("SCANNER")
        ae.add_requested_context("1.2.840.10008.1.1")
        host, port = node.scp.server_address
        assoc = ae.associate(host, port, ae_title="OLDPACS")
        assert assoc.is_established
        assoc.release()
        (came,) = node.catalog.access.visitors()
        assert came.called_ae == "OLDPACS"


def test_associations_of_a_source_are_limited_and_freed_again(tmp_path: Path) -> None:
    """The second one at once is rejected for now; after the release there is room."""
    source = Source(ae_title="SCANNER", maximum_associations=1)
    with running_receiver(tmp_path, sources=(source,)) as node:
        first = node.associate()
        second = node.associate()
        assert second.is_rejected
        answer = second.acceptor.primitive
        assert answer is not None
        assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)
        first.release()
        wait_for(lambda: node.associate().is_established, "room for another", 20)


def test_a_certificate_binds_a_title(tmp_path: Path, signer: Authority) -> None:
    """Another client of the same authority cannot take the title, nor can anybody in the clear."""
    own = signer.pair()
    (tmp_path / "node").mkdir()
    section = TlsSection(
        port=0, certificate_file=own.certificate, key_file=own.key, ca_file=signer.ca
    )
    source = Source(ae_title="SCANNER", certificate="scanner.example.org")
    with running_receiver(tmp_path / "node", tls=section, sources=(source,)) as node:
        port = node.scp.tls_address[1]
        right = ClientTls(signer.ca, signer.pair("scanner.example.org"))
        assert "0000" in sender(port, right).check()
        upper = signer.pair("w", names=[x509.DNSName("SCANNER.Example.ORG")])
        assert "0000" in sender(port, ClientTls(signer.ca, upper)).check()
        wrong = ClientTls(signer.ca, signer.pair("printer.example.org"))
        common = signer.pair("scanner.example.org", names=[x509.DNSName("other.example.org")])
        for target, trusted in (
            (port, ClientTls(signer.ca, common)),
            (port, wrong),
            (node.scp.server_address[1], None),
        ):
            with pytest.raises(Exception, match="rejected"):
                sender(target, trusted).check()


def test_a_gate_that_fails_stays_shut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pynetdicom swallows exceptions of its handlers and would go on to accept."""

    def broken(*_: object) -> None:
        raise RuntimeError("a fault")

    with running_receiver(tmp_path) as node:
        with monkeypatch.context() as patched:
            patched.setattr(Gate, "judge", broken)
            assert node.associate().is_rejected
        assoc = node.associate()
        assert assoc.is_established
        assoc.release()


def test_a_flood_of_titles_does_not_fill_the_disk(tmp_path: Path) -> None:
    """Rows are bounded; what was there stays."""
    catalog = open_catalog(f"sqlite:///{tmp_path / 'c.sqlite'}")
    for number in range(LIMIT + 5):
        catalog.access.note_rejection(Rejected(f"T{number}", "RADNODE", "192.0.2.1", "x"), number)
    rows = catalog.access.rejections()
    assert len(rows) == LIMIT + 1
    assert rows[0].peer.calling_ae == OTHERS
    assert rows[0].times == 5
    catalog.close()


def test_radnode_sources_shows_who_came_and_how_to_let_them_in(tmp_path: Path) -> None:
    """The table and the TOML; control characters of a peer never reach the terminal."""
    config = tmp_path / "node.toml"
    config.write_text('[node]\ndata = "data"\n[[sources]]\nae_title = "CT1"\n', encoding="utf-8")
    (tmp_path / "data").mkdir()
    catalog = open_catalog(f"sqlite:///{tmp_path / 'data' / 'catalog.sqlite'}")
    catalog.access.note_rejection(
        Rejected("MR[red]1", "RADNODE", "192.0.2.1", "not among the sources"), 1000.0
    )
    catalog.close()

    shown = CliRunner().invoke(radnode, ["sources", "--config", str(config)])

    assert shown.exit_code == 0, shown.output
    assert "MR[red]1" in shown.output
    assert "1970-01-01 00:16:40" in shown.output
    assert 'ae_title = "MR[red]1"' in shown.output
    assert 'networks = ["192.0.2.1/32"]' in shown.output


def test_with_accept_unlisted_a_stranger_is_let_in_and_shown(tmp_path: Path) -> None:
    """The list is made from who came."""
    before = set(threading.enumerate())
    with running_receiver(
        tmp_path, ReceiveSection(accept_unlisted=True), sources=(Source(ae_title="CT1"),)
    ) as node:
        assoc = node.associate()
        assert send(assoc, ct_slice(1)) == 0x0000
        assoc.release()
        (came,) = node.catalog.access.visitors()
        assert came.calling_ae == "SCANNER"
    wait_for(
        lambda: not any("Acceptor" in one.name for one in set(threading.enumerate()) - before),
        "every thread to end",
        20,
    )
