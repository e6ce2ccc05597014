"""Locks between processes of one machine; the kernel frees them when their holder dies."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import structlog
from filelock import FileLock, Timeout

from node.errors import InUseError
from node.store.files import InstanceFiles
from node.store.private import FILE, private_folder

log = structlog.get_logger()

_LOOK_S: Final = 0.2
EXECUTOR: Final = Path("run") / "executor"


@contextmanager
def executor_lock(path: Path, stop: threading.Event | None = None) -> Iterator[bool]:
    """Hold the lock that makes an executor id unique among live processes; wait for it.

    Two live processes with one executor id steal each other's running jobs.

    Parameters
    ----------
    stop
        Ends the waiting.

    Yields
    ------
    bool
        Whether the lock is held; False: `stop` was set first.
    """
    lock = _lock(path)
    with ExitStack() as held:
        try:
            held.enter_context(lock.acquire(blocking=False))
        except Timeout:
            log.info("waiting for another process to end", lock=path.name)
            over = stop.is_set if stop else None
            with suppress(Timeout):
                held.enter_context(lock.acquire(poll_interval=_LOOK_S, cancel_check=over))
        yield lock.is_locked


def _lock(path: Path) -> FileLock:
    """Return a lock of the kernel; where it has none, the library would leave a mark instead."""
    private_folder(path.parent)
    return FileLock(path, mode=FILE, fallback_to_soft=False)


@contextmanager
def sole_lock(path: Path, message: str) -> Iterator[None]:
    """Hold a lock that only one process may ever want; do not wait for it.

    Parameters
    ----------
    message : str
        What it means that another process has it, and what to do.

    Raises
    ------
    InUseError
        If another process has it.
    """
    try:
        held = _lock(path).acquire(blocking=False)
    except Timeout:
        raise InUseError(message) from None
    with held:
        yield


def executor_id(files: InstanceFiles, host: str) -> str:
    """Return the name under which the worker of a data folder runs jobs, the same for ever.

    Only what has this name resumes what was cut short under it. So it must not change with the
    name of the machine, as that of a container does; it is chosen once, and stands in a file.

    Parameters
    ----------
    files : InstanceFiles
        Of the data folder.
    host : str
        Name of this machine: only the first time it becomes part of the id.

    Returns
    -------
    str

    Raises
    ------
    OSError
        If it cannot be read or kept.
    """
    path = files.absolute(EXECUTOR)
    if not path.exists():
        files.write(EXECUTOR, f"{host}:worker".encode())
    return path.read_text("utf-8")
