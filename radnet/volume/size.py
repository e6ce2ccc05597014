"""How large a volume may be: told before its voxels are read."""

from collections.abc import Sequence
from math import prod
from typing import Final

from radnet.errors import UnusableVolumeError

MOST_VOXELS: Final = 512 * 512 * 1400
BYTES_PER_VOXEL: Final = 10  # while it is worked on, at the most


def refuse_too_large(name: str, shape: Sequence[int]) -> None:
    """Raise `UnusableVolumeError` if a volume of `shape` would take too much memory.

    Parameters
    ----------
    name : str
        How messages call the volume.
    shape : sequence of int
        Voxels along each axis.

    Raises
    ------
    UnusableVolumeError
        If there are more than `MOST_VOXELS`.
    """
    if prod(shape) > MOST_VOXELS:
        raise UnusableVolumeError(
            f"{name}: {' x '.join(map(str, shape))} voxels need about "
            f"{BYTES_PER_VOXEL * prod(shape) / 2**30:.0f} GB of memory; at most {MOST_VOXELS:,} "
            "voxels are taken"
        )
