"""Heads to compute MR from: what each voxel is made of, in the frame of the MNI atlas.

A folder of them holds, as NIfTI in that frame (mm, its origin in the brain):

* ``NAME_gm.nii.gz`` and ``NAME_wm.nii.gz``, the shares of grey and white matter, and
  ``NAME_t1.nii.gz``, 0 outside the brain: a brain without its head;
* any other ``*.nii.gz``: T1 pictures of whole heads, whose tissues are told by grey level and by
  how far they lie from that brain.

The atlas's own notice asks that its lines go with what is computed from it: see
`radnet.synthesis.notices`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from radnet.errors import DataError
from radnet.synthesis.matter import Matter
from radnet.synthesis.segmentation import brain_matter, head_matter
from radnet.synthesis.vessels import with_vessels
from radnet.volume.axes import turn_to
from radnet.volume.nifti import read_nifti_file, refuse_uncertain

Labels = NDArray[np.uint8]
Affine = NDArray[np.float64]
SHARES: Final = ("_t1.nii.gz", "_gm.nii.gz", "_wm.nii.gz")


@dataclass(frozen=True)
class TissueMap:
    """One head.

    Attributes
    ----------
    matter
        (Z, Y, X) `Matter`, from the lowest slice, from the front, from the right.
    affine
        (4, 4) from that index to mm: x to the left, y to the back, z to the head (LPS).
    whole
        Whether it has skull and scalp; else it was stripped to the brain.
    """

    matter: Labels
    affine: Affine
    whole: bool

    def __post_init__(self) -> None:
        turned = self.affine[:3, :3][[2, 1, 0]]
        if not np.allclose(turned, np.diag(np.diag(turned))) or (np.diag(turned) <= 0).any():
            raise DataError(
                f"a tissue map whose axes run along {self.affine[:3, :3].tolist()}; expected "
                "slices to the head, rows to the back, columns to the left"
            )

    def brain_z(self) -> tuple[float, float]:
        """Return the lowest and the highest z of the brain, mm."""
        there = np.flatnonzero((self.matter == Matter.GREY).any(axis=(1, 2)))
        low, high = (float(self.affine[2, 0] * z + self.affine[2, 3]) for z in there[[0, -1]])
        return low, high


def read_maps(folder: Path) -> tuple[TissueMap, ...]:
    """Return the heads of a folder: whole ones first, then the brain without a head.

    Raises
    ------
    DataError
        If it does not hold the three pictures of one brain.
    UnusableVolumeError
        If one of its files cannot be read or does not say where it lies.
    """
    (t1,), (grey,), (white,) = (_named(folder, ending) for ending in SHARES)
    shares = [_read(path) for path in (t1, grey, white)]
    whole = sorted(path for path in folder.glob("*.nii.gz") if not path.name.endswith(SHARES))
    return (
        *(_whole(_read(path), shares[1], shares[2]) for path in whole),
        _brain(*shares),
    )


def _named(folder: Path, ending: str) -> list[Path]:
    found = sorted(folder.glob(f"*{ending}"))
    if len(found) != 1:
        raise DataError(
            f"{folder}: {len(found)} files *{ending}; expected one, beside *_gm.nii.gz and "
            "*_wm.nii.gz of the same brain (see radnet/synthesis/tissue_map.py)"
        )
    return found


def _read(path: Path) -> hd.Volume:
    """Return a picture with its slices to the head, rows to the back and columns to the left."""
    scan = read_nifti_file(path)
    refuse_uncertain(scan, path.name)
    return turn_to(scan.volume.affine, "HPL").there(scan.volume)


def _whole(head: hd.Volume, grey: hd.Volume, white: hd.Volume) -> TissueMap:
    shares = [_onto(head, one) for one in (grey, white)]
    matter = head_matter(np.asarray(head.array, np.float32), *shares)
    return TissueMap(with_vessels(matter, head.affine), head.affine, whole=True)


def _brain(t1: hd.Volume, grey: hd.Volume, white: hd.Volume) -> TissueMap:
    shares = [_onto(t1, one) for one in (grey, white)]
    matter = brain_matter(np.asarray(t1.array, np.float32), *shares)
    return TissueMap(with_vessels(matter, t1.affine), t1.affine, whole=False)


def _onto(grid: hd.Volume, share: hd.Volume) -> NDArray[np.float32]:
    """Return a share, 0 to 1, on the grid of another picture of the same frame."""
    there = np.linalg.inv(share.affine) @ grid.affine
    array = np.asarray(share.array, np.float32)
    found = ndimage.affine_transform(
        array, there[:3, :3], there[:3, 3], output_shape=grid.spatial_shape, order=1
    )
    return np.asarray(found / max(float(array.max()), 1e-6), np.float32)
