"""From one grid of voxels to another, in patient coordinates.

SimpleITK does the arithmetic. It orders indices (column, row, slice) where a
`highdicom.Volume` has [slice, row, column]; only this file knows that.
"""

import math
from typing import Any, Final

import highdicom as hd
import numpy as np
import SimpleITK
from numpy.typing import NDArray

__all__ = ["from_itk", "onto", "resample", "to_itk"]

sitk: Final[Any] = SimpleITK  # it marks itself as typed, and its calls are not


def to_itk(volume: hd.Volume) -> Any:
    """Return `volume` as a SimpleITK image at the same place (LPS, mm)."""
    array = volume.array
    image = sitk.GetImageFromArray(array.astype(np.uint8) if array.dtype == bool else array)
    image.SetSpacing([float(value) for value in volume.spacing[::-1]])
    image.SetOrigin([float(value) for value in volume.position])
    image.SetDirection(np.asarray(volume.direction)[:, ::-1].ravel().tolist())
    return image


def from_itk(image: Any, like: hd.Volume) -> hd.Volume:
    """Return a SimpleITK image as a volume in the frame of reference of `like`."""
    direction = np.array(image.GetDirection()).reshape(3, 3)[:, ::-1]
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(image.GetSpacing())[::-1]
    affine[:3, 3] = image.GetOrigin()
    return hd.Volume(
        sitk.GetArrayFromImage(image),
        affine=affine,
        coordinate_system=like.coordinate_system,
        frame_of_reference_uid=like.frame_of_reference_uid,
    )


def resample(
    volume: hd.Volume, spacing_mm: tuple[float, float, float], linear: bool = True
) -> hd.Volume:
    """Return `volume` with other spacing, its axes and its centre kept.

    Parameters
    ----------
    volume
        [slice, row, column]; no axis is swapped or flipped, a coronal stack stays coronal.
    spacing_mm
        Wanted spacing along slice, row and column.
    linear
        Interpolate linearly, after averaging where the new voxels are more than twice as large
        (so noise is averaged and not sampled); otherwise take the nearest voxel, for labels.

    Returns
    -------
    highdicom.Volume
        Of the same dtype, covering all that `volume` covered and less than one new voxel more;
        there the outermost values go on.
    """
    image = to_itk(volume)
    wanted = [float(value) for value in reversed(spacing_mm)]
    size = [
        max(1, math.ceil(count * old / new - 1e-3))
        for count, old, new in zip(image.GetSize(), image.GetSpacing(), wanted, strict=True)
    ]
    centre = np.array(
        image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()])
    )
    direction = np.array(image.GetDirection()).reshape(3, 3)
    half = (np.array(size) - 1) / 2 * np.array(wanted)
    if linear:
        image = _averaged(sitk.Cast(image, sitk.sitkFloat32), wanted)
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(size)
    resampler.SetOutputSpacing(wanted)
    resampler.SetOutputDirection(image.GetDirection())
    resampler.SetOutputOrigin((centre - direction @ half).tolist())
    resampler.SetInterpolator(sitk.sitkLinear if linear else sitk.sitkNearestNeighbor)
    resampler.SetUseNearestNeighborExtrapolator(True)
    result = from_itk(resampler.Execute(image), volume)
    return result.with_array(result.array.astype(volume.dtype))


def onto(mask_or_prob: hd.Volume, target: hd.Volume) -> NDArray[Any]:
    """Return the values of one volume at the voxels of another.

    Parameters
    ----------
    mask_or_prob
        Floating values are interpolated linearly; whole numbers and bool take the nearest voxel.
    target
        Where the values are wanted; its own values are not read.

    Returns
    -------
    numpy.ndarray
        Array of the shape of `target` and the dtype of `mask_or_prob`; 0 outside it.
    """
    floating = np.issubdtype(mask_or_prob.dtype, np.floating)
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize([int(count) for count in reversed(target.spatial_shape)])
    resampler.SetOutputSpacing([float(value) for value in target.spacing[::-1]])
    resampler.SetOutputOrigin([float(value) for value in target.position])
    resampler.SetOutputDirection(np.asarray(target.direction)[:, ::-1].ravel().tolist())
    resampler.SetInterpolator(sitk.sitkLinear if floating else sitk.sitkNearestNeighbor)
    resampler.SetDefaultPixelValue(0.0)
    array: NDArray[Any] = sitk.GetArrayFromImage(resampler.Execute(to_itk(mask_or_prob)))
    return array.astype(mask_or_prob.dtype, copy=False)


def _averaged(image: Any, wanted: list[float]) -> Any:
    """Average whole blocks of voxels, as many as fit into one new voxel along each axis."""
    factors = [
        min(max(1, int(new / old + 1e-3)), count)
        for new, old, count in zip(wanted, image.GetSpacing(), image.GetSize(), strict=True)
    ]
    return sitk.BinShrink(image, factors) if max(factors) > 1 else image
