"""Weights on disk: safetensors in half precision, with a record of how they were made."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from radnet.errors import WeightsError
from radnet.network.weights_file import KEY, read_weights_file


@dataclass(frozen=True)
class Weights:
    """What one weights file holds."""

    state: dict[str, torch.Tensor]
    record: dict[str, Any]
    digest: str


def save_weights(path: Path, net: nn.Module, record: dict[str, Any]) -> None:
    """Write `net` in half precision with `record`; never a half-written file under `path`.

    Parameters
    ----------
    path : Path
        The safetensors file; it takes the place of one that is there once it is whole.
    net : nn.Module
        Its floating-point tensors are written as float16, the others as they are.
    record : dict
        What is known of the weights: task, preset, spacing, figures. Kept as JSON in the file.
    """
    state = {
        name: tensor.detach()
        .cpu()
        .contiguous()
        .to(torch.float16 if tensor.is_floating_point() else tensor.dtype)
        for name, tensor in net.state_dict().items()
    }
    fresh = path.with_suffix(".partial")
    save_file(state, str(fresh), metadata={KEY: json.dumps(record, sort_keys=True)})
    fresh.chmod(0o644)  # safetensors leaves it readable by its owner alone
    fresh.replace(path)


def load_weights(path: Path, task: str) -> Weights:
    """Read weights made for `task`.

    Parameters
    ----------
    path : Path
        A safetensors file of `save_weights`; nothing in it is executed.
    task : str
        ``classifier`` or ``liver``: what its record has to say.

    Returns
    -------
    Weights
        Tensors as float32, the record, and the SHA-256 of the file.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, not ours, or made for another task.
    """
    described = read_weights_file(path, task)
    try:
        with safe_open(str(path), framework="pt") as file:
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path.name}: cannot be read as weights: {error}") from error
    return Weights(state, described.record, described.digest)


def fill(net: nn.Module, weights: Weights, name: str) -> None:
    """Put `weights` into `net`, every tensor by its name and shape.

    Parameters
    ----------
    net : nn.Module
        Of the preset that the weights' record names; left in `eval()`.
    weights : Weights
        As `load_weights` returns them.
    name : str
        How messages call the file.

    Raises
    ------
    WeightsError
        If a tensor is missing, left over or of another shape.
    """
    try:
        net.load_state_dict(weights.state)
    except RuntimeError as error:
        raise WeightsError(f"{name}: the tensors do not fit the preset: {error}") from error
    net.eval()
