"""Locks between processes of one machine; the kernel frees them when their holder dies."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def executor_lock(path: Path) -> Iterator[None]:
    """Hold the lock that makes an executor id unique among live processes; wait for it.

    Two live processes with one executor id steal each other's running jobs.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
