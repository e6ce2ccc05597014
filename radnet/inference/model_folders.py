"""Where models lie: one ordered list of folders, who may be trusted with them, where one is made.

What is in them is of `radnet.inference.kept`.
"""

import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from radnet.errors import RadnetError
from radnet.inference.kept import VARIABLE, Kept, Wanted, find, not_usable
from radnet.inference.runtime import Hardware

INSTALLED: Final = Path("share", "radnet-node", "models")
"""Below a virtual environment: what was made when it was installed, for all who use it."""


def model_folders(own: Path | None = None) -> tuple[Path, ...]:
    """Return the folders in which a model is looked for, in this order.

    The one that the environment variable `VARIABLE` names, alone; else that of the virtual
    environment, where we run in one, so that one who installs and runs makes models once, and
    then the caller's own.

    Parameters
    ----------
    own : Path or None
        What the caller would take; None: a folder among the user's caches.

    Returns
    -------
    tuple of Path
        None of them need be there yet.
    """
    if named := os.environ.get(VARIABLE):
        return (Path(named),)
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    last = own or Path(caches).expanduser() / "radnet-node" / "models"
    return (last,) if sys.prefix == sys.base_prefix else (Path(sys.prefix) / INSTALLED, last)


def find_among(folders: Sequence[Path], model: Wanted, precision: Hardware) -> Kept | None:
    """Return a model of the first folder that has it; see `kept.find`.

    Where others may write nothing is looked for: what they put there would be run.
    """
    trusted = (folder for folder in folders if folder.is_dir() and _is_trusted(folder))
    return next(
        (found for folder in trusted if (found := find(folder, model, precision)) is not None),
        None,
    )


def making_folder(folders: Sequence[Path]) -> Path:
    """Return the folder in which a model is made.

    Parameters
    ----------
    folders : sequence of Path
        As `model_folders` returns them.

    Returns
    -------
    Path
        The first that this user may write to, and nobody else; where there is none, the last.
    """
    return next((folder for folder in folders if _takes(folder)), folders[-1])


def made_ready(folder: Path) -> None:
    """Make a folder for models, which its owner alone may read.

    Raises
    ------
    RadnetError
        If it cannot be made, or others may write to it: what they put there would be run.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sole = _is_written_by_owner_alone(folder)
    except OSError as error:
        raise not_usable(folder, error) from error
    if not sole:
        raise RadnetError(
            f"{folder}: others may write to this folder for models; chmod go-w it, own it, or "
            f"name another one by {VARIABLE}"
        )


def _takes(folder: Path) -> bool:
    """Tell whether this user may make a folder, or may write to the one that is there, alone."""
    place = next(place for place in (folder, *folder.parents) if place.exists())
    may_write = place.is_dir() and os.access(place, os.W_OK | os.X_OK)
    return may_write and (place != folder or _is_trusted(folder))


def _is_trusted(folder: Path) -> bool:
    try:
        return _is_written_by_owner_alone(folder)
    except OSError:
        return False


def _is_written_by_owner_alone(folder: Path) -> bool:
    """Tell whether nobody but root and this user may have put there what would be run."""
    found = folder.stat()
    others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return found.st_uid in (0, os.geteuid()) and not others
