"""A picture of the contours goes to destinations that ask for one, and to no other."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage, SegmentationStorage

from node.audit.custody import changed_files
from node.pipeline.own_output import MADE_BY_A_NODE
from node.pipeline.stages import Stages
from node.segment.liver import result_series_uids
from node.store.paths import DERIVED
from node.upkeep.leftovers import remove_leftovers
from tests.bench import Bench, slices
from tests.made_ct import SERIES, STUDY
from tests.node_process import wait_for

DAY_S = 86400.0


def asking(bench: Bench, *names: str) -> Stages:
    """Return the steps of a node of which these destinations ask."""
    return replace(bench.stages, capturing=frozenset(names))


def queued_at(bench: Bench, destination: str) -> set[str]:
    """Return the kinds of results that go to a destination."""
    kinds = {one.sop_instance_uid: kind for kind, one in bench.catalog.results.of_series(SERIES)}
    return {
        kinds[one.sop_instance_uid]
        for one in bench.catalog.delivery_states.of_study(STUDY)
        if one.destination == destination and one.sop_instance_uid in kinds
    }


def digests(bench: Bench) -> dict[str, tuple[str, str]]:
    """Return UID and digest of what was made, by kind."""
    made = bench.catalog.results.of_series(SERIES)
    return {kind: (one.sop_instance_uid, one.sha256) for kind, one in made}


@pytest.fixture
def come(bench: Bench) -> Bench:
    """Let the made-up CT come in; it is segmented by hand."""
    bench.take_in(*slices(*range(6)))
    return bench


def test_the_picture_goes_where_it_is_asked_for(come: Bench) -> None:
    """Both get SEG and SR; `worklist` asks for nothing more."""
    stages = asking(come, "pacs", "elsewhere")

    stages.segment(come.segmentation("pacs", "worklist"))

    assert queued_at(come, "pacs") == {"capture", "report", "segmentation"}
    assert queued_at(come, "worklist") == {"report", "segmentation"}


def test_where_nobody_asks_none_is_made(come: Bench) -> None:
    """Another destination does, which gets no results by the rules."""
    asking(come, "elsewhere").segment(come.segmentation("pacs"))

    made = dict(come.catalog.results.of_series(SERIES))
    assert set(made) == {"report", "segmentation"}
    assert len(come.derived_files()) == 2


def test_who_asks_later_gets_it_of_what_is_segmented_again(come: Bench) -> None:
    """SEG and SR stay as they are, under the same UIDs."""
    come.stages.segment(come.segmentation("pacs"))
    before = digests(come)
    come.now += DAY_S

    asking(come, "pacs").segment(come.segmentation("pacs"))

    after = digests(come)
    assert {kind: after[kind] for kind in before} == before
    assert queued_at(come, "pacs") == {"capture", "report", "segmentation"}
    told = come.catalog.ledger.history(STUDY)
    assert list(changed_files(come.catalog, come.files, told)) == []


@pytest.mark.parametrize("written", [0, 1, 2, 3])
def test_a_job_that_dies_among_the_files_leaves_none_twice(
    come: Bench, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    """The next run, the next day, writes the same bytes under the same names."""
    stages, write = asking(come, "pacs"), come.files.write_derived
    left = written

    def cut_off(dataset: Dataset, now: float) -> object:
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        return write(dataset, now)

    def no_row(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(type(come.files), "write_derived", lambda _, *given: cut_off(*given))
        dying.setattr(come.catalog.results, "put", no_row)
        with pytest.raises(KeyboardInterrupt):
            stages.segment(come.segmentation("pacs"))
    before = {path: path.read_bytes() for path in come.derived_files()}
    assert len(before) == written
    come.now += DAY_S

    for _ in range(2):
        stages.segment(come.segmentation("pacs"))

    after = {path: path.read_bytes() for path in come.derived_files()}
    assert len(after) == 3
    assert {path: after[path] for path in before} == before
    made = dict(come.catalog.results.of_series(SERIES))
    assert {come.files.absolute(one.path) for one in made.values()} == set(after)
    assert queued_at(come, "pacs") == set(made) == {"capture", "report", "segmentation"}


def test_the_ledger_tells_of_it_as_of_the_others(come: Bench) -> None:
    """One entry for each object made, however often the step runs."""
    stages = asking(come, "pacs")
    for _ in range(2):
        stages.segment(come.segmentation("pacs"))

    told = [one for one in come.catalog.ledger.history(STUDY) if one.event == "derived"]
    capture = dict(come.catalog.results.of_series(SERIES))["capture"]
    of_it = [one for one in told if one.subject == capture.sop_instance_uid]
    assert {one.detail["kind"] for one in of_it} == {"capture"}
    assert len(told) % 3 == 0
    assert len(of_it) == len(told) // 3
    assert not come.catalog.ledger.proof().broken


def test_one_whose_uid_is_taken_is_made_anew_with_the_others(
    tmp_path: Path, make_bench: Callable[[Path], Bench]
) -> None:
    """A new node gets an earlier picture from the archive, changed, then the images."""
    first = make_bench(tmp_path / "first")
    first.take_in(*slices(*range(6)))
    asking(first, "pacs").segment(first.segmentation("pacs"))
    capture = dict(first.catalog.results.of_series(SERIES))["capture"]
    back = pydicom.dcmread(first.files.absolute(capture.path))
    back.PatientName = "Corrected^Name"
    twin = make_bench(tmp_path / "twin")
    twin.receive(back)

    twin.take_in(*slices(*range(6)))
    for _ in range(2):
        asking(twin, "pacs").segment(twin.segmentation("pacs"))

    made = dict(twin.catalog.results.of_series(SERIES))
    assert set(made) == {"capture", "report", "segmentation"}
    assert len(twin.derived_files()) == 3
    picture = pydicom.dcmread(twin.files.absolute(made["capture"].path))
    assert picture.SOPInstanceUID != back.SOPInstanceUID
    named = {str(item.ReferencedSOPInstanceUID) for item in picture.SourceImageSequence}
    assert made["segmentation"].sop_instance_uid in named
    taken = twin.catalog.instances.get(str(back.SOPInstanceUID))
    assert taken is not None
    assert str(pydicom.dcmread(twin.files.absolute(taken.path)).PatientName) == "Corrected^Name"


def test_one_that_comes_back_is_known_as_our_own(
    tmp_path: Path, make_bench: Callable[[Path], Bench]
) -> None:
    """An archive sends it to another node: nobody looks for a liver in a picture of one."""
    first = make_bench(tmp_path / "first")
    first.take_in(*slices(*range(6)))
    asking(first, "pacs").segment(first.segmentation("pacs"))
    capture = dict(first.catalog.results.of_series(SERIES))["capture"]
    back = pydicom.dcmread(first.files.absolute(capture.path))
    twin = make_bench(tmp_path / "twin")

    recognition = twin.take_in(back)
    key = twin.catalog.studies.series_of(STUDY)[0].series_instance_uid

    assert twin.stages.classify(key, 1)["reason"] == MADE_BY_A_NODE
    assert recognition.key.startswith(key)


def test_a_leftover_picture_of_a_dead_job_is_removed(come: Bench) -> None:
    """No row names it, and none will."""
    asking(come, "pacs").segment(come.segmentation("pacs"))
    capture = dict(come.catalog.results.of_series(SERIES))["capture"]
    assert capture.series_instance_uid in result_series_uids(STUDY, SERIES)
    path = come.files.absolute(capture.path)
    leftover = path.with_name(f"2.25.9{DERIVED}")
    leftover.write_bytes(b"written by a job that died")

    remove_leftovers(come.catalog, come.files, SERIES)

    assert not leftover.exists()
    assert path.exists()


def test_a_whole_node_sends_it(tmp_path: Path, make_bench: Callable[..., Bench]) -> None:
    """From the images to the destination, which asks in the settings."""
    bench = make_bench(tmp_path / "node", capture=True)

    bench.receive(*slices(*range(6)))
    bench.tick(3)

    wait_for(lambda: len(bench.pacs.sent) == 9 and bench.nothing_pending(), "everything", 60)
    (picture,) = bench.sent(SecondaryCaptureImageStorage)
    (segmentation,) = bench.sent(SegmentationStorage)
    assert picture.SourceImageSequence[-1].ReferencedSOPInstanceUID == segmentation.SOPInstanceUID
    assert picture.pixel_array.shape[-1] == 3
