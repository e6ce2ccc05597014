"""Locks between processes of one machine; the kernel frees them when their holder dies."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.errors import StoreError


@contextmanager
def executor_lock(path: Path) -> Iterator[None]:
    """Hold the lock that makes an executor id unique among live processes; wait for it.

    Two live processes with one executor id steal each other's running jobs.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def sole_lock(path: Path, told: str) -> Iterator[None]:
    """Hold a lock that only one process may ever want; do not wait for it.

    Parameters
    ----------
    told : str
        What it means that another process has it, and what to do.

    Raises
    ------
    StoreError
        If another process has it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(told) from None
        yield
