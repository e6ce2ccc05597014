"""Series as scanners and archives write them: read, sorted and labelled.

Their headers are parsed once for all three tests; that takes longer than what is tested.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from radnet.errors import UnusableVolumeError
from radnet.labels.header import read_header
from radnet.volume.selection import select
from radnet.volume.series import read_headers, read_volume

pytestmark = pytest.mark.real_data

Series = dict[str, tuple[list[Path], list[Dataset]]]


@pytest.fixture(scope="module")
def series(real_data: Path) -> Series:
    """Return the files and headers of every real series, by the name of its folder."""
    found = {}
    for folder in sorted((real_data / "dicom").iterdir()):
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        found[folder.name] = paths, read_headers(paths)
    return found


@pytest.fixture
def parsed_once(series: Series, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `read_volume` have the headers that were parsed before."""
    known = {tuple(paths): headers for paths, headers in series.values()}

    def parsed(paths: Sequence[Path]) -> list[Dataset]:
        return list(known[tuple(paths)])

    monkeypatch.setattr("radnet.volume.series.read_headers", parsed)


@pytest.mark.usefixtures("parsed_once")
def test_every_real_series_is_read_or_refused_with_its_reason(series: Series) -> None:
    """What scanners and archives really write: tilt, gaps, emptied UIDs, JPEG 2000, padding."""
    reasons = {}
    for name, (paths, _) in series.items():
        for tolerant in (False, True):
            try:
                volume = read_volume(paths, tolerant=tolerant)
            except UnusableVolumeError as error:
                reasons[name, tolerant] = str(error)
            else:
                assert volume.shape[0] == len(paths)
                assert np.isfinite(volume.array).all()

    told = {key: reason.split(";")[0].split(": ")[1][:24] for key, reason in reasons.items()}
    assert told == {
        ("ct_head_ge", False): "slices are shifted sidew",
        ("mr_localizer_knix", False): "3 orientations among 27 ",
        ("mr_localizer_knix", True): "3 orientations among 27 ",
        ("mr_t2_brain_adi", False): "gaps between slices rang",
    }


def test_every_real_series_keeps_all_its_images(series: Series) -> None:
    """No scan of a real scanner is parted or loses an image."""
    for name, (_, headers) in series.items():
        chosen = select(headers)
        assert chosen.kept == tuple(range(len(headers))), name
        assert chosen.remarks == (), name


def test_real_series_are_never_labelled_wrong(series: Series, real_data: Path) -> None:
    """What a person sees in the images, or unknown."""
    with (real_data / "MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "dicom"]
    known = 0
    for row in rows:
        labels = read_header(series[row["id"]][1])
        assert labels.sequence.value == row["sequence"], row["id"]
        assert labels.plane.value == row["plane"], row["id"]
        assert labels.contrast.value in ("", row["contrast"]), row["id"]
        known += bool(labels.contrast)
        said = set(labels.coverage.value.split(";")) - {"", "elsewhere", "intestine"}
        assert said in (set(), set(row["coverage"].split(";")) - {"intestine"}), row["id"]
    assert known >= 3
