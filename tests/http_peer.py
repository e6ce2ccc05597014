"""An HTTP server that answers as a test tells it to, and the answers of STOW-RS."""

import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from tests.listening import listening

NATIVE: Final = "http://dicom.nema.org/PS3.19/models/NativeDICOM"

Answer = Callable[[str, bytes], tuple[int, object]]


@contextmanager
def http_server(answer: Answer) -> Iterator[str]:
    """Serve what `answer` returns for a path and body: a status, and JSON, a page or None."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            self._say(*answer(self.path, body))

        def do_GET(self) -> None:
            self._say(*answer(self.path, b""))

        def _say(self, status: int, content: object) -> None:
            if isinstance(content, bytes):
                kind, body = "text/html", content
            else:
                kind = "application/dicom+json"
                body = b"" if content is None else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as url:
        yield url


class Server(ThreadingHTTPServer):
    """Hangs up where it fails, without a traceback on the test's output."""

    def handle_error(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Let a class handle requests to a free port; yield the URL."""
    server = Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def octets(content: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """Return an answer of HTTP/1.1 as it goes over the wire."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + content


@contextmanager
def raw_server(answer: Callable[[], Iterable[bytes]]) -> Iterator[tuple[str, threading.Event]]:
    """Send these octets to whoever asks anything, and hang up.

    Yields
    ------
    tuple[str, threading.Event]
        Its URL, and what is set once a client has hung up before it had all.
    """
    cut_off = threading.Event()

    def serve(wire: socket.socket) -> None:
        asked = wire.recv(65536)
        length = int((asked.lower().partition(b"content-length:")[2].split() or [b"0"])[0])
        body = asked.partition(b"\r\n\r\n")[2]
        while len(body) < length:
            body += wire.recv(65536)
        try:
            for piece in answer():
                wire.sendall(piece)
        except OSError:
            cut_off.set()

    with listening(serve) as port:
        yield f"http://127.0.0.1:{port}", cut_off


def item(uid: str, **reasons: int) -> dict[str, Any]:
    """Return an item of a STOW-RS answer; `warning` or `failure` is its reason."""
    tags = {"warning": "00081196", "failure": "00081197"}
    made: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [uid]}}
    return made | {tags[kind]: {"vr": "US", "Value": [code]} for kind, code in reasons.items()}


def response(stored: list[dict[str, Any]], failed: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a STOW-RS answer (PS3.18 Section I.2): Referenced and Failed SOP Sequence."""
    sequences = {"00081199": stored, "00081198": failed}
    return {tag: {"vr": "SQ", "Value": items} for tag, items in sequences.items() if items}


def _attribute(tag: str, vr: str, value: object) -> str:
    value = f'<Value number="1">{value}</Value>'
    return f'<DicomAttribute tag="{tag}" vr="{vr}">{value}</DicomAttribute>'


def xml_item(uid: str, tag: str = "", reason: int = 0) -> str:
    """Return an item of a sequence in the Native DICOM Model (PS3.19 Section A.1)."""
    named = _attribute("00081155", "UI", uid)
    why = _attribute(tag, "US", reason)
    return f'<Item number="1">{named}{why if tag else ""}</Item>'


def xml(stored: str = "", failed: str = "", space: str = "") -> bytes:
    """Return a Store Instances Response in XML."""
    parts = [("00081199", stored), ("00081198", failed)]
    sequences = "".join(
        f'<DicomAttribute tag="{tag}" vr="SQ" keyword="X">{items}</DicomAttribute>'
        for tag, items in parts
        if items
    )
    return f'<?xml version="1.0"?><NativeDicomModel{space}>{sequences}</NativeDicomModel>'.encode()
