"""A syslog receiver on loopback."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator


class Collecting:
    """A syslog receiver on loopback that keeps the octets of every connection."""

    def __init__(self, context: ssl.SSLContext | None = None, resets: int = 0) -> None:
        self.messages: list[bytes] = []
        self._context = context
        self._resets = resets
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                wire, _ = self._listener.accept()
            except OSError:
                return
            with wire:
                if self._resets:
                    self._resets -= 1
                    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    continue
                with contextlib.suppress(OSError):
                    self._take(wire)

    def _take(self, wire: socket.socket) -> None:
        octets = b""
        if self._context is None:
            while piece := wire.recv(65536):
                octets += piece
        else:
            with self._context.wrap_socket(wire, server_side=True) as secured:
                while piece := secured.recv(65536):
                    octets += piece
                secured.unwrap()
        self.messages += list(unframed(octets))


def unframed(octets: bytes) -> Iterator[bytes]:
    """Yield the messages of a stream with counted octets (RFC 5425 Section 4.3)."""
    while octets:
        length, _, rest = octets.partition(b" ")
        yield rest[: int(length)]
        octets = rest[int(length) :]
