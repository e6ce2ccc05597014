"""Pictures of a made-up body: CT in HU and MR by its signal equations.

`take` draws one acquisition of one body; `protocols.random_scan` asks for one as a hospital would.
The phantom knows its own truth: tissue of every voxel, and how much of each region is in view.
"""

from dataclasses import dataclass
from typing import Final

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from radnet.labels.vocabulary import Contrast, Plane, Region, Sequence
from radnet.phantom.anatomy import Array, Grid, Labels, Tissue, dents
from radnet.phantom.body import Body, draw_body
from radnet.phantom.signal import inversion_recovery, spin_echo

T = Tissue
PADDING_HU: Final = -1024.0
NARROW_MM: Final = 60.0  # width of a stack that shows the spine and little beside it
UNSURE: Final = 0.35  # share of a region of which nobody says whether it is covered
MIDLINE: Final = (Region.BRAIN, Region.UPPER_HEAD_NECK, Region.LOWER_HEAD_NECK)

# tissue: HU without agent, gain of an arterial, portal venous and late phase
HU: Final[dict[Tissue, tuple[float, float, float, float]]] = {
    T.AIR: (-1000, 0, 0, 0),
    T.FAT: (-100, 0, 2, 2),
    T.MUSCLE: (55, 6, 14, 16),
    T.BONE: (650, 0, 0, 0),
    T.MARROW: (200, 5, 10, 10),
    T.GREY: (38, 6, 8, 7),
    T.WHITE: (29, 3, 4, 4),
    T.CSF: (8, 0, 0, 0),
    T.LUNG: (-830, 15, 20, 15),
    T.ARTERY: (42, 260, 120, 75),
    T.VEIN: (42, 30, 125, 80),
    T.LIVER: (57, 12, 52, 38),
    T.SPLEEN: (48, 65, 72, 45),
    T.CORTEX: (32, 120, 145, 110),
    T.MEDULLA: (30, 25, 110, 120),
    T.STOMACH: (20, 2, 3, 3),
    T.BOWEL: (38, 25, 40, 30),
    T.GAS: (-950, 0, 0, 0),
    T.URINE: (8, 0, 2, 150),
    T.GLAND: (35, 20, 30, 30),
    T.PANCREAS: (40, 60, 50, 35),
    T.BILE: (10, 0, 0, 2),
    T.LESION: (38, 25, 20, 25),
    T.HEART: (45, 120, 90, 65),
}

# tissue: proton density, T1 ms, T2 ms, uptake of gadolinium (fraction of blood)
RELAXATION: Final[dict[Tissue, tuple[float, float, float, float]]] = {
    T.AIR: (0.0, 1000, 50, 0),
    T.FAT: (0.95, 260, 75, 0),
    T.MUSCLE: (0.75, 950, 42, 0.12),
    T.BONE: (0.06, 500, 5, 0),
    T.MARROW: (0.70, 380, 60, 0.05),
    T.GREY: (0.85, 1050, 98, 0.02),
    T.WHITE: (0.72, 680, 76, 0.01),
    T.CSF: (1.0, 3600, 1600, 0),
    T.LUNG: (0.10, 1100, 30, 0.1),
    T.ARTERY: (0.55, 1500, 150, 1.0),
    T.VEIN: (0.65, 1500, 120, 0.9),
    T.LIVER: (0.72, 600, 48, 0.35),
    T.SPLEEN: (0.80, 1050, 82, 0.45),
    T.CORTEX: (0.80, 950, 85, 0.7),
    T.MEDULLA: (0.85, 1400, 110, 0.5),
    T.STOMACH: (0.75, 1800, 300, 0),
    T.BOWEL: (0.80, 1000, 85, 0.3),
    T.GAS: (0.0, 1000, 50, 0),
    T.URINE: (1.0, 3200, 1200, 0.05),
    T.GLAND: (0.80, 950, 70, 0.35),
    T.PANCREAS: (0.78, 700, 60, 0.4),
    T.BILE: (0.95, 1800, 700, 0),
    T.LESION: (0.85, 1300, 130, 0.7),
    T.HEART: (0.70, 1200, 70, 0.6),
}

# index axes (slice, row, column) of a plane as patient directions: axis and sign
AXES: Final[dict[Plane, tuple[tuple[int, int], ...]]] = {
    Plane.AXIAL: ((2, 1), (1, 1), (0, 1)),
    Plane.CORONAL: ((1, 1), (2, -1), (0, 1)),
    Plane.SAGITTAL: ((0, -1), (2, -1), (1, 1)),
}


@dataclass(frozen=True)
class Acquisition:
    """What is asked of the scanner; lengths in mm, the frame is the patient's (LPS)."""

    sequence: Sequence
    contrast: Contrast
    plane: Plane
    shape: tuple[int, int, int]  # slices, rows, columns
    spacing_mm: tuple[float, float, float]
    centre_mm: tuple[float, float, float]
    phase: int = 2  # with an agent: 1 arterial, 2 portal venous, 3 late
    thickness_mm: float = 4.0
    noise: float = 1.0
    tilt: float = 0.0  # radians, about the patient's left-right axis
    round_field: bool = True
    of: Region | None = None  # shown for its own sake: in view, it is covered

    @property
    def affine(self) -> NDArray[np.float64]:
        """Index (slice, row, column) of a voxel to its centre in LPS mm, 4 x 4."""
        matrix = np.eye(4)
        for column, ((axis, sign), step) in enumerate(
            zip(AXES[self.plane], self.spacing_mm, strict=True)
        ):
            matrix[:3, column] = 0
            matrix[axis, column] = sign * step
        cos, sin = np.cos(self.tilt), np.sin(self.tilt)
        turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
        matrix[:3, :3] = turn @ matrix[:3, :3]
        middle = (np.array(self.shape) - 1) / 2
        matrix[:3, 3] = np.array(self.centre_mm) - matrix[:3, :3] @ middle
        return matrix


@dataclass(frozen=True)
class Phantom:
    """One picture and its truth."""

    image: Array  # (slice, row, column); HU for CT
    tissue: Labels
    affine: NDArray[np.float64]
    acquisition: Acquisition
    coverage: dict[Region, float]  # share of the region's height in view
    rows_of: dict[Region, NDArray[np.bool_]]  # per slice: is the region in it

    @property
    def volume(self) -> hd.Volume:
        """Return the picture as any other scan, in LPS mm."""
        return hd.Volume(self.image, affine=self.affine, coordinate_system="PATIENT")

    @property
    def liver(self) -> NDArray[np.bool_]:
        """True where there is liver, with the vessels and lesions inside it."""
        part = self.tissue == T.LIVER
        reach = tuple(max(1, round(8 / step)) for step in self.acquisition.spacing_mm)
        closed = ndimage.binary_closing(np.pad(part, 4), np.ones(reach, np.uint8))[
            4:-4, 4:-4, 4:-4
        ]
        return np.asarray(part | (closed & np.isin(self.tissue, (T.VEIN, T.LESION))))


def take(body: Body, acquisition: Acquisition, seed: int) -> Phantom:
    """Draw `body` as `acquisition` asks; `seed` drives noise, texture and bias.

    Parameters
    ----------
    body : Body
        A made-up patient.
    acquisition : Acquisition
        Grid (LPS, mm), sequence, contrast and phase.
    seed : int
        The same seed draws the same voxels.

    Returns
    -------
    Phantom
        Image and masks on the grid of the acquisition.
    """
    rng = np.random.default_rng(seed)
    shape = acquisition.shape
    coarse = max(2, round(28 / min(acquisition.spacing_mm)))
    grid = Grid(acquisition.affine, shape, dents(rng, shape, coarse))
    tissue = draw_body(body, grid)
    is_ct = acquisition.sequence is Sequence.CT
    table = _hounsfield(acquisition, rng) if is_ct else _signal(acquisition, rng)
    image = table[tissue]
    fine = dents(rng, shape, 3) * (8 if is_ct else 0.05 * float(table.max()))
    image = np.where(tissue > 0, image + fine * (tissue != T.GAS), image)
    blur = [
        0.35 * max(acquisition.thickness_mm / step, 0.3) if axis == 0 else 0.45
        for axis, step in enumerate(acquisition.spacing_mm)
    ]
    image = ndimage.gaussian_filter(image, blur)
    finish = _finish_ct if is_ct else _finish_mr
    image = finish(image, acquisition, rng)
    coverage, rows_of = _truth(body, grid, tissue, acquisition)
    return Phantom(image.astype(np.float32), tissue, grid.affine, acquisition, coverage, rows_of)


def _hounsfield(acquisition: Acquisition, rng: np.random.Generator) -> Array:
    """Return the HU of every tissue for this patient and phase."""
    table = np.array([HU[tissue] for tissue in Tissue], np.float32)
    out = table[:, 0] + rng.normal(0, 3, len(table)).astype(np.float32)
    out[T.LIVER] += rng.choice([0, 0, 0, -30, 8]) * rng.random()
    out[T.BONE] += rng.uniform(-150, 250)
    if rng.random() < 0.4:
        out[T.STOMACH] = rng.choice([-20, 60, 250])  # food, or an agent that was drunk
    if rng.random() < 0.25:
        out[T.BOWEL] = rng.uniform(100, 300)
    if acquisition.contrast is Contrast.CONTRAST:
        gain = table[:, acquisition.phase] * rng.uniform(0.6, 1.35)
        out += gain * rng.uniform(0.85, 1.15, len(table)).astype(np.float32)
    out[T.AIR] = -1000
    return out


def _signal(acquisition: Acquisition, rng: np.random.Generator) -> Array:
    """Return the MR signal of every tissue, by the signal equation of the sequence."""
    values = np.array([RELAXATION[tissue] for tissue in Tissue], np.float32)
    values[:, :3] *= np.exp(rng.normal(0, 0.06, values[:, :3].shape)).astype(np.float32)
    density, t1, t2, uptake = values.T
    t1 = t1 * rng.uniform(0.9, 1.35)  # 1 T to 3 T
    if acquisition.contrast is Contrast.CONTRAST:
        dose = rng.uniform(1.5, 4.0)  # 1/s in blood
        t1 = 1000 / (1000 / t1 + dose * uptake)
    echo, repeat, inversion, t2_weight = _timing(acquisition.sequence, rng)
    if inversion:
        share = inversion_recovery(t1, t2 * t2_weight, repeat, echo, inversion)
    else:
        share = spin_echo(t1, t2 * t2_weight, repeat, echo)
    signal = density * share
    if acquisition.sequence is Sequence.OTHER and rng.random() < 0.3:
        signal[T.ARTERY], signal[T.VEIN] = 2.5 * signal.max(), 1.6 * signal.max()
    elif rng.random() < 0.5 and acquisition.contrast is Contrast.NONCONTRAST:
        signal[[T.ARTERY, T.VEIN]] *= rng.uniform(0, 0.6)  # flow void
    if acquisition.sequence not in (Sequence.STIR,) and rng.random() < 0.25:
        signal[[T.FAT, T.MARROW]] *= rng.uniform(0.1, 0.4)  # fat saturation
    return np.asarray(signal / max(float(signal.max()), 1e-3), np.float32)


def _timing(sequence: Sequence, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Return echo time, repetition time, inversion time (ms) and the factor on T2."""
    pick = rng.uniform
    if sequence is Sequence.T1:
        return float(pick(2, 18)), float(pick(120, 700)), 0.0, 1.0
    if sequence is Sequence.T2:
        return float(pick(75, 125)), float(pick(2500, 9000)), 0.0, 1.25
    if sequence is Sequence.T1_FLAIR:
        return float(pick(7, 20)), float(pick(1900, 2700)), float(pick(700, 950)), 1.0
    if sequence is Sequence.T2_FLAIR:
        return float(pick(90, 140)), float(pick(8000, 10500)), float(pick(2200, 2500)), 1.2
    if sequence is Sequence.STIR:
        return float(pick(30, 75)), float(pick(3000, 6000)), float(pick(150, 190)), 1.0
    if rng.random() < 0.5:  # echo-planar: strong T2 and T2*
        return float(pick(60, 100)), float(pick(2500, 8000)), 0.0, float(pick(0.5, 0.8))
    return float(pick(8, 25)), float(pick(2000, 4000)), 0.0, 1.0  # proton density


def _finish_ct(image: Array, acquisition: Acquisition, rng: np.random.Generator) -> Array:
    """Return `image` with quantum noise and the round field of a reconstruction."""
    sigma = acquisition.noise * rng.uniform(4, 18)
    noise = ndimage.gaussian_filter(
        rng.standard_normal(image.shape).astype(np.float32), (0, 0.5, 0.5)
    )
    image = image + sigma * noise / max(float(noise.std()), 1e-3)
    if acquisition.plane is Plane.AXIAL:
        rows, columns = image.shape[1:]
        y, x = np.ogrid[:rows, :columns]
        if acquisition.round_field:
            far = np.hypot((y - rows / 2) / (rows / 2), (x - columns / 2) / (columns / 2)) > 1
            image[:, far] = PADDING_HU
        if rng.random() < 0.7:  # the table
            top = round(rows * float(rng.uniform(0.84, 0.95)))
            bend = ((x[0] - columns / 2) ** 2 / columns * 0.15).astype(int)
            for column in range(columns // 6, columns * 5 // 6):
                at = max(0, min(rows - 1, top - int(bend[column])))
                image[:, at, column] = np.maximum(image[:, at, column], rng.uniform(-400, 100))
    return np.clip(image, PADDING_HU, 3071)


def _finish_mr(image: Array, acquisition: Acquisition, rng: np.random.Generator) -> Array:
    """Return `image` with a coil's bias, Rician noise and, for echo-planar, a warp."""
    bias = np.exp(dents(rng, image.shape, max(12, image.shape[1] // 3)) * rng.uniform(0.02, 0.2))
    image = image * bias
    if acquisition.sequence is Sequence.OTHER and rng.random() < 0.5:
        image = ndimage.gaussian_filter(image, (0, rng.uniform(0.3, 1.0), rng.uniform(0.3, 1.0)))
    level = float(np.percentile(image, 90))
    sigma = acquisition.noise * rng.uniform(0.01, 0.06) * level
    real = image + sigma * rng.standard_normal(image.shape)
    imaginary = sigma * rng.standard_normal(image.shape)
    return np.asarray(np.hypot(real, imaginary) * 1000, np.float32)


def _truth(
    body: Body, grid: Grid, tissue: Labels, acquisition: Acquisition
) -> tuple[dict[Region, float], dict[Region, NDArray[np.bool_]]]:
    """Return the share of every region in view, and per slice whether the region is in it."""
    empty = np.zeros(grid.shape[0], bool)
    if body.kind != "body":
        return dict.fromkeys(Region, 0.0), dict.fromkeys(Region, empty)
    z, x = grid.xyz[2], grid.xyz[0]
    filled = (tissue > 0) & (tissue != T.GAS)
    inside = z[filled] if filled.any() else np.zeros(1, np.float32) + 500
    low, high = float(inside.min()), float(inside.max())
    share, rows_of = {}, {}
    for region in Region:
        upper, lower = body.region_mm(region)
        share[region] = max(0.0, min(high, upper) - max(low, lower)) / (upper - lower)
        organ = {
            Region.BRAIN: (T.GREY, T.WHITE),
            Region.LIVER: (T.LIVER,),
            Region.LUNG: (T.LUNG,),
            Region.KIDNEY: (T.CORTEX, T.MEDULLA),
        }.get(region)
        here = np.isin(tissue, organ) if organ else filled & (z < upper) & (z > lower)
        if region is Region.BRAIN:
            here &= z > lower  # the cord is of the same tissue
        if region is Region.BREAST:
            here &= (np.abs(x) > 40) & (grid.xyz[1] < -40)
        counts = here.sum(axis=(1, 2))
        rows_of[region] = counts > 0.15 * max(int(counts.max()), 1)
        share[region] = _share(region, share[region], acquisition) if counts.any() else 0.0
    return share, rows_of


def _share(region: Region, share: float, acquisition: Acquisition) -> float:
    """Return the share of a region that is in view, of that of its height.

    A sagittal stack of the spine passes between the organs: of what it shows of them nobody says
    that they are covered, nor that they are not.
    """
    if region is acquisition.of:
        return 1.0
    width = acquisition.shape[0] * acquisition.spacing_mm[0]
    narrow = acquisition.plane is Plane.SAGITTAL and width < NARROW_MM
    return min(share, UNSURE) if narrow and region not in MIDLINE else share
