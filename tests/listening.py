"""Whoever listens on a port of this machine, and does with a connection what a test says."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def listening(serve: Callable[[socket.socket], None], port: int = 0) -> Iterator[int]:
    """Serve every connection in a thread of its own; cut those that are left at the end.

    Yields
    ------
    int
        The port: a free one, unless it is given.
    """
    threads: list[threading.Thread] = []
    wires: list[socket.socket] = []

    def served(wire: socket.socket) -> None:
        with wire, suppress(ConnectionError):
            serve(wire)

    def listen() -> None:
        while True:
            try:
                wire, _ = listener.accept()
            except OSError:
                return
            wires.append(wire)
            threads.append(threading.Thread(target=served, args=(wire,)))
            threads[-1].start()

    with socket.create_server(("127.0.0.1", port)) as listener:
        accepting = threading.Thread(target=listen)
        accepting.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for wire in wires:
                with suppress(OSError):  # closed already
                    wire.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def slowly(octets: bytes) -> Iterator[bytes]:
    """Yield one octet at a time."""
    for octet in octets:
        time.sleep(0.05)
        yield bytes((octet,))
