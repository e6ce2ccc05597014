"""What of an image is padding: its value, its range, and how archives write either."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from radnet.volume.series import AIR_HU, read_volume
from tests.made_ct import SHAPE, write_ct

LOWEST = -0x8000


def _volume(folder: Path, row: list[int], *, signed: bool, **padding: int) -> list[float]:
    """Return what becomes of the first pixels of a CT with Rescale Intercept 0.

    `padding` holds Pixel Padding Value and Pixel Padding Range Limit as they stand in the file,
    always as VR US.
    """

    def edit(ds: Dataset, _index: int) -> None:
        pixels = np.zeros(SHAPE[1:], dtype="<i2" if signed else "<u2")
        pixels[0, : len(row)] = row
        ds.PixelRepresentation, ds.BitsStored, ds.HighBit = int(signed), 16, 15
        ds.RescaleIntercept = "0"
        ds.PixelData = pixels.tobytes()
        for keyword, value in padding.items():
            ds.add_new(keyword, "US", value)

    array = read_volume(write_ct(folder, edit)).array
    assert np.all(array == array[:1])
    return [float(value) for value in array[0, 0, : len(row)]]


@pytest.mark.parametrize(
    ("written", "padded"),
    [
        (0x7FFF, 0x7FFF),
        (0x8000, LOWEST),  # the lowest value there is: most scanners pad with it
        (0x8001, LOWEST + 1),
        (0xFFFF, -1),
    ],
)
def test_padding_of_signed_pixels_is_read_as_they_are(
    tmp_path: Path, written: int, padded: int
) -> None:
    """Two octets of VR US hold -32768 as 0x8000 (PS3.3 Section C.7.5.1.1.2)."""
    row = [padded, padded + 1 if padded < 0 else padded - 1, 100]

    found = _volume(tmp_path, row, signed=True, PixelPaddingValue=written)

    assert found == [AIR_HU, *row[1:]]


def test_padding_of_unsigned_pixels_stays_unsigned(tmp_path: Path) -> None:
    """0x8000 is 32768 there, and 0 is no padding."""
    row = [0x8000, 0x7FFF, 0]

    assert _volume(tmp_path, row, signed=False, PixelPaddingValue=0x8000) == [
        AIR_HU,
        float(0x7FFF),
        0.0,
    ]


@pytest.mark.parametrize(("value", "limit"), [(-2000, -1500), (-1500, -2000)])
def test_a_range_of_padding_has_both_its_ends_in_either_order(
    tmp_path: Path, value: int, limit: int
) -> None:
    """Pixel Padding Range Limit is below the value or above it; both ends are padding."""
    row = [-2001, -2000, -1999, -1700, -1501, -1500, -1499, 0]

    found = _volume(
        tmp_path,
        row,
        signed=True,
        PixelPaddingValue=value & 0xFFFF,
        PixelPaddingRangeLimit=limit & 0xFFFF,
    )

    assert found == [-2001, *[AIR_HU] * 5, -1499, 0]


def test_a_range_from_the_lowest_value_is_read_signed_at_both_ends(tmp_path: Path) -> None:
    """0x8000 up to 0xFC18: from -32768 to -1000."""
    row = [LOWEST, -20000, -1000, -999]

    found = _volume(
        tmp_path, row, signed=True, PixelPaddingValue=0x8000, PixelPaddingRangeLimit=0xFC18
    )

    assert found == [AIR_HU, AIR_HU, AIR_HU, -999]


def test_a_limit_without_a_value_is_no_padding(tmp_path: Path) -> None:
    """The limit is of type 1C: it means nothing alone."""
    row = [-2000, -1000]

    assert _volume(tmp_path, row, signed=True, PixelPaddingRangeLimit=0xF830) == row
