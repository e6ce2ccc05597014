"""Files that have their name only when they are on the disk."""

import os
from pathlib import Path


def publish(partial: Path, path: Path) -> None:
    """Give a written file its name, durably.

    Parameters
    ----------
    partial : Path
        The file as it was written.
    path : Path
        Its name, in the same file system.
    """
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
