"""Series that make no volume: they say why, and keep nobody else back."""

import re

import pytest
from pydicom import Dataset
from pydicom.uid import SegmentationStorage

from tests.bench import Bench, slices
from tests.made_ct import SERIES, Edit, localizer, made_slice, of_no_size
from tests.node_process import wait_for


def test_a_series_with_a_gap_waits_and_is_never_segmented(bench: Bench) -> None:
    """A hole in the volume must never reach the network; the images still travel."""
    bench.receive(*slices(0, 1, 2, 4, 5))
    bench.tick(3)
    assert bench.last() is None

    bench.tick(60)
    wait_for(bench.ends("unusable"), "the verdict", 60)
    wait_for(lambda: len(bench.pacs.sent) == 5 and bench.nothing_pending(), "the images", 60)

    row = bench.last()
    assert row is not None
    assert "missing" in str(row.evidence["problems"])
    assert "missing" in row.reason
    assert not bench.sent(SegmentationStorage)


def _without_pixels(ds: Dataset, _index: int) -> None:
    del ds.PixelData


def _cut_short(ds: Dataset, _index: int) -> None:
    ds.PixelData = ds.PixelData[:100]


def _in_one_place(ds: Dataset, index: int) -> None:
    if index == 2:
        ds.ImagePositionPatient = made_slice(1).ImagePositionPatient


def _another_series() -> list[Dataset]:
    """Return three slices that make a volume, in a series of their own."""
    other = slices(0, 1, 2)
    for ds in other:
        ds.SeriesInstanceUID = f"{SERIES}.77"
        ds.SOPInstanceUID = f"{ds.SOPInstanceUID}.77"
    return other


@pytest.mark.parametrize(
    ("count", "edit", "told"),
    [
        (1, lambda _ds, _index: None, "1 slice|one slice|single"),
        (4, _without_pixels, "pixel"),
        (4, of_no_size, "0 rows"),
        (4, _cut_short, "pixel|bytes"),
        (4, _in_one_place, "two|same|position"),
        (4, localizer, "[Ll]ocalizer"),
    ],
    ids=["one slice", "no pixels", "0 x 0", "truncated", "duplicate positions", "localizer"],
)
def test_what_makes_no_volume_says_why_and_travels(
    bench: Bench, count: int, edit: Edit, told: str
) -> None:
    """Unusable, because ...: recorded on the series; the images and other series go on."""
    broken = slices(*range(count))
    for index, ds in enumerate(broken):
        edit(ds, index)
    other = _another_series()
    bench.receive(*broken)
    bench.receive(*other)
    bench.tick(3)
    bench.tick(60)

    everything = count + len(other) + 2
    wait_for(
        lambda: len(bench.pacs.sent) == everything and bench.nothing_pending(), "all of it", 60
    )
    wait_for(bench.ends("unusable"), "the reason", 60)

    row = bench.last()
    assert row is not None
    assert re.search(told, row.reason)


def test_a_file_that_went_bad_stops_nobody_else(bench: Bench) -> None:
    """One series that cannot be read must not keep the others from being looked at."""
    bench.receive(*slices(0, 1, 2))
    for stored in bench.catalog.instances.of_series(SERIES):
        bench.files.absolute(stored.path).write_bytes(b"the disk turned this into noise")
    bench.receive(*_another_series())
    bench.tick(3)
    bench.tick(60)

    wait_for(
        lambda: len(bench.sent(SegmentationStorage)) == 1, "the segmentation of the other", 60
    )
    wait_for(bench.ends("unusable"), "the reason", 60)
