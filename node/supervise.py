"""Keep the node's processes alive: one child a role, restarted when it dies.

A child holds the read end of a pipe whose write end only the supervisor has: when the
supervisor is killed, even by SIGKILL, the pipe closes and the child stops by itself, soon,
whatever it was at: the next supervisor's worker waits for it, and what was cut short is resumed.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Final, NoReturn

import structlog

log = structlog.get_logger()

CommandLine = Callable[[str, int], list[str]]
"""Takes a role and the descriptor to watch; returns the command line of a child."""

_LOOK_S: Final = 0.2
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_HEALTHY_S: Final = 60.0
_GRACE_S: Final = 20.0
_ORPHAN_S: Final = 3.0  # that a child has to end in good order when its supervisor was killed


@dataclass
class _RoleProcess:
    role: str
    process: subprocess.Popen[bytes]
    started: float
    pause_s: float = field(default=_FIRST_PAUSE_S)
    restart_at: float | None = None


class Supervisor:
    """Runs one child for each role until told to stop.

    Parameters
    ----------
    command : callable
        Takes a role and the number of the file descriptor to watch; returns the command line.
    roles : sequence of str
        For instance ``("receive", "work")``.
    """

    def __init__(self, command: CommandLine, roles: Sequence[str]) -> None:
        self._command = command
        self._read, self._write = os.pipe()
        self._children = [self._start(role) for role in roles]

    def _start(self, role: str) -> _RoleProcess:
        process = subprocess.Popen(
            self._command(role, self._read), pass_fds=[self._read], stdin=subprocess.DEVNULL
        )
        log.info("process started", role=role, pid=process.pid)
        return _RoleProcess(role, process, time.monotonic())

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by role."""
        return {child.role: child.process.pid for child in self._children}

    def run(self, stop: threading.Event) -> None:
        """Restart children that die, until `stop` is set; then end them.

        Parameters
        ----------
        stop : threading.Event
            Set: every child is ended.
        """
        while not stop.wait(_LOOK_S):
            self._children = [self._looked_after(child) for child in self._children]
        self.close()

    def _looked_after(self, child: _RoleProcess) -> _RoleProcess:
        now = time.monotonic()
        if child.restart_at is not None:
            if now < child.restart_at:
                return child
            reborn = self._start(child.role)
            reborn.pause_s = min(child.pause_s * 2, _LONGEST_PAUSE_S)
            return reborn
        code = child.process.poll()
        if code is not None:
            if now - child.started > _HEALTHY_S:
                child.pause_s = _FIRST_PAUSE_S
            child.restart_at = now + child.pause_s
            log.error("process died", role=child.role, exit=code, restart_in_s=child.pause_s)
        return child

    def close(self) -> None:
        """End the children: politely, then by force."""
        for child in self._children:
            child.process.terminate()
        deadline = time.monotonic() + _GRACE_S
        for child in self._children:
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
        os.close(self._write)
        os.close(self._read)


def stop_on_signals() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    return stop


def end_at_once() -> NoReturn:
    """End this process, in good order, without waiting for the threads that are at work.

    Python would wait for them, for a segmentation minutes: what they are at is made to be cut
    short anywhere, and goes on at the next start.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody listens any more
            stream.flush()
    os._exit(0)


def stop_with_parent(descriptor: int, stop: threading.Event) -> None:
    """Set `stop` when the other end of the supervisor's pipe closes: it was killed.

    A process that has not ended a few seconds later, because it loads or works, ends at once.

    Parameters
    ----------
    descriptor : int
        The read end of the pipe.
    stop : threading.Event
        Set when the supervisor is gone.
    """

    def wait() -> None:
        os.read(descriptor, 1)
        stop.set()
        time.sleep(_ORPHAN_S)
        log.error("still here without a supervisor: ending at once")
        os._exit(1)  # as after a kill -9, which every step is made for

    threading.Thread(target=wait, name="parent watch", daemon=True).start()
