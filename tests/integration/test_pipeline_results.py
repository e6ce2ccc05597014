"""Results are dated once, and take no UID that names other bytes."""

from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import ComprehensiveSRStorage, SegmentationStorage

from node.audit.custody import changed_files
from node.model.records import StoredInstance
from node.store.paths import DERIVED
from node.upkeep.leftovers import remove_leftovers
from node.upkeep.quarantine import Quarantine
from tests.bench import Bench, slices
from tests.made_ct import SERIES, STUDY
from tests.node_process import wait_for

DAY_S = 86400.0
RESULTS = (SegmentationStorage, ComprehensiveSRStorage)


def segmented(bench: Bench) -> None:
    """Let the made-up CT come in, and be segmented by hand."""
    bench.take_in(*slices(*range(6)))


def test_a_step_that_runs_again_the_next_day_makes_the_same_bytes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It died after the files were written, before their rows."""
    segmented(bench)
    bench.now = 1_700_000_000.0
    put = bench.catalog.results.put

    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bench.catalog.results, "put", cut_off)
    with pytest.raises(KeyboardInterrupt):
        bench.stages.segment(bench.segmentation())
    before = [path.read_bytes() for path in bench.derived_files()]
    monkeypatch.setattr(bench.catalog.results, "put", put)
    bench.now += DAY_S

    bench.stages.segment(bench.segmentation())
    made = dict(bench.catalog.results.of_series(SERIES, 1))
    bench.stages.segment(bench.segmentation())

    assert [path.read_bytes() for path in bench.derived_files()] == before
    assert dict(bench.catalog.results.of_series(SERIES, 1)) == made
    assert [pydicom.dcmread(path).ContentDate[:6] for path in bench.derived_files()] == [
        "202311"
    ] * 2


def corrected(path: Path) -> Dataset:
    """Return a result as an archive sends it back: its patient has another name now."""
    back = pydicom.dcmread(path)
    back.PatientName = "Corrected^Name"
    return back


def kept(bench: Bench, uid: str) -> StoredInstance:
    """Return a row whose file is as it says."""
    row = bench.catalog.instances.get(uid)
    assert row is not None
    return row


def name_of(bench: Bench, uid: str) -> str:
    """Return the patient's name in the file of an instance."""
    return str(pydicom.dcmread(bench.files.absolute(kept(bench, uid).path)).PatientName)


@pytest.mark.parametrize("kinds", [RESULTS, RESULTS[:1], RESULTS[1:]], ids=["both", "SEG", "SR"])
def test_a_received_object_is_never_replaced_by_a_derived_one(
    tmp_path: Path, make_bench: Callable[[Path], Bench], kinds: tuple[str, ...]
) -> None:
    """A new node gets earlier results from the archive, corrected meanwhile, then the images."""
    first = make_bench(tmp_path / "first")
    segmented(first)
    first.stages.segment(first.segmentation())
    made = [one for _kind, one in first.catalog.results.of_series(SERIES, 1)]
    back = [corrected(first.files.absolute(one.path)) for one in made]
    twin = make_bench(tmp_path / "twin")
    twin.receive(*(ds for ds in back if ds.SOPClassUID in kinds))
    taken = [str(ds.SOPInstanceUID) for ds in back if ds.SOPClassUID in kinds]
    before = {uid: kept(twin, uid) for uid in taken}

    segmented(twin)  # at the same second, by the same weights: the UIDs would be the same
    for _ in range(2):
        twin.stages.segment(twin.segmentation())

    for uid in taken:
        assert kept(twin, uid) == before[uid]
        assert name_of(twin, uid) == "Corrected^Name"
    results = [one for _kind, one in twin.catalog.results.of_series(SERIES, 1)]
    assert len(results) == len(twin.derived_files()) == 2
    for one in results:
        assert one.sop_instance_uid not in taken
        assert name_of(twin, one.sop_instance_uid) == "Made^Up"
    told = [one for one in twin.catalog.ledger.history(STUDY) if one.event == "uid taken"]
    assert {one.subject for one in told} <= set(taken)
    assert len(told) == 1
    report = next(one for one in results if one.sop_class_uid == ComprehensiveSRStorage)
    segment = next(one for one in results if one.sop_class_uid == SegmentationStorage)
    named = str(pydicom.dcmread(twin.files.absolute(report.path)))
    assert segment.sop_instance_uid in named


def test_leftovers_of_a_dead_job_are_not_what_was_received(
    tmp_path: Path, make_bench: Callable[[Path], Bench]
) -> None:
    """An earlier result that came back lies in the series that the node makes, too."""
    first = make_bench(tmp_path / "first")
    segmented(first)
    first.stages.segment(first.segmentation())
    back = [corrected(path) for path in first.derived_files()]
    twin = make_bench(tmp_path / "twin")
    twin.receive(*back)
    segmented(twin)
    received = [twin.files.absolute(kept(twin, ds.SOPInstanceUID).path) for ds in back]
    leftover = received[0].with_name(f"2.25.9{DERIVED}")
    leftover.write_bytes(b"written by a job that died")

    remove_leftovers(twin.catalog, twin.files, SERIES)

    assert not leftover.exists()
    assert all(path.exists() for path in received)


def test_our_own_result_that_comes_back_changed_is_kept_apart(bench: Bench) -> None:
    """It was acknowledged: both are here, the one we made as it was made."""
    bench.receive(*slices(*range(6)))
    bench.tick(3)
    wait_for(lambda: len(bench.pacs.sent) == 8 and bench.nothing_pending(), "everything", 60)
    made = dict(bench.catalog.results.of_series(SERIES, 1))
    one = made["segmentation"]
    before = bench.files.absolute(one.path).read_bytes()
    same = pydicom.dcmread(bench.files.absolute(one.path))

    bench.receive(same)
    assert bench.catalog.instances.conflicts(STUDY) == []
    for _ in range(2):
        bench.receive(corrected(bench.files.absolute(one.path)))

    assert bench.files.absolute(one.path).read_bytes() == before
    (other,) = bench.catalog.instances.conflicts(STUDY)
    apart = pydicom.dcmread(bench.files.absolute(other.path))
    assert str(apart.PatientName) == "Corrected^Name"
    assert dict(bench.catalog.results.of_series(SERIES, 1)) == made
    folder = bench.files.absolute(one.path).parent
    assert len(list(folder.iterdir())) == 2  # the other bytes came twice, and lie there once


def test_a_corrected_result_that_is_released_goes_where_the_rules_say(bench: Bench) -> None:
    """It takes the place of the one that was made here, as what it is: received."""
    bench.receive(*slices(*range(6)))
    bench.tick(3)
    wait_for(lambda: len(bench.pacs.sent) == 8 and bench.nothing_pending(), "everything", 60)
    wait_for(bench.ends("done"), "the end", 60)
    one = dict(bench.catalog.results.of_series(SERIES, 1))["segmentation"]
    bench.receive(corrected(bench.files.absolute(one.path)))
    quarantine = Quarantine(bench.catalog, bench.files, bench.clock)
    quarantine.look()
    (held,) = bench.catalog.quarantine.held()

    quarantine.release(held)
    bench.tick(61)

    wait_for(lambda: len(bench.pacs.sent) == 9 and bench.nothing_pending(), "the result", 60)
    assert str(bench.pacs.sent[-1].PatientName) == "Corrected^Name"
    assert kept(bench, one.sop_instance_uid).origin == "received"
    assert [other.sha256 for other in bench.catalog.instances.conflicts(STUDY)] == [one.sha256]
    assert (
        list(changed_files(bench.catalog, bench.files, bench.catalog.ledger.history(STUDY))) == []
    )
