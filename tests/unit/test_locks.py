"""Locks between processes: the kernel's, or none."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from node.errors import InUseError
from node.store.locks import executor_lock, sole_lock


def test_where_the_kernel_has_no_locks_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mark in a file instead would keep the node from starting after a power cut."""

    def unknown(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", unknown)

    for lock in (sole_lock(tmp_path / "lock", "in use"), executor_lock(tmp_path / "lock")):
        with pytest.raises(OSError, match="not implemented"), lock:
            pytest.fail("held without a lock")


def test_a_node_that_is_stopped_waits_no_longer(tmp_path: Path) -> None:
    """It says that it does not hold the lock; who asks for the sole one is told at once."""
    stop, answers = threading.Event(), list[bool]()

    def wait() -> None:
        with executor_lock(tmp_path / "lock", stop) as held:
            answers.append(held)

    with executor_lock(tmp_path / "lock", stop) as first:
        assert first
        with pytest.raises(InUseError, match="in use"), sole_lock(tmp_path / "lock", "in use"):
            pytest.fail("held twice")
        waiting = threading.Thread(target=wait)
        waiting.start()
        stop.set()
        waiting.join()

    assert answers == [False]
    with executor_lock(tmp_path / "lock", stop) as again:  # it is free, stopped or not
        assert again


FORKING = """
import os, pathlib, signal, sys
from node.store.locks import executor_lock

with executor_lock(pathlib.Path(sys.argv[1])):
    if os.fork():
        os.kill(os.getpid(), signal.SIGKILL)
    print("alive", flush=True)
    sys.stdin.read()
"""


def test_a_process_that_was_forked_keeps_no_lock_of_a_dead_one(tmp_path: Path) -> None:
    """The child of a holder lives on when the holder is killed."""
    argv = [sys.executable, "-c", FORKING, str(tmp_path / "lock")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"alive\n"
        assert holder.wait() == -signal.SIGKILL

        with sole_lock(tmp_path / "lock", "in use"):
            pass
