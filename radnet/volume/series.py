"""One series of files to one volume."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.processing import apply_modality_lut
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from radnet.errors import GeometryError, UndecodableError, UnusableVolumeError
from radnet.volume.agreement import frame_of_reference
from radnet.volume.decoding import decoded, each_decoded
from radnet.volume.elements import UNDECODABLE
from radnet.volume.frames import headers_of_frames
from radnet.volume.geometry import SliceOrder, slice_order
from radnet.volume.headers import (
    CT_CLASSES,
    MULTI_FRAME,
    quiet_headers,
    read_headers,
    refuse_unusable,
    series_name,
)
from radnet.volume.quantity import refuse_other_than_hounsfield, refuse_slabs
from radnet.volume.selection import pick
from radnet.volume.size import refuse_too_large
from radnet.volume.stacks import one_stack

__all__ = ["read_headers", "read_volume"]

AIR_HU: Final = -1024.0  # what padding outside the scanned circle of a CT becomes
PATIENT: Final = hd.CoordinateSystemNames.PATIENT


def read_volume(paths: Sequence[Path], *, tolerant: bool = False) -> hd.Volume:
    """Read the files of one series as one volume.

    Parameters
    ----------
    paths
        Every instance of one series, in any order: single-frame images, or one multi-frame. What
        `radnet.volume.selection` leaves out is no slice of the volume.
    tolerant
        Accept uneven gaps (the median is taken) and a tilted gantry. For recognising a series
        only: positions inside such a volume are not exact.

    Returns
    -------
    highdicom.Volume
        float32 array [slice, row, column]; CT in HU, others in the modality's rescaled values.
        The affine takes these indices to patient coordinates (LPS, mm). An axial series runs
        from head to foot.

    Raises
    ------
    UnusableVolumeError
        If the files are not slices of one volume: the message says why.
    MixedSeriesError
        If they are not of one patient, study, modality, SOP class or frame of reference.
    GeometryError
        If positions or orientations do not describe one regular volume.

    References
    ----------
    DICOM PS3.3 Sections C.7.6.2 (Image Plane) and C.11.1 (Modality LUT)
    """
    chosen = pick(paths, read_headers(paths))
    paths, headers = chosen.paths, chosen.headers
    refuse_unusable(headers)
    refuse_other_than_hounsfield(headers)
    if headers[0].SOPClassUID in MULTI_FRAME:
        return _multi_frame(paths, headers)
    slices = slice_order(headers, tolerant=tolerant)
    _refuse_unscaled(headers)
    if not tolerant:
        refuse_slabs(headers, slices.spacing_mm)
    refuse_too_large(
        series_name(headers[0]), (len(headers), int(headers[0].Rows), int(headers[0].Columns))
    )
    array = np.empty((len(headers), headers[0].Rows, headers[0].Columns), dtype=np.float32)
    order = slices.order
    images = each_decoded([paths[one] for one in order], [headers[one] for one in order])
    for place, index in enumerate(order):
        array[place] = _values(images, headers[index], array.shape[1:])
    return _volume(array, headers, slices)


def _volume(
    array: NDArray[np.float32], headers: Sequence[Dataset], slices: SliceOrder
) -> hd.Volume:
    return hd.Volume.from_attributes(
        array=array,
        image_position=slices.position,
        image_orientation=slices.orientation,
        pixel_spacing=[float(value) for value in headers[0].PixelSpacing],
        spacing_between_slices=slices.spacing_mm,
        coordinate_system=PATIENT,
        frame_of_reference_uid=frame_of_reference(headers)[0],
    )


def _refuse_unscaled(headers: Sequence[Dataset]) -> None:
    """CT without Rescale has no Hounsfield units: a threshold in it would be a guess."""
    if headers[0].SOPClassUID not in CT_CLASSES:
        return
    unscaled = sum(
        "ModalityLUTSequence" not in header
        and (header.get("RescaleSlope") is None or header.get("RescaleIntercept") is None)
        for header in headers
    )
    if unscaled:
        raise UnusableVolumeError(
            f"{series_name(headers[0])}: {unscaled} of {len(headers)} CT images have no Rescale "
            "Slope and Intercept; expected them, or values are not Hounsfield units."
        )


def _values(
    images: Iterator[NDArray[Any]], header: Dataset, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return the next image, rescaled, with padding set to the lowest value that means nothing."""
    name = series_name(header)
    try:
        stored = next(images)
        with quiet_headers():
            values: NDArray[np.float32] = apply_modality_lut(stored, header).astype(np.float32)
    except (UndecodableError, OSError, *UNDECODABLE) as error:
        why = str(error) if isinstance(error, UndecodableError) else type(error).__name__
        raise UnusableVolumeError(
            f"{name}: Pixel Data of instance {header.get('SOPInstanceUID')} cannot be decoded "
            f"({why}); expected {shape[0]} x {shape[1]} pixels."
        ) from error
    if values.shape != shape:
        raise UnusableVolumeError(
            f"{name}: instance {header.get('SOPInstanceUID')} holds pixels of shape "
            f"{values.shape}; expected {shape}."
        )
    padding = _padding(header, stored)
    if padding.any():
        air = AIR_HU if header.SOPClassUID in CT_CLASSES else _lowest(values[~padding])
        values[padding] = air
    return values


def _lowest(values: NDArray[np.float32]) -> float:
    return float(values.min()) if values.size else 0.0


def _padding(dataset: Dataset, stored: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return where an image holds padding instead of a measured value.

    References
    ----------
    DICOM PS3.3 Section C.7.5.1.1.2
    """
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, dtype=np.bool_)
    ends = [_signed(int(value), dataset)]
    limit = dataset.get("PixelPaddingRangeLimit")
    ends.append(ends[0] if limit is None else _signed(int(limit), dataset))
    inside: NDArray[np.bool_] = (stored >= min(ends)) & (stored <= max(ends))  # type: ignore[operator]
    return inside


def _signed(value: int, dataset: Dataset) -> int:
    """Return a padding value as the pixels hold it: archives write -2000 as 63536 (VR US)."""
    signed = int(dataset.get("PixelRepresentation", 0)) == 1
    return value - 0x10000 if signed and value > 0x7FFF else value


def _multi_frame(paths: Sequence[Path], headers: Sequence[Dataset]) -> hd.Volume:
    """Read an enhanced image; highdicom knows its functional groups."""
    name = series_name(headers[0])
    if len(paths) != 1:
        raise UnusableVolumeError(
            f"{name}: {len(paths)} multi-frame instances found; expected one volume in one."
        )
    frames, rows, columns = (
        int(headers[0].get(key) or 1) for key in ("NumberOfFrames", "Rows", "Columns")
    )
    refuse_too_large(name, (frames, rows, columns))
    _refuse_several_stacks(name, headers[0])
    dataset = _decoded(name, paths[0], headers[0])
    is_ct = dataset.SOPClassUID in CT_CLASSES
    untold = not dataset.get("FrameOfReferenceUID")
    if untold:  # as of single-frame images: their positions are taken to be of one frame
        dataset.FrameOfReferenceUID = generate_uid(prefix=None)  # highdicom needs one
    try:
        with quiet_headers():
            image = hd.Image.from_dataset(dataset, copy=False)
            regular = image.get_volume_geometry(allow_duplicate_positions=False) is not None
    except UNDECODABLE as error:
        raise UnusableVolumeError(
            f"{name}: the frames do not say where they lie ({type(error).__name__}); expected "
            "the functional groups of an enhanced image."
        ) from error
    if not regular:
        raise GeometryError(
            f"{name}: the frames do not make one volume; expected one stack of regularly spaced "
            "frames."
        )
    try:
        with quiet_headers():
            volume = image.get_volume(
                dtype=np.float32,
                apply_real_world_transform=False,
                apply_modality_transform=True if is_ct else None,
            )
    except UNDECODABLE as error:
        raise UnusableVolumeError(
            f"{name}: Pixel Data cannot be decoded ({type(error).__name__}); expected "
            f"{dataset.get('NumberOfFrames')} frames."
        ) from error
    if volume.shape[0] < 2:
        raise GeometryError(f"{name}: 1 frame found; expected at least 2 to make a volume.")
    return hd.Volume(volume.array, volume.affine, PATIENT) if untold else volume


def _refuse_several_stacks(name: str, image: Dataset) -> None:
    """Frames of several echoes, phases or acquisitions are several volumes in one instance."""
    with quiet_headers():
        _, told = one_stack(headers_of_frames(image))
    if told:
        raise GeometryError(f"{name}: {told[0].split(':')[0]}, in one instance; expected one.")


def _decoded(name: str, path: Path, header: Dataset) -> Dataset:
    """Return a multi-frame data set with its pixels decoded: highdicom would do it in here."""
    try:
        stored = decoded(path, header)
    except (UndecodableError, OSError) as error:
        why = str(error) if isinstance(error, UndecodableError) else type(error).__name__
        raise UnusableVolumeError(
            f"{name}: Pixel Data of instance {header.get('SOPInstanceUID')} cannot be decoded "
            f"({why}); expected multi-frame pixels."
        ) from error
    header.PixelData = stored.tobytes()
    header["PixelData"].VR = "OB" if stored.dtype.itemsize == 1 else "OW"
    header.BitsAllocated = 8 * stored.dtype.itemsize
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return header
