"""What a person saw in real scans, slice by slice."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import highdicom as hd
import numpy as np
import pytest

from radnet.datasets.samples import Sample, real_samples
from radnet.datasets.scans import Scan, read_manifest, read_scan
from radnet.datasets.seen_by_eye import UNKNOWN, Seen, covered, read_seen
from radnet.labels.vocabulary import Contrast, Region

LUNG: Final = list(Region).index(Region.LUNG)


def test_what_is_seen_lies_within_what_is_unsure() -> None:
    """Between seen and absent nobody knows."""
    scan = Seen({Region.LUNG: (3, 6)}, {Region.LUNG: (2, 8)})

    assert scan.rows(Region.LUNG, 10).tolist() == [0, 0, -1, 1, 1, 1, 1, -1, -1, 0]
    assert not scan.rows(Region.BRAIN, 10).any()


@pytest.mark.parametrize(
    ("shown", "unsure", "expected"),
    [(40, 0, 1), (24, 0, 1), (20, 10, UNKNOWN), (2, 0, UNKNOWN), (0, 3, UNKNOWN), (0, 0, 0)],
)
def test_a_scan_covers_what_it_shows_half_of(shown: int, unsure: int, expected: int) -> None:
    """A lung is 225 mm high: 24 slices of 5 mm are more than half of it."""
    rows = np.zeros(60, np.float32)
    rows[: shown + unsure], rows[:shown] = UNKNOWN, 1

    assert covered(Region.LUNG, rows, 5.0) == expected


def test_the_table_can_be_read() -> None:
    """Every range begins before it ends, and what is seen lies within what is unsure."""
    for name, scan in read_seen().items():
        for first, last in (*scan.seen.values(), *scan.unsure.values()):
            assert 0 <= first <= last, name
        for region, (first, last) in scan.unsure.items():
            seen = scan.seen.get(region, (first, last))
            assert first <= seen[0] <= seen[1] <= last, (name, region)
    assert {region for scan in read_seen().values() for region in scan.unsure} > {Region.BREAST}


@dataclass(frozen=True)
class Learned:
    """The real scans that are learned from: what became of each, and how many slices it has."""

    samples: dict[str, Sample]
    slices: dict[str, int]


@pytest.fixture(scope="module")
def learned(real_scans: Path) -> Learned:
    """Read every scan once; that takes longer than what is tested."""
    slices: dict[str, int] = {}

    def counted(folder: Path, scan: Scan) -> hd.Volume:
        volume = read_scan(folder, scan)
        slices[scan.name] = volume.shape[0]
        return volume

    train = [scan for scan in read_manifest(real_scans) if scan.role == "train"]
    names = [one.name for one in train if not one.windowed or one.name in read_seen()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("radnet.datasets.samples.read_scan", counted)
        samples = dict(zip(names, real_samples([real_scans]), strict=True))
    return Learned(samples, slices)


@pytest.mark.real_data
def test_the_table_is_about_scans_that_may_be_learned_from(
    real_scans: Path, learned: Learned
) -> None:
    """No slice beyond the last, and no scan that a figure is reported on."""
    scans = {scan.name: scan for scan in read_manifest(real_scans)}
    for name, seen in read_seen().items():
        assert scans[name].role == "train", name
        ranges = [*seen.seen.values(), *seen.unsure.values()]
        assert max(last for _, last in ranges) < learned.slices[name], name


@pytest.mark.real_data
def test_a_real_sample_knows_its_slices(learned: Learned) -> None:
    """The lungs of an abdominal CT are in its upper slices, and its agent is known."""
    abdomen = learned.samples["lits02_8bit"]
    assert abdomen.slices[:10, LUNG].tolist() == [0] * 10
    assert abdomen.slices[15:, LUNG].min() == 1
    assert abdomen.contrast == list(Contrast).index(Contrast.CONTRAST)
    assert abdomen.scan[list(Region).index(Region.BRAIN)] == 0
    assert abdomen.scan[list(Region).index(Region.LIVER)] == 1
    assert abdomen.scan[LUNG] == UNKNOWN
