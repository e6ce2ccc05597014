"""Hanging Protocol objects as files of one folder; what others put there stays."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import HangingProtocolStorage

from node.hanging.parts import HangingProtocol
from node.identity import is_own_output


def file_name(protocol: HangingProtocol) -> str:
    """Return the name of its file, such as ``radnet-brain.dcm``."""
    return f"radnet-{protocol.short_name}.dcm"


def foreign(folder: Path, names: Iterable[str]) -> list[str]:
    """Return which names of a folder are taken by what is none of our Hanging Protocols."""
    taken = (name for name in names if os.path.lexists(folder / name))
    return [name for name in taken if not _is_ours(folder / name)]


def write_objects(folder: Path, objects: Mapping[str, Dataset]) -> None:
    """Write objects by the names of their files; each is whole or as it was before.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    objects : mapping of str to Dataset

    Raises
    ------
    OSError
        If the file system refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, made in objects.items():
        part = folder / f".{name}.part"
        try:
            dcmwrite(part, made, enforce_file_format=True)
            part.replace(folder / name)
        finally:
            part.unlink(missing_ok=True)


def _is_ours(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    try:
        found = dcmread(path)
    except Exception:  # noqa: BLE001 - whatever cannot be read was not written by us
        return False
    return found.get("SOPClassUID") == HangingProtocolStorage and is_own_output(found)
