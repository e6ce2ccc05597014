"""Proof that a written segmentation says what the mask said, in patient coordinates.

The file's bytes are decoded again by highdicom, and its frames are placed by the positions that
stand in them. Nothing of how the object was made is used.
"""

from io import BytesIO
from typing import Any, Final

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from node.errors import CertificateError
from radnet.volume.elements import UNDECODABLE

GRID_TOLERANCE_MM: Final = 0.1  # any corner of the decoded frames, against the source's grid
CENTROID_TOLERANCE_MM: Final = 0.1
VOLUME_TOLERANCE: Final = 1e-3  # of the volume


def decode(encoded: bytes) -> hd.Volume:
    """Return the liver in the bytes of a Segmentation, placed by its own functional groups.

    Raises
    ------
    CertificateError
        If the bytes cannot be decoded to one volume of segment 1.
    """
    try:
        segmentation = hd.seg.segread(BytesIO(encoded))
        return segmentation.get_volume(segment_numbers=[1], combine_segments=True, rtol=0.05)
    except UNDECODABLE as error:
        raise CertificateError(
            f"The written segmentation cannot be decoded again ({type(error).__name__}); "
            "expected segment 1 as one volume."
        ) from error


def certify(encoded: bytes, mask: NDArray[np.bool_], source: hd.Volume) -> dict[str, Any]:
    """Check a written segmentation against the mask and the images it was made from.

    Parameters
    ----------
    encoded
        The DICOM file as it will be sent.
    mask
        Bool array [slice, row, column] on the grid of `source`.
    source
        The images, placed by `radnet.volume`.

    Returns
    -------
    dict
        JSON-ready: centroids in LPS mm, volumes in mL, the greatest distance between the two
        grids in mm, and the number of frames.

    Raises
    ------
    CertificateError
        If the grids, the centroids, the volumes or any voxel disagree.
    """
    decoded = decode(encoded)
    found = decoded.array > 0
    expected_centroid, expected_ml = _measure(mask, source)
    centroid, volume_ml = _measure(found, decoded)
    corner, offset = _first_voxel(decoded, source)
    certificate = {
        "centroid_lps_mm": [round(float(value), 4) for value in centroid],
        "mask_centroid_lps_mm": [round(float(value), 4) for value in expected_centroid],
        "volume_ml": round(volume_ml, 4),
        "mask_volume_ml": round(expected_ml, 4),
        "grid_error_mm": round(offset, 6),
        "frames": int(found.any(axis=(1, 2)).sum()),
    }
    if offset > GRID_TOLERANCE_MM:
        raise CertificateError(
            f"The decoded grid lies {offset:.2f} mm off the source's; expected at most "
            f"{GRID_TOLERANCE_MM} mm."
        )
    apart = float(np.linalg.norm(centroid - expected_centroid))
    if apart > CENTROID_TOLERANCE_MM:
        raise CertificateError(
            f"The decoded centroid lies {apart:.2f} mm off the mask's; expected at most "
            f"{CENTROID_TOLERANCE_MM} mm."
        )
    if abs(volume_ml - expected_ml) > VOLUME_TOLERANCE * expected_ml:
        raise CertificateError(
            f"The decoded volume is {volume_ml:.2f} mL and the mask's {expected_ml:.2f} mL; "
            "expected the same."
        )
    _refuse_other_voxels(found, mask, corner)
    return certificate


def _measure(mask: NDArray[np.bool_], volume: hd.Volume) -> tuple[NDArray[np.float64], float]:
    """Return the centroid (LPS, mm) and the volume (mL) of a mask placed by an affine."""
    if not mask.any():
        raise CertificateError("The segmentation is empty; expected liver.")
    counts = [mask.sum(axis=tuple(a for a in range(3) if a != axis)) for axis in range(3)]
    index = [float(np.average(np.arange(count.size), weights=count)) for count in counts]
    centroid = volume.affine @ np.array([*index, 1.0])
    voxel_mm3 = abs(float(np.linalg.det(volume.affine[:3, :3])))
    return centroid[:3], float(mask.sum()) * voxel_mm3 / 1000.0


def _first_voxel(decoded: hd.Volume, source: hd.Volume) -> tuple[tuple[int, int, int], float]:
    """Return the source index of the decoded voxel (0, 0, 0), and how far the grids are apart.

    The distance is the greatest of all corners, in mm, between where the decoded frames say
    they are and where the source has the voxels of the same index.
    """
    index = np.linalg.inv(source.affine) @ decoded.affine[:, 3]
    first = tuple(int(value) for value in np.rint(index[:3]))
    corners = np.array([[*corner, 1.0] for corner in np.ndindex(2, 2, 2)]) * [
        *(np.array(decoded.spatial_shape) - 1),
        1.0,
    ]
    theirs = (decoded.affine @ corners.T)[:3]
    ours = (source.affine @ (corners + np.array([*first, 0.0])).T)[:3]
    return (first[0], first[1], first[2]), float(np.linalg.norm(theirs - ours, axis=0).max())


def _refuse_other_voxels(
    found: NDArray[np.bool_], mask: NDArray[np.bool_], first: tuple[int, int, int]
) -> None:
    """Compare voxel by voxel: equal centroids and volumes do not make equal masks."""
    placed = np.zeros_like(mask)
    ends = tuple(at + count for at, count in zip(first, found.shape, strict=True))
    if min(first) < 0 or any(end > size for end, size in zip(ends, mask.shape, strict=True)):
        raise CertificateError(
            f"The decoded frames cover voxels {first} to {ends}; expected them inside "
            f"{mask.shape}."
        )
    placed[tuple(slice(at, end) for at, end in zip(first, ends, strict=True))] = found
    different = int((placed != mask).sum())
    if different:
        raise CertificateError(
            f"{different} voxels differ between the decoded segmentation and the mask; "
            "expected none."
        )
