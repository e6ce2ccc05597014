"""How well a liver network does: overlap, surface distance and volume of held-out cases."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from monai.metrics.hausdorff_distance import compute_hausdorff_distance
from scipy import ndimage

from radnet.datasets.liver_cases import Case
from radnet.datasets.liver_patches import Patches, patch
from radnet.evaluation.intervals import patient_mean
from radnet.inference.preparation import LIVER_SPACING_MM, Array
from radnet.inference.segmenter import window_probability
from radnet.network.decoder import LiverNet
from radnet.network.layout2020 import LiverNet2020

GLANCED: Final = 8  # held-out patches that are looked at while training
GLANCE_SEED: Final = 51_000_000


@dataclass(frozen=True)
class Score:
    """One held-out case: overlap, surface distance and volume, on the 4 x 2.5 x 2.5 mm grid."""

    dice: float
    iou: float
    hd95_mm: float  # nan where one of the masks is empty
    volume_error_ml: float  # said minus true
    liver: bool = True  # whether there is one to be found


@torch.inference_mode()
def score(net: LiverNet | LiverNet2020, case: Case) -> Score:
    """Return how well `net` finds the liver of `case`, where its mask is known.

    Parameters
    ----------
    net : LiverNet or LiverNet2020
        Left in `eval()`.
    case : Case
        Scan and mask on the 4 x 2.5 x 2.5 mm grid.

    Returns
    -------
    Score
    """
    net.eval()
    device = next(net.parameters()).device

    def run(stack: Array) -> list[Array]:
        logits = net(torch.from_numpy(np.ascontiguousarray(stack)).to(device))
        return [logits.float().cpu().numpy()]

    probability = window_probability(run, case.hounsfield, lambda _: None)
    said = (probability > 0.5) & case.known
    return compare(said, (case.liver > 0.5) & case.known)


def compare(
    said: np.ndarray, truth: np.ndarray, spacing_mm: tuple[float, float, float] = LIVER_SPACING_MM
) -> Score:
    """Return the figures of two masks on one grid, by default the liver's."""
    both, either = int((said & truth).sum()), int((said | truth).sum())
    distance = float("nan")
    if said.any() and truth.any():
        box = ndimage.find_objects((said | truth).astype(np.uint8))[0]
        padded = (np.pad(mask[box], 1).astype(np.float32) for mask in (said, truth))
        first, second = (torch.from_numpy(mask[None, None]) for mask in padded)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # MONAI 1.6 of its own arguments
            distance = float(
                compute_hausdorff_distance(
                    first, second, include_background=True, percentile=95, spacing=spacing_mm
                )
            )
    return Score(
        dice(said, truth),
        both / either if either else 1.0,
        distance,
        (int(said.sum()) - int(truth.sum())) * float(np.prod(spacing_mm)) / 1000,
        bool(truth.any()),
    )


def dice(said: np.ndarray, truth: np.ndarray) -> float:
    """Return the Dice coefficient of two masks; 1 when both are empty."""
    total = int(said.sum()) + int(truth.sum())
    return 2 * int((said & truth).sum()) / total if total else 1.0


def fixed_patches(cases: Sequence[Case]) -> Patches:
    """Return the same patches of `cases` every time, for a glance while training.

    Parameters
    ----------
    cases : sequence of Case
        At least one.

    Returns
    -------
    Patches
    """
    drawn = [
        patch(cases[number % len(cases)], np.random.default_rng([GLANCE_SEED, number]))
        for number in range(GLANCED)
    ]
    image, liver, known = (np.stack(part)[:, None] for part in zip(*drawn, strict=True))
    return Patches(*(torch.from_numpy(part) for part in (image, liver, known)))


@torch.inference_mode()
def glance(net: LiverNet | LiverNet2020, seen: Patches) -> float:
    """Return the Dice coefficient of `net` over all voxels of `seen` whose truth is known.

    Parameters
    ----------
    net : LiverNet or LiverNet2020
        Left in `eval()`.
    seen : Patches
        As `fixed_patches` returns them.

    Returns
    -------
    float
        0 to 1.
    """
    net.eval()
    device = next(net.parameters()).device
    said = torch.cat([net(one[None].to(device)).cpu() > 0 for one in seen.stack])
    known = seen.known > 0.5
    return dice((said & known).numpy(), ((seen.liver > 0.5) & known).numpy())


def cost(watched: Sequence[Case], net: LiverNet | LiverNet2020) -> float:
    """Return 1 minus the mean Dice of `net` on whole cases, each patient as much as another.

    Parameters
    ----------
    watched
        At least one.
    net
        Left in ``eval()``.

    Returns
    -------
    float
        0 to 1.
    """
    found = [score(net, case).dice for case in watched]
    return 1 - patient_mean(found, [case.patient for case in watched])


def summary(net: LiverNet | LiverNet2020, cases: Sequence[Case]) -> dict[str, Any]:
    """Return what a record of weights says of held-out cases, on the 4 x 2.5 x 2.5 mm grid.

    Parameters
    ----------
    net : LiverNet or LiverNet2020
        Left in `eval()`.
    cases : sequence of Case
        Held out of its training.

    Returns
    -------
    dict
        ``livers`` and their ``dice`` (the mean) and ``least_dice``; ``without_liver`` and the
        ``false_ml`` that was found in them.
    """
    shown = [case for case in cases if (case.liver > 0.5).any()]
    others = [case for case in cases if not (case.liver > 0.5).any()]
    found: dict[str, Any] = {"livers": len(shown), "without_liver": len(others)}
    if shown:
        each = [score(net, case).dice for case in shown]
        found |= {"dice": round(float(np.mean(each)), 4), "least_dice": round(min(each), 4)}
    if others:
        false = sum(score(net, case).volume_error_ml for case in others)
        found |= {"false_ml": round(false, 1)}
    return found
