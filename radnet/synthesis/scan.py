"""One MR scan of a head that there is: its tissue map, bent a little, seen by a made-up scanner.

The idea is SynthSeg's (Billot et al., Med Image Anal 86 (2023), 102789): a network that learns
from pictures computed of tissue maps, at any contrast and resolution, reads real ones. Contrast
here is not drawn at random but follows from the pulse sequence, for it is what is to be told.
"""

from dataclasses import dataclass
from typing import Final

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from radnet.labels.facts import HeaderFacts
from radnet.labels.vocabulary import Plane
from radnet.phantom.acquisition import AXES
from radnet.phantom.anatomy import dents
from radnet.synthesis.matter import Matter, relaxation
from radnet.synthesis.tissue_map import TissueMap
from radnet.synthesis.weighting import Weighting, signal

Array = NDArray[np.float32]
Labels = NDArray[np.uint8]
Affine = NDArray[np.float64]
BENT_MM: Final = 2.0  # standard deviation of the bending
BELOW: Final = 90  # voxels of neck below a whole head, made of its lowest slice
COIL_MM: Final = 22.0  # a head coil hears that much less well of the neck: 1 / e
SMOOTH_MM: Final = 45.0  # between the points that are bent independently: no fold is possible
AIRY: Final = (
    (0.0, -45.0, -22.0, 20.0), (46.0, 12.0, -38.0, 14.0), (-46.0, 12.0, -38.0, 14.0),
)  # fmt: skip
"""Above the sinuses and beside the ears the field is uneven: x, y, z in the atlas, reach; mm."""


@dataclass(frozen=True)
class HeadOrder:
    """What is asked of the scanner; mm, in the frame of the patient (LPS), about the atlas's.

    Attributes
    ----------
    plane
        In which the slices lie, but for `turned`.
    shape, spacing_mm
        Slices, rows, columns.
    thickness_mm
        Of a slice; less than the spacing leaves gaps.
    centre_mm
        Of the stack.
    turned
        Radians about x, y and z: an oblique stack.
    """

    plane: Plane
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    thickness_mm: float
    centre_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turned: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def affine(self) -> Affine:
        """Return (4, 4): index (slice, row, column) to LPS mm.

        Rows x columns is where the slices run: as a scanner sets them up, nothing mirrored.
        """
        matrix = np.eye(4)
        for column, (axis, sign) in enumerate(AXES[self.plane]):
            matrix[:3, column] = 0
            matrix[axis, column] = sign * self.spacing_mm[column]
        matrix[:3, :3] = _turn(self.turned) @ matrix[:3, :3]
        middle = (np.array(self.shape) - 1) / 2
        matrix[:3, 3] = np.array(self.centre_mm) - matrix[:3, :3] @ middle
        return matrix


@dataclass(frozen=True)
class HeadScan:
    """One picture and its truth.

    Attributes
    ----------
    image
        (slice, row, column) magnitude, 0 to about 1000.
    matter
        `Matter` in the middle of each voxel.
    affine
        To LPS mm.
    asked, order
        What it was made by.
    to_atlas
        (4, 4) LPS mm to those of the atlas, but for the bending.
    """

    image: Array
    matter: Labels
    affine: Affine
    asked: Weighting
    order: HeadOrder
    to_atlas: Affine

    @property
    def volume(self) -> hd.Volume:
        """Return the picture as any other scan, LPS mm."""
        return hd.Volume(self.image, affine=self.affine, coordinate_system="PATIENT")

    @property
    def facts(self) -> HeaderFacts:
        """Return what its header would say."""
        normal = self.affine[:3, 0] / np.linalg.norm(self.affine[:3, 0])
        x, y, z = (float(part) for part in normal)
        return self.asked.facts((x, y, z), self.order.spacing_mm[0], self.order.shape[0])


def _turn(angles: tuple[float, float, float]) -> Affine:
    """Return the rotation about x, then y, then z."""
    out = np.eye(3)
    for axis, angle in enumerate(angles):
        cos, sin = np.cos(angle), np.sin(angle)
        one = np.eye(3)
        first, second = (axis + 1) % 3, (axis + 2) % 3
        one[first, first], one[second, second] = cos, cos
        one[first, second], one[second, first] = -sin, sin
        out = one @ out
    return out


def random_order(rng: np.random.Generator, asked: Weighting) -> HeadOrder:
    """Return where a scan of a head is taken: plane, field of view and slices at random."""
    plane = list(Plane)[int(rng.choice(3, p=(0.5, 0.22, 0.28)))]
    solid = "MP" in asked.variant  # in three dimensions
    step = float(rng.uniform(1.8, 2.2)) if solid else float(rng.choice([3, 4, 5, 5, 5.5, 6, 7]))
    coarse = float(rng.uniform(2.4, 3.4)) if asked.echo_planar else float(rng.uniform(1.7, 2.3))
    field = float(rng.uniform(205, 265))
    through = {Plane.AXIAL: (105, 155), Plane.CORONAL: (130, 195), Plane.SAGITTAL: (110, 165)}
    height = float(rng.uniform(*through[plane]))
    if not solid and rng.random() < 0.12:
        height = float(rng.uniform(45, 90))  # a slab
    side = round(field / coarse)
    oblique = 0.12 if rng.random() < 0.7 else 0.25
    turned = rng.normal(0, oblique, 3) * (1.0, 0.5, 0.5)
    centre = rng.normal(0, 6, 3) + {
        Plane.AXIAL: (0, 12, 14), Plane.CORONAL: (0, 12, 0), Plane.SAGITTAL: (0, 8, 0)
    }[plane]  # fmt: skip
    return HeadOrder(
        plane,
        (max(6, round(height / step)), side, side),
        (step, coarse, coarse),
        step if solid else step * float(rng.uniform(0.75, 1.0)),
        (float(centre[0]), float(centre[1]), float(centre[2])),
        (float(turned[0]), float(turned[1]), float(turned[2])),
    )


def take_head(
    head: TissueMap, asked: Weighting, order: HeadOrder, rng: np.random.Generator
) -> HeadScan:
    """Return a scan of a head, as asked for.

    Parameters
    ----------
    head
        What is scanned; it is bent a little: another person.
    asked
        The pulse sequence.
    order
        The stack of slices.
    rng
        Draws the person, the lesions, the coil and the noise.
    """
    to_atlas = _person(rng)
    places, uneven = _places(order, to_atlas, asked, rng)
    below = np.maximum(np.float32(head.affine[2, 3]) - places[2], 0)
    places[:2] += 6 * np.sin(below / 7) * np.minimum(below / 12, 1)  # no streaks
    heard = np.exp(-below / np.float32(COIL_MM))
    table = signal(asked, relaxation(asked.field_t, asked.agent_mm, rng))
    lesions = _lesions(head, rng)
    texture = np.exp(0.04 * dents(rng, order.shape, 4)).astype(np.float32)
    image = np.zeros(order.shape, np.float32)
    normal = (to_atlas[:3, :3] @ order.affine[:3, 0]).astype(np.float32)
    offsets = np.linspace(-0.5, 0.5, 4)[1:3] * order.thickness_mm / order.spacing_mm[0]
    for offset in offsets:
        matter = _matter(head, places + offset * normal[:, None, None, None], lesions)
        image += table[matter] / len(offsets)
    middle = _matter(head, places, lesions)
    image = image * texture * uneven * heard
    blur = float(rng.uniform(0.35, 0.8))
    image = ndimage.gaussian_filter(image, (0, blur, blur))
    image = _received(image, head, middle, rng)
    return HeadScan(image, middle, order.affine, asked, order, to_atlas)


def _person(rng: np.random.Generator) -> Affine:
    """Return patient mm to atlas mm: another size and another way to lie, never mirrored."""
    matrix = np.eye(4)
    size = np.exp(rng.normal(0, 0.05) + rng.normal(0, 0.03, 3))
    turn = _turn(tuple(rng.normal(0, 0.07, 3)))
    matrix[:3, :3] = turn @ np.diag(1 / size)
    return matrix


def _places(
    order: HeadOrder, to_atlas: Affine, asked: Weighting, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Return where in the atlas each voxel lies, (3, slice, row, column), and what is left there.

    An echo-planar picture is stretched along its columns' direction where the field is uneven, and
    loses signal there.
    """
    matrix = (to_atlas @ order.affine).astype(np.float32)
    index = np.indices(order.shape, dtype=np.float32)
    places = np.tensordot(matrix[:3, :3], index, 1) + matrix[:3, 3, None, None, None]
    lengths = zip(order.shape, order.spacing_mm, strict=True)
    small = [max(2, round(count * step / SMOOTH_MM) + 1) for count, step in lengths]
    for axis in range(3):
        bend = rng.normal(0, BENT_MM, small).astype(np.float32)
        factors = [n / s for n, s in zip(order.shape, small, strict=True)]
        places[axis] += ndimage.zoom(bend, factors, order=1, mode="nearest", grid_mode=True)
    if not asked.echo_planar:
        return places, np.ones(order.shape, np.float32)
    field = np.zeros(order.shape, np.float32)
    for x, y, z, reach in AIRY:
        far = sum((places[axis] - at) ** 2 for axis, at in enumerate((x, y, z)))
        field += np.exp(-far / (2 * reach**2))
    along = matrix[:3, 1] / np.linalg.norm(matrix[:3, 1]) * rng.uniform(-9, 9)
    places += along.astype(np.float32)[:, None, None, None] * field
    return places, np.exp(-field * np.float32(rng.uniform(0.3, 1.6)))


Lesion = tuple[Array, float, float]  # middle in the atlas, radius of its rim and of its oedema, mm


def _lesions(head: TissueMap, rng: np.random.Generator) -> list[Lesion]:
    """Return lesions in white matter: none in most, one of a size, or many small ones."""
    if rng.random() < 0.5:
        return []
    many = rng.random() < 0.4
    count = int(rng.integers(3, 12)) if many else int(rng.integers(1, 3))
    found: list[Lesion] = []
    while len(found) < count:
        index = [int(rng.integers(size)) for size in head.matter.shape]
        if head.matter[tuple(index)] != Matter.WHITE:
            continue
        middle = head.affine[:3, :3] @ index + head.affine[:3, 3]
        radius = float(rng.uniform(2, 4)) if many else float(rng.uniform(5, 17))
        found.append((middle.astype(np.float32), radius, radius * float(rng.uniform(1, 1.8))))
    return found


def _matter(head: TissueMap, places: Array, lesions: list[Lesion]) -> Labels:
    """Return the `Matter` at places of the atlas, nothing beyond it.

    Whole heads end at the upper neck: what is below is taken to go on like their lowest slice.
    """
    step = np.diag(head.affine[[2, 1, 0]][:, [0, 1, 2]]).astype(np.float32)
    start = head.affine[[2, 1, 0], 3].astype(np.float32)
    index = [
        np.rint((places[2 - axis] - start[axis]) / step[axis]).astype(np.int32)
        for axis in range(3)
    ]
    inside = np.ones(places.shape[1:], bool)
    for axis, size in enumerate(head.matter.shape):
        inside &= (index[axis] >= (-BELOW if head.whole and axis == 0 else 0)) & (
            index[axis] < size
        )
        np.clip(index[axis], 0, size - 1, out=index[axis])
    found = np.where(inside, head.matter[index[0], index[1], index[2]], np.uint8(Matter.NOTHING))
    brain = (found == Matter.WHITE) | (found == Matter.GREY)
    for middle, radius, swollen in lesions:
        wobble = 1 + 0.15 * np.sin(places[0] / 5) * np.sin(places[1] / 4 + places[2] / 6)
        far = np.sqrt(sum((places[axis] - middle[axis]) ** 2 for axis in range(3))) * wobble
        found[brain & (far < swollen)] = Matter.OEDEMA
        found[brain & (far < radius)] = Matter.LESION
        if radius > 6:
            found[brain & (far < 0.6 * radius)] = Matter.CORE
    return found


def _received(image: Array, head: TissueMap, matter: Labels, rng: np.random.Generator) -> Array:
    """Return `image` as a coil hears it: shaded, with Rician noise, at some gain."""
    shade = np.exp(dents(rng, image.shape, max(12, image.shape[1] // 2)) * rng.uniform(0.03, 0.25))
    image = image * shade
    level = float(np.percentile(image[matter > 0], 90)) if (matter > 0).any() else 1.0
    sigma = np.float32(level * rng.uniform(0.01, 0.05))
    real, imaginary = rng.standard_normal((2, *image.shape), np.float32) * sigma
    image = np.hypot(image + real, imaginary)
    if not head.whole:
        image = np.where(matter > 0, image, 0)  # stripped: not even noise is left
    return np.asarray(image * np.float32(700 / max(level, 1e-6)), np.float32)
