"""Bowel that holds gas today held fluid, food or contrast yesterday: the same CT, filled again.

A network that met only gas-filled colon beside the liver takes the fluid-filled one for liver.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

GAS_HU: Final = -145.0  # below fat, and above the floor of scans that came as 8 bit
SMALLEST: Final = 40  # voxels of 25 mm3: one millilitre
LARGEST: Final = 12_000  # 300 mL; more is lung
WALL: Final = 1  # voxels in plane by which gas blurs into the wall
SHARE: Final = 0.7  # of the pockets that are filled

Array = NDArray[np.float32]


def gas_pockets(hounsfield: Array) -> NDArray[np.int32]:
    """Return the number of the gas pocket each voxel lies in, 0 outside.

    Parameters
    ----------
    hounsfield
        (Z, Y, X) in HU at 4 x 2.5 x 2.5 mm. Air that reaches the edge in plane lies around the
        body; more than 300 mL in one piece is lung.
    """
    parts, count = ndimage.label(hounsfield < GAS_HU)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    keep = (sizes >= SMALLEST) & (sizes <= LARGEST)
    edges = (parts[:, 0], parts[:, -1], parts[:, :, 0], parts[:, :, -1])
    keep[np.concatenate([edge.ravel() for edge in edges])] = False
    keep[0] = False
    numbers = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    return np.asarray(numbers[parts], np.int32)


def filled(
    hounsfield: Array, gas: NDArray[np.int32], liver: Array, rng: np.random.Generator
) -> Array:
    """Return `hounsfield` with most gas pockets filled, each by something of its own.

    Parameters
    ----------
    hounsfield
        (Z, Y, X) in HU.
    gas
        Of `gas_pockets`.
    liver
        0 to 1; what is liver stays as it is.
    """
    pockets = int(gas.max())
    if pockets == 0:
        return hounsfield
    content = np.full(pockets + 1, np.nan, np.float32)
    for number in range(1, pockets + 1):
        if rng.random() < SHARE:
            content[number] = rng.uniform(*((-10, 50) if rng.random() < 0.7 else (60, 400)))
    reach = ndimage.grey_dilation(gas, size=(1, 2 * WALL + 1, 2 * WALL + 1))
    fill = content[reach]
    fill += rng.standard_normal(fill.shape, np.float32) * np.float32(rng.uniform(2, 15))
    changed = np.isfinite(fill) & (liver < 0.1)
    return np.where(changed, fill, hounsfield).astype(np.float32)
