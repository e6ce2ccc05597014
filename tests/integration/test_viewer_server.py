"""What serves the viewer: OHIF's files, our settings, and nobody but this machine."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from orthanc.viewer import repaired
from tests.viewer_page import running_viewer

NOBODY = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Give a client of a viewer whose Orthanc is away."""
    folder = tmp_path_factory.mktemp("ohif")
    (folder / "index.html").write_text("<title>viewer</title>")
    (folder / "app-config.js").write_text("// of OHIF")
    (folder / "app.js").write_text("// app")
    with (
        running_viewer(NOBODY, folder / "log", folder) as address,
        httpx.Client(base_url=address, trust_env=False) as client,
    ):
        yield client


@pytest.mark.parametrize("path", ["/", "/viewer?StudyInstanceUIDs=1.2", "/some/page"])
def test_every_page_is_the_one_page(client: httpx.Client, path: str) -> None:
    """Its script draws what the address says; the browser may ask no other host."""
    answer = client.get(path)

    assert answer.status_code == 200
    assert answer.text == "<title>viewer</title>"
    assert "default-src 'self'" in answer.headers["content-security-policy"]


def test_our_settings_take_the_place_of_those_of_the_package(client: httpx.Client) -> None:
    """With the extension that they load."""
    assert "@radnet/hanging" in client.get("/app-config.js").text
    assert "liverProtocol" in client.get("/radnet/hanging.js").text
    assert client.get("/app.js").text == "// app"


@pytest.mark.parametrize(
    "path", ["/missing.js", "/radnet/missing.js", "/..%2f..%2fpyproject.toml", "/%2e%2e/x.toml"]
)
def test_what_is_not_there_is_not_found(client: httpx.Client, path: str) -> None:
    """A script that is missing must not come as the page; nothing outside is served."""
    assert client.get(path).status_code == 404


def test_an_orthanc_that_is_away_is_told(client: httpx.Client) -> None:
    """With its address, and what happened."""
    answer = client.get("/dicom-web/studies")

    assert answer.status_code == 502
    assert answer.text == f"Orthanc at {NOBODY} does not answer (ConnectError).\n"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_the_viewer_changes_nothing(client: httpx.Client, method: str) -> None:
    """Images come through the node; whoever reads must not delete."""
    assert client.request(method, "/dicom-web/studies/1.2").status_code == 405


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example"])
def test_a_page_elsewhere_that_leads_here_gets_nothing(client: httpx.Client, host: str) -> None:
    """DNS rebinding: the name in the address bar is theirs, the server is ours."""
    assert client.get("/dicom-web/studies", headers={"Host": host}).status_code == 400


def test_lists_are_asked_for_as_orthanc_reads_them() -> None:
    """Nothing else of the query is touched."""
    asked = "includefield=00081030%2C00080060&PatientName=A%26B%2cC"

    assert repaired(asked) == "includefield=00081030,00080060&PatientName=A%26B,C"


def one_request_a_connection(listening: socket.socket, at_once: bool) -> None:
    """Answer one request of each connection, keep it, and end it when the next one comes."""
    with suppress(OSError):  # the test closes the socket
        while True:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                connection.recv(65536)
                if at_once:  # by RST (socket(7), SO_LINGER), as where a request stands unread
                    linger = struct.pack("ii", 1, 0)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


@pytest.mark.parametrize("at_once", [False, True])
def test_a_kept_connection_that_orthanc_ends_is_no_error(tmp_path: Path, at_once: bool) -> None:
    """A picture of the study stayed away with 502 while the machine was busy."""
    (tmp_path / "index.html").write_text("<title>viewer</title>")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        orthanc = f"http://127.0.0.1:{listening.getsockname()[1]}"
        ending = (listening, at_once)
        threading.Thread(target=one_request_a_connection, args=ending, daemon=True).start()
        with running_viewer(orthanc, tmp_path / "log", tmp_path) as address:
            found = [
                httpx.get(f"{address}/dicom-web/studies", trust_env=False).status_code
                for _ in range(4)
            ]

    assert found == [200] * 4
