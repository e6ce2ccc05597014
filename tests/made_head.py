"""A head of ellipsoids in the frame of the MNI atlas, as a tissue map and as files: nobody's."""

from pathlib import Path
from typing import Final

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from radnet.synthesis.matter import Matter
from radnet.synthesis.tissue_map import TissueMap

STEP_MM: Final = 4.0
MARKED_MM: Final = (40.0, 0.0, 10.0)  # x to the left: what lies there lies nowhere else
LEVELS: Final = {Matter.FAT: 180, Matter.GREY: 81, Matter.WHITE: 107, Matter.FLUID: 25,
                 Matter.MUCOSA: 107}  # fmt: skip

M = Matter
SHELLS: Final = (
    (M.FAT, 88), (M.BONE, 80), (M.DURA, 74), (M.FLUID, 72), (M.GREY, 68), (M.WHITE, 56),
    (M.FLUID, 14),
)  # fmt: skip


def made_head(*, whole: bool = True) -> TissueMap:
    """Return shells of scalp, skull, fluid and brain, with a marker in the left half."""
    affine = np.eye(4)
    affine[:3, :3] = [[0, 0, STEP_MM], [0, STEP_MM, 0], [STEP_MM, 0, 0]]
    affine[:3, 3] = (-92, -112, -70)
    matter = np.zeros((45, 57, 47), np.uint8)
    index = np.indices(matter.shape, dtype=np.float32)
    x, y, z = np.tensordot(affine[:3, :3], index, 1) + affine[:3, 3, None, None, None]
    far = np.sqrt(x**2 + (y / 1.2) ** 2 + (z - 5) ** 2)
    for kind, radius in SHELLS if whole else SHELLS[3:]:
        matter[far < radius] = kind
    marked = sum((part - at) ** 2 for part, at in zip((x, y, z), MARKED_MM, strict=True)) < 12**2
    matter[marked] = M.MUCOSA
    return TissueMap(matter, affine, whole)


def write_heads(folder: Path, *, mirrored_axis: bool = False) -> None:
    """Write the head and its brain as a folder of tissue maps; axes to the right, or the left."""
    head, brain = made_head(), made_head(whole=False)
    levels = np.zeros(len(Matter), np.uint8)
    for kind, level in LEVELS.items():
        levels[kind] = level
    white = np.isin(brain.matter, (M.WHITE, M.MUCOSA))
    for name, array in (
        ("head", levels[head.matter]),
        ("brain_t1", levels[brain.matter]),
        ("brain_gm", np.where(brain.matter == M.GREY, 255, 0)),
        ("brain_wm", np.where(white, 255, 0)),
    ):
        _write(folder / f"{name}.nii.gz", array.astype(np.uint8), head.affine, mirrored_axis)


def _write(
    path: Path, array: NDArray[np.uint8], affine: NDArray[np.float64], to_left: bool
) -> None:
    """Write (Z, Y, X) at LPS mm as NIfTI, whose mm count to the right and the front."""
    columns = array.transpose(2, 1, 0)[:, ::-1]
    step, (x, y, z) = STEP_MM, affine[:3, 3]
    last_y = y + step * (columns.shape[1] - 1)
    ras = np.diag([-step, step, step, 1.0])
    ras[:3, 3] = (-x, -last_y, z)
    if not to_left:
        columns = columns[::-1]
        ras[0, 0], ras[0, 3] = step, -x - step * (columns.shape[0] - 1)
    image = nib.Nifti1Image(np.ascontiguousarray(columns), ras)
    image.header.set_xyzt_units("mm")
    image.set_sform(ras, code=4)
    image.set_qform(ras, code=4)
    nib.save(image, path)
