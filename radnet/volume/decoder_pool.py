"""Child processes that decode, lent one request at a time, and replaced when they end."""

import contextlib
import errno
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from radnet.errors import UndecodableError
from radnet.volume.decoder_child import LONGEST_LINE

COMMAND: Final = (sys.executable, "-P", "-m", "radnet.volume.decoder_child")
"""`-P`: the working directory is no place to import from."""

KEPT: Final = ("PATH", "HOME", "TMPDIR", "TZ", "LANG", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
"""Environment that a child inherits, with LC_* and PYTHON*: there may be secrets in the rest."""

WALL_PER_CPU: Final = 10
"""A child that waits in place of working is ended as well, if only so much later."""

ENDS_WITHIN_S: Final = 30.0
"""For a process that has hung up: on a busy machine it takes long to end."""

LARGE: Final = 1 << 30  # octets of memory: one request that may take as much at a time
ATTEMPTS: Final = 2  # a child may be killed for what another process did
_FROM_OUTSIDE: Final = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE})


@dataclass(frozen=True)
class Limits:
    """What one request may take: seconds of processor time, octets of memory."""

    cpu_s: int
    memory: int


class _DiedError(Exception):
    """The child ended, by itself or by us."""

    def __init__(self, why: str = "", *, from_outside: bool = False) -> None:
        super().__init__(why)
        self.from_outside = from_outside


class Children:
    """A number of child processes, started when first needed.

    Parameters
    ----------
    most
        How many run at a time; whoever asks beyond that waits.
    command
        What a child runs; the numbers of its socket and of this process are added.
    """

    def __init__(self, most: int, command: Sequence[str] = COMMAND) -> None:
        self._command = command
        self._free: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        self._large = threading.Lock()
        for _ in range(most):
            self._free.put(None)

    def ask(self, request: Mapping[str, Any], descriptor: int, limits: Limits) -> dict[str, Any]:
        """Have a request done in a child.

        Parameters
        ----------
        request
            As `radnet.volume.decoder_child` understands it.
        descriptor
            An open file, of which the child gets its own descriptor.

        Raises
        ------
        UndecodableError
            If the decoder refuses, ends its process, or takes more than it may.
        OSError
            If the child cannot read or write, or was twice ended from outside.
        """
        large = self._large if limits.memory > LARGE else contextlib.nullcontext()
        message = json.dumps({**request, "cpu_s": limits.cpu_s, "memory": limits.memory})
        with large:
            for _ in range(ATTEMPTS):
                try:
                    with self._lent() as child:
                        return _checked(child.ask(message, descriptor, limits.cpu_s))
                except _DiedError as death:
                    if not death.from_outside:
                        raise UndecodableError(str(death)) from death
        raise OSError(errno.ENOMEM, "the decoding process was ended from outside")

    def pids(self) -> list[int]:
        """Return the ids of the children that wait for work."""
        return [one.pid for one in list(self._free.queue) if one is not None]

    def close(self) -> None:
        """End the children that wait for work."""
        for _ in range(self._free.qsize()):
            child = self._free.get()
            if child is not None:
                child.end()
            self._free.put(None)

    @contextmanager
    def _lent(self) -> Iterator["_Child"]:
        child = self._free.get()
        try:
            if child is None:
                child = _Child(self._command)
            yield child
        finally:
            self._free.put(child if child is not None and child.lives else None)


class _Child:
    """One child process and our end of its socket."""

    def __init__(self, command: Sequence[str]) -> None:
        self._socket, theirs = socket.socketpair()
        self.lives = True
        with theirs:
            line = [*command, str(theirs.fileno()), str(os.getpid())]
            try:
                self._process = _starter().start(line, theirs.fileno())
            except BaseException:
                self._socket.close()
                raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, message: str, descriptor: int, cpu_s: int) -> dict[str, Any]:
        """Return what a child answers; one that panicked ends after it has.

        Raises
        ------
        _DiedError
            If there is none.
        """
        try:
            self._socket.settimeout(cpu_s * WALL_PER_CPU)
            socket.send_fds(self._socket, [message.encode() + b"\n"], [descriptor])
            line = b""
            while not line.endswith(b"\n") and (more := self._socket.recv(LONGEST_LINE)):
                line += more
        except TimeoutError:
            self.end()
            raise _DiedError(f"no answer within {cpu_s * WALL_PER_CPU} s") from None
        except OSError:
            line = b""
        except BaseException:
            self.end()  # an interrupt: an answer nobody waited for must not be the next one's
            raise
        if not line.endswith(b"\n"):
            raise self._death(cpu_s)
        answer: dict[str, Any] = json.loads(line)
        if answer.get("last"):
            self.end()
        return answer

    def _death(self, cpu_s: int) -> _DiedError:
        # It is about to end; were it killed by us, that would pass for a kill from outside.
        status = self.end(ENDS_WITHIN_S)
        if status >= 0:
            return _DiedError(f"the decoding process ended with status {status}")
        number = -status
        if number == signal.SIGXCPU:
            return _DiedError(f"not decoded within {cpu_s} s of processor time")
        told = f"the decoder ended its process by {signal.Signals(number).name}"
        return _DiedError(told, from_outside=number in _FROM_OUTSIDE)

    def end(self, patience_s: float = 1.0) -> int:
        """End the process, and return its exit status, negative for a signal."""
        self.lives = False
        self._socket.close()
        try:
            # It ends by itself where it can: then we learn of what.
            return self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer that tells of success."""
    if answer.get("errno") is not None:
        raise OSError(answer["errno"], os.strerror(answer["errno"]))
    if "error" in answer:
        raise UndecodableError(str(answer["error"]))
    return answer


class _Starter:
    """A thread that starts children and never ends.

    The kernel ends a child with the thread that started it, not with the process: were that a
    worker's, its children would die between two jobs.
    """

    def __init__(self) -> None:
        self._wanted: queue.SimpleQueue[tuple[list[str], int, Future[subprocess.Popen[bytes]]]] = (
            queue.SimpleQueue()
        )
        threading.Thread(target=self._run, name="decoder starter", daemon=True).start()

    def start(self, command: list[str], descriptor: int) -> subprocess.Popen[bytes]:
        started: Future[subprocess.Popen[bytes]] = Future()
        self._wanted.put((command, descriptor, started))
        return started.result()

    def _run(self) -> None:
        while True:
            command, descriptor, started = self._wanted.get()
            try:
                process = subprocess.Popen(
                    command,
                    pass_fds=[descriptor],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # decoders quote what they read
                    env=environment_of_a_child(os.environ),
                )
            except OSError as error:
                started.set_exception(error)
            else:
                started.set_result(process)


@cache
def _starter() -> _Starter:
    os.register_at_fork(after_in_child=_starter.cache_clear)
    return _Starter()


def environment_of_a_child(ours: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a child; it imports radnet from where we have it.

    Parameters
    ----------
    ours : mapping
        Variables of this process; of those that are not in `KEPT` some may be secrets.

    Returns
    -------
    dict
        Variables of the child, which computes in one thread.
    """
    kept = {
        name: value
        for name, value in ours.items()
        if name in KEPT or name.startswith(("LC_", "PYTHON"))
    }
    package = Path(__file__).parents[2]
    if package.name not in ("site-packages", "dist-packages"):
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, [str(package), kept.get("PYTHONPATH")]))
    return kept | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
