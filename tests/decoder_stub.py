"""A decoding process that does what its request says instead: loops, waits, dies, fills memory."""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from radnet.volume.decoder_child import LONGEST_LINE, limit, stay_with_parent


def _loop() -> None:
    while True:
        pass


def _fill() -> None:
    held = []
    while True:
        held.append(bytearray(1 << 24))


def _killed_once(path: str) -> None:
    """Be killed from outside the first time, and answer the second."""
    if not Path(path).exists():
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGKILL)


ACTS: dict[str, Callable[[], object]] = {
    "loop": _loop,
    "wait": lambda: time.sleep(600),
    "fill": _fill,
    "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "leave": lambda: sys.exit(3),
    "answer": lambda: None,
}


def main() -> None:
    """Serve one request after the other."""
    stay_with_parent(int(sys.argv[2]))
    channel = socket.socket(fileno=int(sys.argv[1]))
    while True:
        line, descriptors, _, _ = socket.recv_fds(channel, LONGEST_LINE, 1)
        if not line:
            return
        request = json.loads(line)
        limit(request["cpu_s"], request["memory"])
        act, _, path = request["act"].partition(" ")
        try:
            _killed_once(path) if path else ACTS[act]()
            answer: dict[str, Any] = {"pid": os.getpid()}
        except MemoryError:
            answer = {"error": "MemoryError"}
        os.close(descriptors[0])
        channel.sendall(json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main()
