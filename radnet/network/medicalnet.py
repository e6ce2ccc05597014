"""MedicalNet's encoder (Chen et al. 2019, MIT licence) as a start, where an operator has the file.

Its ``resnet_10_23dataset.pth`` and kin hold ``{"state_dict": {"module.conv1.weight": ...}}``. The
blocks ``layer1`` to ``layer4`` have the shapes of ours for `radnet10`, `radnet18` and `radnet50`.
Its stem is 7 x 7 x 7 where ours is 3 x 7 x 7: neighbouring planes are added, so that what does
not change along the slices answers as before.
"""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

import torch
from torch import Tensor, nn

from radnet.errors import WeightsError

MEDICALNET_SUFFIXES: Final = (".pth", ".pt")
PLANES: Final = ((0, 1), (2, 3, 4), (5, 6))  # of 7, added into each of our 3
STEM: Final = {
    "bn1.weight": "stem.1.weight",
    "bn1.bias": "stem.1.bias",
    "bn1.running_mean": "stem.1.running_mean",
    "bn1.running_var": "stem.1.running_var",
    "bn1.num_batches_tracked": "stem.1.num_batches_tracked",
}
OPTIONAL: Final = "downsample"  # its 18 and 34 have none: they pad with zeros ("shortcut A")


def fill_encoder(encoder: nn.Module, path: Path) -> None:
    """Put MedicalNet's weights into `encoder`.

    Parameters
    ----------
    encoder : nn.Module
        Of a preset with MedicalNet's depth and width; changed in place.
    path : Path
        MedicalNet's ``.pth``; read as tensors alone, nothing in it is executed.

    Raises
    ------
    WeightsError
        If the file cannot be read as tensors alone, is no MedicalNet encoder, or of other depth
        or width than `encoder`.
    """
    theirs = _renamed(_state(path))
    ours = encoder.state_dict()
    needed = {name for name in ours if OPTIONAL not in name and "num_batches" not in name}
    if missing := sorted(needed - set(theirs)):
        raise WeightsError(
            f"{path.name}: no {_theirs(missing[0])} in it ({len(missing)} tensors missing); "
            "expected MedicalNet's ResNet of the preset's depth"
        )
    for name in sorted(set(theirs) & set(ours)):
        if theirs[name].shape != ours[name].shape:
            raise WeightsError(
                f"{path.name}: {_theirs(name)} has shape {tuple(theirs[name].shape)}; the preset "
                f"expects {tuple(ours[name].shape)}. radnet10, radnet18 and radnet50 have the "
                "widths of MedicalNet's ResNet-10, -18 and -50"
            )
    if left := sorted(name for name in theirs if name.startswith("stages") and name not in ours):
        raise WeightsError(
            f"{path.name}: {_theirs(left[0])} has no place in the preset; it is a deeper ResNet"
        )
    encoder.load_state_dict({name: theirs.get(name, tensor) for name, tensor in ours.items()})


def _state(path: Path) -> dict[str, Tensor]:
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, UnpicklingError) as error:
        raise WeightsError(
            f"{path.name}: cannot be read as tensors alone ({type(error).__name__}); "
            "expected MedicalNet's .pth"
        ) from error
    state = content.get("state_dict", content) if isinstance(content, dict) else {}
    tensors = {
        str(name).removeprefix("module."): value
        for name, value in state.items()
        if isinstance(value, Tensor)
    }
    if not tensors:
        raise WeightsError(f"{path.name}: no state_dict of tensors in it")
    return tensors


def _renamed(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return MedicalNet's tensors under our names; what is no encoder is left out."""
    found: dict[str, Tensor] = {}
    for name, tensor in theirs.items():
        if name.startswith("layer"):
            stage, rest = name.removeprefix("layer").split(".", 1)
            found[f"stages.{int(stage) - 1}.{rest}"] = tensor.float()
        elif name == "conv1.weight" and tensor.ndim == 5 and tensor.shape[2] == 7:
            planes = [tensor[:, :, list(group)].sum(dim=2) for group in PLANES]
            found["stem.0.weight"] = torch.stack(planes, dim=2).float()
        elif name in STEM:
            found[STEM[name]] = tensor if "num_batches" in name else tensor.float()
    return found


def _theirs(name: str) -> str:
    """Return how MedicalNet calls one of our tensors."""
    if name.startswith("stages."):
        _, stage, rest = name.split(".", 2)
        return f"layer{int(stage) + 1}.{rest}"
    back = {ours: theirs for theirs, ours in STEM.items()} | {"stem.0.weight": "conv1.weight"}
    return back.get(name, name)
