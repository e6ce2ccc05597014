"""What the node keeps is of patients: its own user reads it and nobody else, under any umask."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = 0o700
FILE: Final = 0o600
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Tightened:
    """How many files and folders were closed to others, and how many belong to another user."""

    closed: int = 0
    refused: int = 0


def opener(path: str, flags: int) -> int:
    """Open a file for `open`; made anew, it is read by its owner alone.

    Parameters
    ----------
    path : str
        The file.
    flags : int
        As `open` gives them.

    Returns
    -------
    int
        A file descriptor.
    """
    return os.open(path, flags, FILE)


def private_folder(folder: Path) -> None:
    """Make a folder and what is missing above it; one that is there stays as it is.

    Parameters
    ----------
    folder : Path
        Made with mode 0700.
    """
    folder.mkdir(mode=FOLDER, parents=True, exist_ok=True)


def private_database(path: Path) -> None:
    """Make an empty file for SQLite before it does, or close the one that is there.

    What stands beside it (``-wal``, ``-shm``) takes its permissions when SQLite makes it. A file
    that is there is not opened: closing it would free the locks that this process has on it.

    Parameters
    ----------
    path : Path
        Of a SQLite file.
    """
    with suppress(OSError):  # SQLite will say why it cannot be used
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE))
    for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        _close(file)


def tighten(data: Path) -> Tightened:
    """Close the data folder, and once also everything in it, to all but its owner.

    A node made by an earlier version has files that others can read. They are walked over when
    the folder is found open, or was never walked over to the end; a mark says that it was.

    Parameters
    ----------
    data : Path
        The data folder.

    Returns
    -------
    Tightened
    """
    mark = data / "run" / "private"
    first = _close(data)
    if mark.exists() and not first:
        return Tightened()
    outcomes = [first, *(_close(path) for path in _below(data))]
    with open(mark, "w", opener=opener):
        pass
    return Tightened(outcomes.count(True), outcomes.count(None))


def _below(data: Path) -> Iterator[Path]:
    """Yield what is below a folder; behind links only where they stand in the folder itself."""
    moved = [entry.resolve() for entry in data.iterdir() if entry.is_symlink() and entry.is_dir()]
    yield from moved
    for start in (data, *moved):
        for folder, folders, files in os.walk(start):
            yield from (Path(folder) / name for name in (*folders, *files))


def _close(path: Path) -> bool | None:
    """Take a file or folder from others; tell whether it was open, None if it is not ours."""
    try:
        mode = path.lstat().st_mode
        if not mode & OTHERS or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            return False
        path.chmod(stat.S_IMODE(mode) & stat.S_IRWXU)
    except FileNotFoundError:  # gone meanwhile
        return False
    except OSError:
        return None
    return True
