"""Other scanners, other patients, the same truth: variants of one sample.

Whatever is done keeps the plane: a stack is mirrored, turned upside down or by quarter turns in
its own plane, never across it. What is cut off is no longer claimed.
"""

from typing import Final

import numpy as np
import torch
from monai.transforms.intensity.array import RandBiasField
from numpy.typing import NDArray
from scipy import ndimage

from radnet.datasets.samples import LONGEST, Sample
from radnet.datasets.seen_by_eye import UNKNOWN
from radnet.inference.preparation import CLASSIFIER_SPACING_MM, CT_HU, CT_LEVELS

Image = NDArray[np.float32]
BIAS: Final = (-0.12, 0.12)  # coefficients of the bias field's logarithm
SEEN: Final = 0.3  # share of the slices of a cut stack that must show a region


def augmented(sample: Sample, rng: np.random.Generator) -> Sample:
    """Return a variant of `sample`."""
    image = sample.image.astype(np.float32)
    slices, spacing_mm = sample.slices, sample.spacing_mm
    if rng.random() < 0.5:
        image = _turned(image, sample.empty, rng)
    image, slices = mirrored(image, slices, rng)
    image, slices, scan = _cut(image, slices, sample, rng)
    if rng.random() < 0.15:
        image = narrowed(image, sample.empty, rng)
    if rng.random() < 0.2:
        image, spacing_mm = thicker(image, spacing_mm, rng)
    image = _rescanned(image, rng) if sample.empty < 0 else _received(image, rng)
    return Sample(
        np.ascontiguousarray(image).astype(np.float16),
        sample.empty,
        sample.sequence,
        sample.plane,
        sample.contrast,
        spacing_mm,
        scan,
        np.ascontiguousarray(slices),
    )


def _turned(image: Image, empty: float, rng: np.random.Generator) -> Image:
    """Turn a little in plane, zoom each axis and shift: another patient on another table."""
    turn, zoom = rng.normal(0, 0.08), np.exp(rng.normal(0, 0.08, 2))
    cos, sin = np.cos(turn), np.sin(turn)
    matrix = np.array([[cos * zoom[0], -sin * zoom[1]], [sin * zoom[0], cos * zoom[1]]])
    middle = (np.array(image.shape[1:]) - 1) / 2
    shift = middle - matrix @ middle + rng.normal(0, 2.5, 2)
    full, offset = np.eye(3), np.zeros(3)
    full[1:, 1:], offset[1:] = matrix, shift
    return np.asarray(ndimage.affine_transform(image, full, offset, order=1, cval=empty))


def mirrored(
    image: Image, slices: NDArray[np.float32], rng: np.random.Generator
) -> tuple[Image, NDArray[np.float32]]:
    """Mirror or turn in plane, or reverse the order of the slices."""
    if rng.random() < 0.12:
        image = image[:, :, ::-1]
    if rng.random() < 0.12:
        image, slices = image[::-1], slices[::-1]
    if rng.random() < 0.08:
        image = np.rot90(image, int(rng.integers(1, 4)), axes=(1, 2))
    return image, slices


def _cut(
    image: Image,
    slices: NDArray[np.float32],
    sample: Sample,
    rng: np.random.Generator,
) -> tuple[Image, NDArray[np.float32], NDArray[np.float32]]:
    """Take some slices of a long stack; a region that is no longer there for sure is unknown.

    A stack stays whole where its slices do not say which of them show a region: the truth of a
    series is one of all of them (multiple-instance learning over the cells of the stack).
    """
    scan, longest = sample.scan, sample.longest
    if longest == LONGEST and rng.random() >= 0.7:
        longest = int(rng.integers(24, LONGEST))
    if image.shape[0] <= longest:
        return image, slices, scan
    at = int(rng.integers(image.shape[0] - longest + 1))
    image, slices = image[at : at + longest], slices[at : at + longest]
    part = np.where(slices == UNKNOWN, np.nan, slices).mean(axis=0)
    scan = np.where(part > SEEN, 1, np.where(scan == 1, UNKNOWN, scan)).astype(np.float32)
    return image, slices, scan


def narrowed(image: Image, empty: float, rng: np.random.Generator) -> Image:
    """Blacken the rim: a smaller field of view, as a rectangle or as a reconstruction circle."""
    rows, columns = (int(size * rng.uniform(0.72, 0.97)) for size in image.shape[1:])
    top = (image.shape[1] - rows) // 2 + int(rng.integers(-3, 4))
    left = (image.shape[2] - columns) // 2 + int(rng.integers(-3, 4))
    y, x = np.ogrid[: image.shape[1], : image.shape[2]]
    if rng.random() < 0.5:
        inside = (y >= top) & (y < top + rows) & (x >= left) & (x < left + columns)
    else:
        inside = ((y - top - rows / 2) / (rows / 2)) ** 2 + (
            (x - left - columns / 2) / (columns / 2)
        ) ** 2 <= 1
    return np.where(inside, image, np.float32(empty))


def thicker(image: Image, spacing_mm: float, rng: np.random.Generator) -> tuple[Image, float]:
    """Show the stack as one of thicker slices: means of neighbours, interpolated between."""
    own = max(spacing_mm, CLASSIFIER_SPACING_MM[0])
    factor = int(rng.integers(2, 4))
    groups = image.shape[0] // factor
    if own * factor > 15 or groups < 4:
        return image, spacing_mm
    coarse = image[: groups * factor].reshape(groups, factor, *image.shape[1:]).mean(axis=1)
    at = np.clip((np.arange(image.shape[0]) - (factor - 1) / 2) / factor, 0, groups - 1)
    below = np.minimum(at.astype(int), groups - 2)
    share = (at - below)[:, None, None].astype(np.float32)
    return coarse[below] * (1 - share) + coarse[below + 1] * share, own * factor


def _rescanned(image: Image, rng: np.random.Generator) -> Image:
    """Return a CT of other dose and calibration, or stored through one window."""
    noise = rng.normal(0, 1, image.shape).astype(np.float32) * np.float32(rng.uniform(0, 0.05))
    low, high = -1.0, 1.0
    if rng.random() < 0.15:
        low, high = np.interp(rng.uniform((-250, 200), (-120, 400)), CT_HU, CT_LEVELS)
    return np.clip(image + noise + np.float32(rng.normal(0, 0.02)), low, high)


def _received(image: Image, rng: np.random.Generator) -> Image:
    """Return an MR of another coil, gain and noise; magnitude noise is never negative."""
    if rng.random() < 0.4:
        image = image * bias_field(image.shape, int(rng.integers(2**31)))
    sigma = np.float32(rng.uniform(0, 0.05))
    real, imaginary = rng.normal(0, 1, (2, *image.shape)).astype(np.float32) * sigma
    image = np.hypot(np.clip(image, 0, None) + real, imaginary)
    image = np.clip(image, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.2)))
    return np.asarray(np.clip(image * np.float32(rng.uniform(0.85, 1.15)), 0, 1), np.float32)


def bias_field(shape: tuple[int, ...], seed: int) -> Image:
    """Return a smooth field of mean 1: how strongly a coil hears each place."""
    draw = RandBiasField(prob=1.0, degree=3, coeff_range=BIAS)
    draw.set_random_state(seed=seed)
    field = np.asarray(draw(torch.ones(1, *shape)), np.float32)[0]
    return np.asarray(field / field.mean(), np.float32)
