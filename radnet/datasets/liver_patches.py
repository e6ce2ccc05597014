"""Patches of liver cases, each as another patient, scanner or phase might have given it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from radnet.datasets.bowel import filled
from radnet.datasets.liver_cases import Case
from radnet.inference.preparation import LIVER_SPACING_MM

PHANTOM_SHARE: Final = 0.2  # of the patches, where there are real cases
PATCH: Final = (48, 96, 96)
BENDS: Final = (4, 5, 5)  # control points of the elastic deformation
BENT: Final = (1.0, 2.4, 2.4)  # its standard deviation at a control point, in voxels
LESION_DEPTH: Final = 2  # voxels from the border to the centre of a lesion, at least
SACS_IN: Final = 0.4  # of the patches of patients
SAC_DISTANCE: Final = 4  # voxels from the liver to the middle of a sac, at most
VIEW_CUT_IN: Final = 0.25  # of the patches: a field of view that may cut the body
VIEW_CUT: Final = 0.3  # of the width or depth of the scan, on one side, at most
SHORTEST_SCAN: Final = 8  # slices that are left of a scan cut short
TONES_HU: Final = (-160.0, -80.0, 0.0, 40.0, 80.0, 120.0, 180.0, 240.0)

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Patches:
    """A batch of patches."""

    stack: Tensor  # (B, 1, 48, 96, 96), the liver window as [0, 1]
    liver: Tensor
    known: Tensor


def patches(
    real: list[Case], phantoms: list[Case], size: int, seed: int, *, first: int = 0
) -> Iterator[Patches]:
    """Yield batches for ever; real patients equally often, negatives a third as often.

    Batch number i depends on `seed` and i alone; `first` is the number to begin with.
    """
    weights = np.array([0.35 if np.isnan(case.enhanced) else 1.0 for case in real])
    for number in count(first):
        rng = np.random.default_rng([seed, number])
        drawn = []
        for _ in range(size):
            if phantoms and (not real or rng.random() < PHANTOM_SHARE):
                case = phantoms[int(rng.integers(len(phantoms)))]
            else:
                case = real[int(rng.choice(len(real), p=weights / weights.sum()))]
            drawn.append(patch(case, rng))
        image, liver, known = (np.stack(part)[:, None] for part in zip(*drawn, strict=True))
        yield Patches(*(torch.from_numpy(part) for part in (image, liver, known)))


def patch(case: Case, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Return a patch of `case`, deformed and rescanned: image, liver, known."""
    if not case.phantom and rng.random() < 0.4:
        case = replace(case, hounsfield=filled(case.hounsfield, case.gas, case.liver, rng))
    places = patch_places(case, rng)
    image, liver, known = deformed(case, *in_view(case, places, rng))
    image = with_sacs(with_lesions(image, liver, case, rng), liver, case, rng)
    image = _rescanned(image, liver, case, rng)
    reached = cut_short(within_slices(case, places), rng)
    low, high = rng.uniform(-200, -120), rng.uniform(200, 280)
    image = (np.clip(image, low, high) - low) / (high - low)
    image[reached < 1] = 0
    return image.astype(np.float32), (liver > 0.5).astype(np.float32), reached * known


def patch_places(case: Case, rng: np.random.Generator) -> Tensor:
    """Return where in `case` each voxel of a patch lies, (48, 96, 96, 3) in voxels (z, y, x)."""
    turn = rng.uniform(-0.25, 0.25)
    scale = rng.uniform(0.8, 1.25) * np.exp(rng.normal(0, 0.05, 3))
    cos, sin = np.cos(turn), np.sin(turn)
    matrix = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ np.diag(scale)
    axes = [torch.arange(size, dtype=torch.float32) - (size - 1) / 2 for size in PATCH]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    places = places @ torch.from_numpy(matrix.T).float()
    if rng.random() < 0.6:
        bends = rng.normal(0, 1, (1, 3, *BENDS)) * np.array(BENT)[None, :, None, None, None]
        smooth = functional.interpolate(
            torch.from_numpy(bends).float(), PATCH, mode="trilinear", align_corners=True
        )
        places = places + smooth[0].permute(1, 2, 3, 0)
    return places + torch.from_numpy(_middle(case, rng)).float()


def _middle(case: Case, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return where the patch is centred: mostly near liver."""
    if rng.random() < 0.7 and case.liver.max() > 0.5:
        voxel = int(rng.choice(np.flatnonzero(case.liver > 0.5)))
        near = np.array(np.unravel_index(voxel, case.liver.shape), float)
        return np.asarray(near + rng.normal(0, (10, 18, 18)))
    inside = (case.hounsfield.ravel()[::997] > -300) & case.known.ravel()[::997]
    voxel = int(rng.choice(np.flatnonzero(inside))) * 997 if inside.any() else 0
    return np.array(np.unravel_index(voxel, case.liver.shape), float)


def in_view(case: Case, places: Tensor, rng: np.random.Generator) -> tuple[Tensor, Array]:
    """Return `places` of a field of view that may cut the body, and which lie in it.

    Beyond its edge there is what lies at the edge, as the segmenter has it.
    """
    inside = np.ones(PATCH, np.float32)
    if rng.random() > VIEW_CUT_IN:
        return places, inside
    places = places.clone()
    for axis in (1, 2):
        seen = np.flatnonzero(case.known.any(axis=(0, 3 - axis)))
        cut = rng.uniform(0, VIEW_CUT, 2) * (rng.random(2) < 0.5) * len(seen)
        first, last = float(seen[0] + cut[0]), float(seen[-1] - cut[1])
        inside *= ((places[..., axis] >= first) & (places[..., axis] <= last)).float().numpy()
        places[..., axis].clamp_(first, last)
    return places, inside


def deformed(case: Case, places: Tensor, inside: Array) -> tuple[Array, Array, Array]:
    """Return HU, liver and known of `case` at `places`, linearly interpolated."""
    last = torch.tensor(case.hounsfield.shape, dtype=torch.float32) - 1
    grid = (2 * places / last.clamp(min=1) - 1).flip(-1)[None]  # grid_sample wants (x, y, z)
    volume = torch.from_numpy(np.ascontiguousarray(case.hounsfield))[None, None]
    image = functional.grid_sample(volume, grid, padding_mode="border", align_corners=True)
    masks = torch.from_numpy(np.stack([case.liver, case.known.astype(np.float32)]))[None]
    liver, known = functional.grid_sample(masks, grid, align_corners=True)[0].numpy()
    return image[0, 0].numpy(), liver, (known > 0.99).astype(np.float32) * inside


def within_slices(case: Case, places: Tensor) -> Array:
    """Return which places lie between the first and the last slice."""
    slices = places[..., 0]
    reached: Array = ((slices > -0.5) & (slices < len(case.hounsfield) - 0.5)).float().numpy()
    return reached


def with_lesions(image: Array, liver: Array, case: Case, rng: np.random.Generator) -> Array:
    """Return `image` with a few rounded lesions in the liver: they belong to it.

    Their centres lie inside, not at the border, where a dark spot is mostly gallbladder.
    """
    inside = np.argwhere(ndimage.binary_erosion(liver > 0.5, iterations=LESION_DEPTH))
    if case.phantom or len(inside) < 500 or rng.random() > 0.35:
        return image
    for _ in range(int(rng.integers(1, 5))):
        centre = inside[int(rng.integers(len(inside)))]
        inner = _blob(centre, np.exp(rng.uniform(np.log(5), np.log(32))), rng)
        by = rng.uniform(-70, -15) if rng.random() < 0.8 else rng.uniform(10, 60)
        image = image + np.float32(by) * (inner * liver).astype(np.float32)
    return image


def with_sacs(image: Array, liver: Array, case: Case, rng: np.random.Generator) -> Array:
    """Return `image` with a sac or two of fluid beside the liver, which do not belong to it.

    A gallbladder and a bowel full of fluid look like the dark lesions of a liver, and differ from
    them in where they lie. Liver, lung and bone stay as they were.
    """
    if case.phantom or rng.random() > SACS_IN:
        return image
    inside = liver > 0.5
    around = ndimage.binary_dilation(inside, iterations=SAC_DISTANCE) & ~inside & (image > -200)
    beside = np.argwhere(around)
    if len(beside) < 500:
        return image
    for _ in range(int(rng.integers(1, 3))):
        centre = beside[int(rng.integers(len(beside)))]
        inner = _blob(centre, np.exp(rng.uniform(np.log(8), np.log(32))), rng)
        inner = inner * (1 - liver) * ((image > -250) & (image < 180))
        fluid = rng.uniform(-5, 40) if rng.random() < 0.85 else rng.uniform(60, 300)
        grain = rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(2, 12))
        image = image + (inner * (np.float32(fluid) + grain - image)).astype(np.float32)
    return image


def _blob(
    centre: NDArray[np.int64], radius_mm: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return a rounded, uneven blob in a patch, 1 within and 0 outside, soft at its border."""
    radius = radius_mm * np.exp(rng.normal(0, 0.25, 3))
    axes = [
        ((np.arange(size) - at) * step / length) ** 2
        for size, step, at, length in zip(PATCH, LIVER_SPACING_MM, centre, radius, strict=True)
    ]
    far = np.sqrt(axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :])
    blob: NDArray[np.float64] = 1 / (1 + np.exp(np.clip((far - 1) * rng.uniform(4, 14), -30, 30)))
    return blob


def _rescanned(image: Array, liver: Array, case: Case, rng: np.random.Generator) -> Array:
    """Return `image` as another scanner, phase or liver might have given it, in HU."""
    if case.enhanced > 75 and rng.random() < 0.35:  # as if without an agent
        ratio = (rng.uniform(45, 65) - 20) / (case.enhanced - 20)
        image = np.where((image > 20) & (image < 300), 20 + (image - 20) * ratio, image)
    if rng.random() < 0.3:  # a fatty, or a brighter, liver
        image = image + liver * np.float32(rng.uniform(-30, 20))
    if rng.random() < 0.4:  # another mixture of phases: tissues change places a little
        tones = np.maximum.accumulate(np.array(TONES_HU) + rng.normal(0, 8, len(TONES_HU)))
        near = (image > TONES_HU[0]) & (image < TONES_HU[-1])
        image = np.where(near, np.interp(image, TONES_HU, tones), image)
    image = image + np.float32(rng.uniform(-30, 30) if not case.phantom else rng.uniform(-10, 10))
    if rng.random() < 0.25:
        image = ndimage.gaussian_filter(image, (rng.uniform(0.3, 1.0), 0, 0))
    if rng.random() < 0.25:
        image = ndimage.gaussian_filter(image, (0, *([rng.uniform(0.3, 0.8)] * 2)))
    noise = rng.standard_normal(image.shape).astype(np.float32) * np.float32(rng.uniform(0, 20))
    if rng.random() < 0.3:  # of a smooth kernel
        noise = 2 * ndimage.gaussian_filter(noise, (0, 0.8, 0.8))
    return np.asarray(image + noise, np.float32)


def cut_short(reached: Array, rng: np.random.Generator) -> Array:
    """Return `reached` of a scan that begins or ends within the patch, now and then."""
    slices = np.flatnonzero(reached.any(axis=(1, 2)))
    if len(slices) <= SHORTEST_SCAN or rng.random() > 0.25:
        return reached
    kept = int(rng.integers(SHORTEST_SCAN, len(slices)))
    first = int(slices[0] if rng.random() < 0.5 else slices[-1] - kept + 1)
    cut = np.zeros_like(reached)
    cut[first : first + kept] = reached[first : first + kept]
    return cut
