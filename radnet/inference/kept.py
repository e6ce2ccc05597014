"""Models that were made of weights and compared with torch, kept in a folder.

One folder for each model, named by a digest of all that it was made of; in it `model.xml`,
`model.bin` and `made.json`, which says what it was made of and the digests of the two. What does
not agree with them is as good as not there. It comes into being whole, by one rename; whoever
makes models holds the lock of the folder meanwhile.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

from radnet.errors import RadnetError
from radnet.inference.runtime import Hardware
from radnet.inference.served import Task

VARIABLE: Final = "RADNET_MODELS"
"""Environment variable that names the folder; see `radnet.inference.model_folders`."""

MADE: Final = "made.json"
PARTS: Final = ("model.xml", "model.bin")
UNUSED_S: Final = 60 * 86400.0
"""A model that nobody has loaded for so long is removed when another is made."""

DRAFT: Final = "draft-"
LOCK: Final = "lock"
CODE: Final = ("inference/conversion.py", "inference/gates.py", "inference/making.py", "network")
"""Below `radnet`: the source that decides what a model says, or whether it is kept."""


@dataclass(frozen=True)
class Wanted:
    """All that a model is made of."""

    task: Task
    preset: str
    tensors_sha256: str
    openvino: str
    torch: str
    monai: str
    code_sha256: str

    @property
    def name(self) -> str:
        """Name of its folder."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        return f"{self.task}-{digest[:32]}"


@dataclass(frozen=True)
class Kept:
    """A model, and what is known of how it runs.

    Attributes
    ----------
    description, constants
        Contents of its ``.xml`` and its ``.bin``.
    refusals
        By precision in which it was compared with torch: what the gates say against it; empty
        where they let it pass.
    """

    description: bytes
    constants: bytes
    refusals: dict[str, str]


def wanted(task: Task, preset: str, tensors_sha256: str) -> Wanted:
    """Return what a model of these weights is made of, here and now."""
    packages = (version("openvino"), version("torch"), version("monai"))
    return Wanted(task, preset, tensors_sha256, *packages, _code())


@cache
def _code() -> str:
    """Return a digest of `CODE`."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for name in CODE:
        path = root / name
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            digest.update(f"{file.relative_to(root)}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def not_usable(folder: Path, error: OSError) -> RadnetError:
    """Return what there is to say of a folder that cannot be written."""
    return RadnetError(
        f"{folder}: models cannot be kept there ({error.strerror}); name another folder by "
        f"{VARIABLE}"
    )


def find(folder: Path, model: Wanted, precision: Hardware) -> Kept | None:
    """Return a model that is kept, whole, and was compared with torch; None: it must be made.

    Its files are read once, so that what is checked is what is run.
    """
    place = folder / model.name
    try:
        made = json.loads((place / MADE).read_bytes())
        description, constants = ((place / part).read_bytes() for part in PARTS)
        found = [hashlib.sha256(content).hexdigest() for content in (description, constants)]
        if made["made_of"] != asdict(model) or made["sha256"] != found:
            return None
        refusals = {str(name): str(reason) for name, reason in made["refusals"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    with suppress(OSError):  # it is another user's: no matter, and never removed by us
        os.utime(place / MADE)
    return Kept(description, constants, refusals) if precision in refusals else None


@contextmanager
def draft(folder: Path) -> Iterator[Path]:
    """Return a place below `folder` in which a model is made; the lock is held.

    What is left in it afterwards goes, and what was left by a process that was killed.
    """
    _clear(folder)
    try:
        yield Path(mkdtemp(prefix=DRAFT, dir=folder))  # 0700
    finally:
        _clear(folder)


def _clear(folder: Path) -> None:
    for left in folder.glob(f"{DRAFT}*"):
        shutil.rmtree(left, ignore_errors=True)


def keep(
    place: Path, model: Wanted, gates: Sequence[dict[str, Any]], refusals: dict[str, str]
) -> None:
    """Keep what was made in a place of `draft`, in the stead of what was kept under its name.

    Parameters
    ----------
    gates
        How far it is from torch.
    refusals
        By precision; see `Kept`.
    """
    parts = [place / part for part in PARTS]
    digests = [hashlib.sha256(part.read_bytes()).hexdigest() for part in parts]
    made = {"made_of": asdict(model), "gates": gates, "refusals": refusals, "sha256": digests}
    (place / MADE).write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    for path in (*parts, place / MADE):
        path.chmod(0o600)
        synced(path)
    synced(place)
    end = place.parent / model.name
    if end.exists():  # damaged, or not compared enough: who reads now waits for our lock
        end.rename(Path(mkdtemp(prefix=DRAFT, dir=place.parent)) / "damaged")
    place.rename(end)
    synced(place.parent)


def remove_unused(folder: Path, before: float | None = None) -> None:
    """Remove what nobody has loaded for long; the lock is held."""
    oldest = time.time() - UNUSED_S if before is None else before
    for made in folder.glob(f"*/{MADE}"):
        with suppress(OSError):
            if made.stat().st_mtime < oldest:
                shutil.rmtree(made.parent, ignore_errors=True)


def synced(path: Path) -> None:
    """Return when a file, or the names in a folder, have reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
