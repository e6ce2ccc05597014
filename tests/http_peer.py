"""An HTTP server that answers as a test tells it to, and the answers of STOW-RS."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

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

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Hang up without a traceback on the test's output."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def octets(content: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """Return an answer of HTTP/1.1 as it goes over the wire."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + content


def slowly(content: bytes) -> Iterator[bytes]:
    """Yield one octet at a time."""
    for octet in content:
        time.sleep(0.05)
        yield bytes((octet,))


@contextmanager
def raw_server(answer: Callable[[], Iterable[bytes]]) -> Iterator[tuple[str, threading.Event]]:
    """Send these octets to whoever asks anything, and hang up.

    Yields
    ------
    tuple[str, threading.Event]
        Its URL, and what is set once a client has hung up before it had all.
    """
    cut_off = threading.Event()

    def serve() -> None:
        while True:
            try:
                wire, _ = listener.accept()
            except OSError:
                return
            with wire, suppress(OSError):
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

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", cut_off
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def item(uid: str, **reasons: int) -> dict[str, Any]:
    """Return an item of a STOW-RS answer; `warning` or `failure` is its reason."""
    tags = {"warning": "00081196", "failure": "00081197"}
    made: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [uid]}}
    return made | {tags[kind]: {"vr": "US", "Value": [code]} for kind, code in reasons.items()}


def response(stored: list[dict[str, Any]], failed: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a STOW-RS answer (PS3.18 Section I.2): Referenced and Failed SOP Sequence."""
    sequences = {"00081199": stored, "00081198": failed}
    return {tag: {"vr": "SQ", "Value": items} for tag, items in sequences.items() if items}
