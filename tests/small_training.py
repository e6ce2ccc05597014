"""A network and a set that are small enough for tests that train."""

from pathlib import Path
from typing import Final

import nibabel as nib
import numpy as np

from radnet.network.presets import Preset

SMALL: Final = Preset("small", "basic", (1, 1, 1, 1), 0.125, (16, 8, 8, 8))
"""Has a quarter of the channels of ``radnet10-tiny``, the least that ships."""

REGISTER: Final = (
    f"from radnet.network.presets import PRESETS, Preset; PRESETS['{SMALL.name}'] = {SMALL!r}; "
)
"""Source that makes the commands of another process know it by ``--preset small``."""


def lits(folder: Path, count: int) -> Path:
    """Write cases in the layout of LiTS: a bright box with a tumour in it."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        image = rng.normal(-50, 10, (48, 48, 30)).astype(np.int16)
        mask = np.zeros(image.shape, np.uint8)
        mask[12:30, 12:30, 8:22], mask[18:22, 18:22, 12:16] = 1, 2
        image[mask > 0] += 150
        image[:2] = -1000
        affine = np.diag([-4.0, -4.0, 4.0, 1.0])
        nib.save(nib.Nifti1Image(image, affine), folder / f"volume-{number}.nii.gz")
        nib.save(nib.Nifti1Image(mask, affine), folder / f"segmentation-{number}.nii.gz")
    return folder
