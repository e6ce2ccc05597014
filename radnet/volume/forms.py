"""The two ways a NIfTI header places its voxels: qform and sform, which may disagree.

The standard leaves open which of them counts where both are there; programs differ. A mask, a
side of the body, a volume in mL rest on it.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from radnet.errors import UnusableVolumeError
from radnet.volume.geometry import SIDEWAYS_MM

FORMS: Final = ("qform", "sform")
SAME_STEP: Final = 0.01  # of a voxel's edge: sizes that differ by more are two sizes

Affine = NDArray[np.float64]


@dataclass(frozen=True)
class Placed:
    """Where a file says its voxels lie.

    Attributes
    ----------
    affine
        From [column, row, slice] of the file to RAS mm.
    told
        Whether the file says so at all; False: both codes are 0.
    conflict
        How qform and sform disagree, in words; empty: they do not, or one was chosen.
    directions
        Whether both forms point the axes the same way.
    sizes
        Whether both forms give the voxels the same size.
    """

    affine: Affine
    told: bool
    conflict: str = ""
    directions: bool = True
    sizes: bool = True


def placed(image: Any, chosen: str | None = None) -> Placed:
    """Return where the voxels of a NIfTI image lie.

    Parameters
    ----------
    image
        Of nibabel.
    chosen
        ``qform`` or ``sform``: the form that counts; anything else chooses none.

    Raises
    ------
    UnusableVolumeError
        If the form that is chosen is not there.
    """
    qform, sform = _qform(image), _sform(image)
    if chosen in FORMS:
        affine = qform if chosen == "qform" else sform
        if affine is None:
            raise UnusableVolumeError(f"its {chosen} cannot be used: the file holds none")
        return Placed(affine, told=True)
    codes = [int(image.header[f"{form}_code"]) > 0 for form in FORMS]
    best = np.asarray(image.affine, np.float64)
    if not all(codes):
        return Placed(best, told=any(codes))
    if qform is None or sform is None:
        broken = "qform" if qform is None else "sform"
        conflict = f"its {broken} is no affine although its code says that it counts"
        return Placed(best, told=True, conflict=conflict, sizes=False)
    apart = _apart(qform, sform, image.shape[:3])
    steps = [np.linalg.norm(affine[:3, :3], axis=0) for affine in (qform, sform)]
    if apart <= min(SIDEWAYS_MM, float(min(steps[0].min(), steps[1].min())) / 2):
        return Placed(best, told=True)
    return Placed(
        best,
        told=True,
        conflict=f"its qform and sform place a corner of it {apart:.1f} mm apart",
        directions=nib.aff2axcodes(qform) == nib.aff2axcodes(sform),
        sizes=bool(np.allclose(steps[0], steps[1], rtol=SAME_STEP)),
    )


def _qform(image: Any) -> Affine | None:
    try:
        affine = image.header.get_qform(coded=True)[0]
    except (ValueError, nib.spatialimages.HeaderDataError):  # a quaternion longer than 1
        return None
    return _affine(affine)


def _sform(image: Any) -> Affine | None:
    return _affine(image.header.get_sform(coded=True)[0])


def _affine(found: Any) -> Affine | None:
    """Return what is found as an affine, None where it places no voxel."""
    if found is None:
        return None
    affine = np.asarray(found, np.float64)
    usable = np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 1e-6
    return affine if usable else None


def _apart(one: Affine, other: Affine, shape: tuple[int, ...]) -> float:
    """Return the largest distance between the corners of a volume under two affines, in mm."""
    ends = [(-0.5, max(1, length) - 0.5) for length in (*shape, 1, 1)[:3]]
    corners = np.array([(*corner, 1.0) for corner in product(*ends)])
    return float(np.linalg.norm(corners @ (one - other).T, axis=1).max())
