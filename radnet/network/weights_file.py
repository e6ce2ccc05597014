"""A weights file as far as it can be read without torch: its record and its digests."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, safe_open

from radnet.errors import WeightsError

KEY: Final = "radnet"
SHIPPED: Final = Path(__file__).parents[1] / "weights"
LENGTH: Final = 8  # octets before the header of a safetensors file, which say how long that is


@dataclass(frozen=True)
class WeightsFile:
    """What a weights file says of itself.

    Attributes
    ----------
    record
        How the weights were made, as `radnet train` wrote it.
    digest
        SHA-256 of the file.
    tensors_digest
        SHA-256 of its tensors, their names and shapes: the record may change without them.
    """

    record: dict[str, Any]
    digest: str
    tensors_digest: str


def shipped(task: str, preset: str = "radnet10-tiny") -> Path:
    """Return the path of shipped weights.

    Parameters
    ----------
    task : str
        ``classifier``, ``liver`` or ``liver-left-out``.
    preset : str
        Name of a preset of which weights are shipped.

    Returns
    -------
    Path
        A safetensors file; whether it is there is not looked at.
    """
    return SHIPPED / f"{task}-{preset}.safetensors"


def read_weights_file(path: Path, task: str) -> WeightsFile:
    """Read the record and the digests of weights made for `task`.

    Parameters
    ----------
    path : Path
        A safetensors file of `radnet.network.weights.save_weights`; nothing in it is executed.
    task : str
        ``classifier`` or ``liver``: what its record has to say.

    Returns
    -------
    WeightsFile
        All but the tensors.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, not ours, or made for another task.
    """
    try:
        content = path.read_bytes()
        with safe_open(str(path), framework="np") as file:
            metadata = file.metadata() or {}
    except FileNotFoundError as error:
        raise WeightsError(
            f"{path.name}: no such file in {path.absolute().parent}; expected radnet weights"
        ) from error
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path.name}: cannot be read as weights: {error}") from error
    try:
        record = json.loads(metadata[KEY])
    except (KeyError, ValueError) as error:
        raise WeightsError(f"{path.name}: no radnet record; these are other weights") from error
    if record.get("task") != task:
        raise WeightsError(f"{path.name}: made for {record.get('task')!r}; expected {task!r}")
    return WeightsFile(record, hashlib.sha256(content).hexdigest(), _of_tensors(content))


def task_of(path: Path) -> str:
    """Return what the weights in a file are for, '' if it cannot be told.

    Parameters
    ----------
    path : Path
        Any file, or none.

    Returns
    -------
    str
        ``classifier``, ``liver`` or ''.
    """
    try:
        with safe_open(str(path), framework="np") as file:
            return str(json.loads((file.metadata() or {})[KEY]).get("task", ""))
    except (OSError, SafetensorError, KeyError, ValueError):
        return ""


def _of_tensors(content: bytes) -> str:
    """Return the SHA-256 of all but the record of a safetensors file, which is sound."""
    end = LENGTH + int.from_bytes(content[:LENGTH], "little")
    header = json.loads(content[LENGTH:end])
    header.pop("__metadata__", None)
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    digest.update(content[end:])
    return digest.hexdigest()
