"""HTTPS destinations: whom we trust, how they know us, and that no secret is ever told."""

import contextlib
import logging
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from node.cli import radnode
from node.deliver.build import build
from node.deliver.http import Access
from node.errors import DeliveryError, TransientDeliveryError
from node.settings import load
from node.settings.secret import Credentials, Secret
from node.settings.tls import server_context
from tests.certificates import Authority, authority
from tests.outbound import series
from tests.peers import running_orthanc

SECRET = "hunter2-do-not-print"  # noqa: S105


@dataclass(frozen=True)
class Locked:
    """An Orthanc behind TLS, a client certificate and a password."""

    url: str
    signer: Authority
    folder: Path


class _Gateway(socketserver.ThreadingTCPServer):
    """Ends TLS before an Orthanc, as a reverse proxy does; it wants a client certificate."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, context: ssl.SSLContext, behind: int) -> None:
        self._context = context
        self.behind = behind
        super().__init__(("127.0.0.1", 0), _Relay)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands, and relay."""
        try:
            with self._context.wrap_socket(request, server_side=True) as secured:
                super().finish_request(secured, client_address)
        except OSError:  # the client does not trust us, or we not it
            request.close()


class _Relay(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Gateway)
        with socket.create_connection(("127.0.0.1", self.server.behind)) as behind:
            back = threading.Thread(target=_pump, args=(behind, self.request))
            back.start()
            _pump(self.request, behind)
            back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while octets := source.recv(65536):
            sink.sendall(octets)
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    """Start it. The HTTPS of the Orthanc of `make peers` itself crashes at the first request."""
    folder = tmp_path_factory.mktemp("locked")
    signer = authority(folder / "ca")
    (folder / "orthanc").mkdir()
    (folder / "password").write_text(f"{SECRET}\n", encoding="utf-8")
    with running_orthanc(
        folder / "orthanc", AuthenticationEnabled=True, RegisteredUsers={"node": SECRET}
    ) as orthanc:
        context = server_context(signer.pair(), signer.ca, "required")
        with _Gateway(context, httpx.URL(orthanc.url).port or 80) as gateway:
            threading.Thread(target=gateway.serve_forever, args=(0.01,)).start()
            yield Locked(f"https://localhost:{gateway.server_address[1]}", signer, folder)
            gateway.shutdown()


def entry(locked: Locked, kind: str, tls: str, credential: str = "") -> str:
    """Return the settings of a destination of that Orthanc."""
    path = "/dicom-web" if kind == "dicomweb" else ""
    return (
        f'[[destinations]]\nname = "{kind}"\nkind = "{kind}"\n'
        f'url = "{locked.url}{path}"\n{credential}\ntls = {{ {tls} }}\n'
    )


def settings_file(folder: Path, text: str) -> Path:
    """Write settings whose data lie beside them."""
    config = folder / "node.toml"
    config.write_text(f'[node]\ndata = "data"\n{text}', encoding="utf-8")
    return config


def own_tls(locked: Locked) -> str:
    """Return the keys of table `tls` that get in."""
    own = locked.signer.pair("radnode")
    return (
        f'ca_file = "{locked.signer.ca}", certificate_file = "{own.certificate}", '
        f'key_file = "{own.key}"'
    )


@pytest.mark.orthanc
@pytest.mark.parametrize("kind", ["dicomweb", "orthanc"])
@pytest.mark.parametrize("place", ["file", "env"])
def test_the_right_certificate_and_password_get_in(
    locked: Locked, tmp_path: Path, kind: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password from a file, and from the environment."""
    monkeypatch.setenv("RADNODE_TEST_PASSWORD", SECRET)
    where = f'"{locked.folder / "password"}"' if place == "file" else '"RADNODE_TEST_PASSWORD"'
    credential = f'username = "node"\npassword_{place} = {where}'
    config = settings_file(tmp_path, entry(locked, kind, own_tls(locked), credential))
    (described,) = load(config).destinations

    outcomes = list(build(described, "RADNODE").send(series(tmp_path / "a", 2)))

    assert [one.state for one in outcomes] == ["delivered"] * 2


@pytest.mark.orthanc
@pytest.mark.parametrize("kind", ["dicomweb", "orthanc"])
def test_an_unknown_server_gets_nothing(locked: Locked, tmp_path: Path, kind: str) -> None:
    """Its authority is not ours; the reason is told, and nothing is lost."""
    strange = authority(tmp_path / "strange", "somebody else")
    text = entry(locked, kind, f'ca_file = "{strange.ca}"')
    (described,) = load(settings_file(tmp_path, text)).destinations
    sender = build(described, "RADNODE")

    (outcome,) = sender.send(series(tmp_path / "a", 1))

    assert outcome.state == "retry"
    assert "TLS: certificate refused" in outcome.reason
    with pytest.raises(TransientDeliveryError, match="TLS: certificate refused"):
        sender.check()


@pytest.mark.orthanc
def test_radnode_check_names_the_fault_and_never_the_secret(
    locked: Locked, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Output, logs, and what the objects show of themselves; right and wrong passwords."""
    caplog.set_level(logging.DEBUG)
    wrong = tmp_path / "wrong"
    wrong.write_text(f"not-{SECRET}", encoding="utf-8")
    shown = []
    for file in (locked.folder / "password", wrong):
        for kind in ("dicomweb", "orthanc"):
            for key in ("username = 'node'\npassword_file", "token_file"):
                text = entry(locked, kind, own_tls(locked), f'{key} = "{file}"')
                config = settings_file(tmp_path, text)
                with capture_logs() as logs:
                    result = CliRunner().invoke(radnode, ["check", "--config", str(config)])
                settings = load(config)
                sender = build(settings.destinations[0], "RADNODE")
                shown += [result.output, repr(logs), repr(settings), repr(sender)]
                with capture_logs() as logs:
                    shown += [repr(list(sender.send(series(tmp_path / "a", 1)))), repr(logs)]
                try:
                    sender.check()
                except DeliveryError as error:
                    shown += [str(error), repr(error.__cause__)]

    assert any("401" in one for one in shown)
    assert any(": ok, " in one for one in shown)
    assert not any(SECRET in one for one in shown)
    assert SECRET not in caplog.text


def test_a_bearer_token_is_sent_as_one(tmp_path: Path) -> None:
    """RFC 6750; read anew for each use, so that a renewed token counts."""
    token = tmp_path / "token"
    access = Access(Credentials(None, Secret("token", token)))
    for value in ("first", "second"):
        token.write_text(f"{value}\n", encoding="utf-8")
        with httpx.Client(**access.options("http://archive")) as client:
            request = client.build_request("GET", "http://archive/studies")
        assert request.headers["Authorization"] == f"Bearer {value}"
