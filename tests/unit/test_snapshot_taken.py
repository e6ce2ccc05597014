"""When the headers of a series are kept: as it settles, and later where they were not."""

import math
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset
from structlog.testing import capture_logs

from node.model.headers import HeaderSnapshot
from node.pipeline.sweep import Sweep
from node.series.completeness import Policy
from node.store.catalog import Catalog
from node.store.files import InstanceFiles
from node.upkeep.snapshots import BUSY_S, SnapshotFiller
from radnet.errors import UnusableVolumeError
from radnet.volume.headers import readable_headers
from tests.due_time import revisions_due
from tests.made_ct import made_slice
from tests.store_rows import SERIES, stored

PATIENT = "PID-4711"


class Node:
    """A catalog with files, whose series are settled by hand."""

    def __init__(self, folder: Path, catalog: Catalog) -> None:
        self.catalog, self.files = catalog, InstanceFiles(folder)
        self.now, self.steady = 1000.0, 0.0
        self.sweep = self.sweeping()

    def sweeping(self, read: object = readable_headers) -> Sweep:
        """Return a sweep that reads headers this way."""
        policy = Policy(settle_s=1.0, quiet_s=10.0)
        clock = (lambda: self.now, lambda: self.steady)
        return Sweep(self.catalog, self.files, policy, read, *clock)  # type: ignore[arg-type]

    def receive(self, number: int, series: str = SERIES, **values: str) -> None:
        """Take one image; its header says these things."""
        ds = made_slice(number)
        ds.SeriesInstanceUID, ds.PatientID = series, PATIENT
        for keyword, value in values.items():
            setattr(ds, keyword, value)
        written = BytesIO()
        ds.save_as(written, enforce_file_format=True)
        row = stored(number, series=series, at=self.now)
        self.files.write(row.path, written.getvalue())
        self.catalog.studies.record(row, self.now)

    def settle(self) -> None:
        """Let a quiet time pass, and settle."""
        self.now += 20.0
        self.sweep.settle()

    def filler(self) -> SnapshotFiller:
        """Return the job that makes good what is missing."""
        return SnapshotFiller(self.catalog, self.files, lambda: self.now, lambda: self.steady)

    def kept(self, series: str = SERIES) -> HeaderSnapshot:
        """Return what is kept of a series."""
        found = self.catalog.snapshots.of_series(series)
        assert found is not None
        return found


@pytest.fixture
def node(tmp_path: Path, catalog: Catalog) -> Node:
    """Give an empty node."""
    return Node(tmp_path, catalog)


def test_a_look_comes_again_when_a_series_is_due(node: Node) -> None:
    """Not half a second later; and not at all where none is unsettled."""
    node.receive(1)
    node.now += 4.0
    in_s = node.sweep.settle()
    node.now += in_s
    node.steady += in_s

    assert in_s == 6.0
    assert node.sweep.settle() == 0.0
    assert node.sweep.settle() == math.inf


def test_a_series_that_settles_has_what_its_headers_say(node: Node) -> None:
    """Before anything works on it."""
    node.receive(1)
    node.receive(2)
    node.settle()

    kept = node.kept()

    assert (kept.patient_id, kept.modality, kept.study_date) == (PATIENT, "CT", "20260102")
    assert (kept.series_number, kept.header_count, kept.differing) == (4, 2, ())
    assert revisions_due(node.catalog) == [(SERIES, 1)]
    assert node.catalog.snapshots.missing(9) == []


def test_a_late_slice_refreshes_it(node: Node) -> None:
    """One of another patient, this time: then it names nobody, and says that."""
    node.receive(1)
    node.settle()
    node.receive(2, PatientID="another")
    node.settle()

    assert node.kept().patient_id is None
    assert node.kept().differing == ("patient_id",)
    assert node.kept().header_count == 2


def test_a_torn_file_costs_its_own_header_only(node: Node) -> None:
    """What the others say is kept; the verdict goes by the rows, as ever."""
    node.receive(1)
    node.receive(2)
    node.files.write(stored(2).path, b"torn")
    node.settle()

    assert (node.kept().patient_id, node.kept().header_count) == (PATIENT, 1)
    (revision,) = node.catalog.revisions.of_series(SERIES)
    assert "cannot be read as DICOM" in revision.evidence["unreadable"]


def test_headers_that_cannot_be_read_keep_nobody_from_travelling(node: Node) -> None:
    """The columns stay empty; the error names its kind, never a value."""

    def broken(_: Sequence[Path]) -> tuple[list[Dataset], list[UnusableVolumeError]]:
        raise ValueError(PATIENT)

    node.sweep = node.sweeping(broken)
    node.receive(1)
    with capture_logs() as logs:
        node.settle()

    assert node.kept() == HeaderSnapshot()
    assert node.catalog.revisions.of_series(SERIES)[0].evidence["unreadable"] == "ValueError"
    assert PATIENT not in str(logs)


def test_what_was_settled_without_is_read_later(node: Node) -> None:
    """As a catalog of the version before has it; twice makes no difference."""
    node.receive(1)
    node.receive(1, "1.7", PatientID="other")
    for series in (SERIES, "1.7"):
        node.catalog.revisions.settle(series, {}, node.now)

    node.filler().tick()
    taken = node.kept()
    node.filler().tick()

    assert (taken.patient_id, node.kept("1.7").patient_id) == (PATIENT, "other")
    assert node.kept() == taken
    assert node.catalog.snapshots.missing(9) == []


def test_a_look_ends_after_its_time_and_the_next_one_goes_on(node: Node) -> None:
    """A node with years of series must not read its whole disk at once."""
    for number in range(4):
        node.receive(1, f"1.{number}")
        node.catalog.revisions.settle(f"1.{number}", {}, node.now)

    def slow() -> float:
        node.steady += 0.4 * BUSY_S
        return node.steady

    filler = SnapshotFiller(node.catalog, node.files, lambda: node.now, slow)
    filler.tick()

    assert len(node.catalog.snapshots.missing(9)) == 2
    filler.tick()
    assert node.catalog.snapshots.missing(9) == []


def test_a_series_that_cannot_be_read_does_not_hold_up_the_others(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is through with nothing said, and nothing of it is logged."""
    node.receive(1)
    node.catalog.revisions.settle(SERIES, {}, node.now)

    def fails(_: object) -> HeaderSnapshot:
        raise LookupError(PATIENT)

    monkeypatch.setattr("node.upkeep.snapshots.snapshot_of", fails)
    with capture_logs() as logs:
        node.filler().tick()

    assert node.kept() == HeaderSnapshot()
    assert node.catalog.snapshots.missing(9) == []
    assert PATIENT not in str(logs)


def test_a_late_slice_is_not_in_the_snapshot_of_the_revision_before(node: Node) -> None:
    """What is made good is what was judged; the late one comes with its own revision."""
    node.receive(1)
    node.catalog.revisions.settle(SERIES, {}, node.now)
    node.receive(2, PatientID="another")

    node.filler().tick()
    assert node.kept().patient_id == PATIENT
    node.settle()
    assert node.kept() == replace(node.kept(), patient_id=None, differing=("patient_id",))
