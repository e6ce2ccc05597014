"""The durable pipeline with real rows, files and engine; network and models are made up."""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import time
from pathlib import Path
from typing import cast

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian, SegmentationStorage
from pynetdicom.dsutils import encode

from node.deliver.destination import (
    OutboundInstance,
    Outcome,
    TaggingDestination,
    Wanted,
    everything,
)
from node.deliver.turns import Terms
from node.errors import CertificateError
from node.identity import contributing_equipment
from node.pipeline import workflows
from node.pipeline.clockwatch import ClockWatch
from node.pipeline.delivering import Delivering
from node.pipeline.dispatch import AT_ONCE, Dispatcher
from node.pipeline.engine import DeadJob, Engine
from node.pipeline.stages import Stages
from node.pipeline.sweep import Sweep
from node.receive.reception import Arrival, Reception
from node.receive.room import Room
from node.receive.spool import Budget, Intake
from node.receive.statuses import StoreStatus
from node.route.rules import compile_rules
from node.series.completeness import Policy
from node.settings import Rule
from node.store.catalog import Catalog
from node.store.instances import InstanceFiles
from node.store.reasons import CERTIFICATE_REFUSED
from node.store.records import Revision
from radnet.inference.classifier import Prediction
from radnet.labels.vocabulary import Contrast, Plane, Region
from radnet.labels.vocabulary import Sequence as Weighting
from radnet.volume.series import read_headers
from tests.made_ct import SERIES, STUDY, MadeModel, made_slice
from tests.node_process import wait_for

RULES = (
    Rule(name="all", when="true", deliver=("pacs",)),
    Rule(
        name="liver",
        when='"liver" in findings.coverage.value',
        segment=("liver",),
        results_to=("pacs",),
    ),
)


class AbdomenClassifier:
    """Says CT abdomen of everything, or fails as a test wants."""

    digest = "0" * 64

    def __init__(self) -> None:
        self.fails = False

    def classify(self, volume: hd.Volume, modality: str) -> Prediction:
        """Return an axial CT of the liver."""
        if self.fails:
            raise RuntimeError("the network fell over")
        return Prediction(
            sequence={s: 0.94 if s == Weighting.CT else 0.01 for s in Weighting},
            plane={p: 0.98 if p == Plane.AXIAL else 0.01 for p in Plane},
            contrast={Contrast.CONTRAST: 0.9, Contrast.NONCONTRAST: 0.1},
            coverage={r: 0.9 if r == Region.LIVER else 0.05 for r in Region},
            spacing_mm=4.0,
            cells=np.zeros((1, len(Region)), np.float32),
            cell_mm=32.0,
        )


class SwitchableModel(MadeModel):
    """A liver model that can be told to find nothing."""

    def find_nothing(self) -> None:
        """Find no liver from now on."""
        self._find = lambda shape: np.zeros(shape, np.bool_)


class RecordingDestination:
    """A destination that remembers; `refuses` and `down` make it answer otherwise."""

    name = "pacs"

    def __init__(self) -> None:
        self.sent: list[Dataset] = []
        self.down = False

    def send(
        self, instances: Sequence[OutboundInstance], wanted: Wanted = everything
    ) -> Iterator[Outcome]:
        """Take every instance, or none."""
        for one in instances:
            if not wanted(one.sop_instance_uid):
                continue
            if self.down:
                yield Outcome(one.sop_instance_uid, "retry", "nobody there")
                continue
            try:
                self.sent.append(pydicom.dcmread(one.path))
            except InvalidDicomError:
                yield Outcome(one.sop_instance_uid, "retry", "cannot be read")
            else:
                yield Outcome(one.sop_instance_uid, "delivered")

    def check(self) -> str:
        """Answer that all is well."""
        return "here"


class Bench:
    """A node without its network: instances in by hand, time by hand."""

    def __init__(self, folder: Path) -> None:
        self.catalog = Catalog(f"sqlite:///{folder / 'catalog.sqlite'}")
        self.catalog.upgrade()
        self.files = InstanceFiles(folder)
        self.now = 1000.0
        self.steadily = 0.0
        self.classifier = AbdomenClassifier()
        self.liver = SwitchableModel()
        self.pacs = RecordingDestination()
        self.reception = Reception(self.catalog, self.files, self.clock)
        room = Room(lambda: 1 << 40, 0, 0)
        self.intake = Intake(self.files, room, Budget(1 << 20), 1 << 30)
        self.stages = Stages(
            catalog=self.catalog,
            files=self.files,
            classifier=self.classifier,
            liver=self.liver,
            rules=compile_rules(RULES),
            unknown_below=0.6,
            clock=self.clock,
        )
        self.delivering = Delivering(
            catalog=self.catalog,
            files=self.files,
            destinations={"pacs": self.pacs},
            terms={"pacs": Terms()},
            tag=self.stages.tag,
            clock=self.clock,
            local_time=lambda: time(12),
            random=lambda: 0.0,
        )
        self.engine = Engine(f"sqlite:///{folder / 'pipeline.sqlite'}", "test:worker")
        self.workflows = workflows.register(self.engine, self.stages, self.delivering)
        self.engine.launch(workflows.queues(AT_ONCE))
        self.dispatcher = Dispatcher(
            self.catalog, self.delivering.terms, self.clock, lambda: time(12)
        )
        self._stop = threading.Event()
        self._looks = threading.Thread(target=self._look)
        self._looks.start()
        self.sweep = Sweep(
            self.catalog,
            self.files,
            Policy(settle_s=2, quiet_s=60),
            read_headers,
            self.clock,
            steady=lambda: self.steadily,
        )

    def _look(self) -> None:
        while not self._stop.wait(0.05):
            self.dispatcher.look(self.workflows)

    def close(self) -> None:
        """End it."""
        self._stop.set()
        self._looks.join()
        self.engine.close()
        self.catalog.close()

    def clock(self) -> float:
        """Return the made-up time."""
        return self.now

    def receive(self, *slices: Dataset) -> None:
        """Take instances over one association that is released at the end."""
        association = self.catalog.open_association("SCANNER", "NODE", "127.0.0.1", self.now)
        for ds in slices:
            data = encode(ds, is_implicit_vr=False, is_little_endian=True)
            assert data is not None
            content = self.intake.begin(
                str(ds.SOPClassUID), str(ds.SOPInstanceUID), ExplicitVRLittleEndian
            )
            content.write(data)
            arrival = Arrival(content, "SCANNER", association)
            assert self.reception.take(arrival) == StoreStatus.SUCCESS
            content.discard()
        self.catalog.close_association(association, released=True, now=self.now)

    def tick(self, seconds: float) -> None:
        """Let time pass, and look once."""
        self.now += seconds
        self.sweep.settle()
        self.sweep.queue(self.workflows)

    def set_clock(self, seconds: float) -> None:
        """Set the clock, and let the worker notice that."""
        watch = ClockWatch(self.catalog, self.clock, lambda: 0.0)
        self.now += seconds
        watch.look()

    def last(self) -> Revision | None:
        """Return the newest revision of the made-up series."""
        rows = self.catalog.revisions(SERIES)
        return rows[-1] if rows else None

    def ends(self, state: str) -> Callable[[], bool]:
        """Return a condition: the newest revision is in this state."""

        def ended() -> bool:
            row = self.last()
            return row is not None and row.state == state

        return ended

    def sent(self, sop_class: str) -> list[Dataset]:
        """Return what arrived of a SOP class."""
        return [ds for ds in self.pacs.sent if ds.SOPClassUID == sop_class]

    def derived_files(self) -> list[Path]:
        """Return the files that the node made."""
        return sorted(self.files.root.glob("instances/**/2.25.*.dcm"))

    def nothing_pending(self) -> bool:
        """Tell whether every delivery is through."""
        return all(d.state != "pending" for d in self.catalog.deliveries(STUDY))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Make a bench for one test."""
    made = Bench(tmp_path)
    yield made
    made.close()


def slices(*indices: int) -> list[Dataset]:
    """Return these slices of the made-up CT."""
    return [made_slice(index) for index in indices]


def test_a_whole_series_ends_as_images_segmentation_and_report(bench: Bench) -> None:
    """The picture in workflows.py, once through."""
    bench.receive(*slices(*range(6)))
    bench.tick(3)

    wait_for(lambda: len(bench.pacs.sent) == 8 and bench.nothing_pending(), "everything", 60)

    assert bench.ends("done")()
    assert len(bench.sent(SegmentationStorage)) == 1
    assert len(bench.sent(ComprehensiveSRStorage)) == 1
    found = {f.name: f.value for f in bench.catalog.findings(SERIES) if f.source != "header"}
    assert found["liver"] == "present"


def test_a_late_slice_is_a_revision(bench: Bench) -> None:
    """Promise 8: same series, next revision, one new image sent, the report names the old one."""
    bench.receive(*slices(0, 1, 2, 3, 4))
    bench.tick(3)
    wait_for(lambda: len(bench.pacs.sent) == 7 and bench.nothing_pending(), "revision 1", 60)

    bench.receive(*slices(5))
    bench.tick(3)
    wait_for(lambda: len(bench.pacs.sent) == 10 and bench.nothing_pending(), "revision 2", 60)

    row = bench.last()
    assert row is not None
    assert row.revision == 2
    first, second = bench.sent(ComprehensiveSRStorage)
    (predecessor,) = second.PredecessorDocumentsSequence
    referenced = predecessor.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert referenced.ReferencedSOPInstanceUID == first.SOPInstanceUID
    one, two = bench.sent(SegmentationStorage)
    assert one.SeriesInstanceUID == two.SeriesInstanceUID
    assert one.SOPInstanceUID != two.SOPInstanceUID


def test_no_liver_is_a_coded_negative(bench: Bench) -> None:
    """Promise 7: an answer, not silence."""
    bench.liver.find_nothing()
    bench.receive(*slices(*range(6)))
    bench.tick(3)

    wait_for(lambda: len(bench.pacs.sent) == 7 and bench.nothing_pending(), "everything", 60)

    assert not bench.sent(SegmentationStorage)
    (report,) = bench.sent(ComprehensiveSRStorage)
    assert "2667000" in str(report)  # SNOMED CT: Absent


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


def _of_no_size(ds: Dataset, _index: int) -> None:
    ds.Rows = ds.Columns = 0
    ds.PixelData = b""


def _cut_short(ds: Dataset, _index: int) -> None:
    ds.PixelData = ds.PixelData[:100]


def _in_one_place(ds: Dataset, index: int) -> None:
    if index == 2:
        ds.ImagePositionPatient = made_slice(1).ImagePositionPatient


def _localizer(ds: Dataset, _index: int) -> None:
    ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]


@pytest.mark.parametrize(
    ("count", "edit", "told"),
    [
        (1, lambda _ds, _index: None, "1 slice|one slice|single"),
        (4, _without_pixels, "pixel"),
        (4, _of_no_size, "0 rows"),
        (4, _cut_short, "pixel|bytes"),
        (4, _in_one_place, "two|same|position"),
        (4, _localizer, "[Ll]ocalizer"),
    ],
    ids=["one slice", "no pixels", "0 x 0", "truncated", "duplicate positions", "localizer"],
)
def test_what_makes_no_volume_says_why_and_travels(
    bench: Bench, count: int, edit: Callable[[Dataset, int], None], told: str
) -> None:
    """Unusable, because ...: recorded on the series; the images and other series go on."""
    broken = slices(*range(count))
    for index, ds in enumerate(broken):
        edit(ds, index)
    other = slices(0, 1, 2)
    for ds in other:
        ds.SeriesInstanceUID = f"{SERIES}.77"
        ds.SOPInstanceUID = f"{ds.SOPInstanceUID}.77"
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


def test_images_travel_even_where_recognition_dies(bench: Bench) -> None:
    """A series whose recognition fails for good is routed by its header alone."""
    bench.classifier.fails = True
    bench.receive(*slices(*range(6)))
    bench.tick(3)
    wait_for(lambda: bool(bench.engine.dead()), "the dead job", 60)

    bench.sweep.rescue(bench.engine, bench.workflows)
    bench.sweep.rescue(bench.engine, bench.workflows)

    wait_for(lambda: len(bench.pacs.sent) == 6 and bench.nothing_pending(), "the images", 60)
    wait_for(bench.ends("unusable"), "the reason", 60)
    row = bench.last()
    assert row is not None
    assert "the network fell over" not in row.reason  # a text nobody of us wrote
    assert "RuntimeError at node." in row.reason


def test_a_result_that_was_written_and_never_recorded_does_not_stay(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job killed between file and row, and never run again, leaves no file without a row."""

    def cut_off(*_: object) -> None:
        raise RuntimeError("killed before the row")

    monkeypatch.setattr(bench.catalog, "put_derived", cut_off)
    bench.receive(*slices(*range(6)))
    bench.tick(3)
    wait_for(lambda: bool(bench.engine.dead()), "the dead job", 60)
    (leftover,) = bench.derived_files()

    bench.sweep.rescue(bench.engine, bench.workflows)

    assert leftover.name.startswith("2.25.")
    assert bench.derived_files() == []
    assert len(bench.catalog.instances(SERIES)) == 6
    row = bench.last()
    assert row is not None
    assert row.reason.startswith("segmentation died")


def test_an_earlier_rounds_death_removes_nothing_of_the_present_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Released from quarantine, a series may be writing its result while the dead job is seen."""
    bench.receive(*slices(*range(6)))
    bench.tick(3)
    wait_for(lambda: len(bench.pacs.sent) == 8 and bench.nothing_pending(), "everything", 60)
    recorded = bench.derived_files()
    coming = recorded[0].with_name("2.25.1.dcm")
    coming.write_bytes(b"its row comes in a moment")
    job = DeadJob("segment/x", "segment", (SERIES, 1, ["pacs"], [], 0), "ERROR: killed")
    monkeypatch.setattr(bench.catalog, "rounds", lambda *_: 1)

    bench.sweep.rescue(Dead(job), bench.workflows)

    assert coming.exists()


def test_own_output_that_comes_back_goes_nowhere(bench: Bench) -> None:
    """Promise 9, even when another node of ours made it."""
    made = slices(*range(3))
    for ds in made:
        ds.ContributingEquipmentSequence = [contributing_equipment()]
    bench.receive(*made)
    bench.tick(3)

    wait_for(bench.ends("done"), "the verdict", 60)

    row = bench.last()
    assert row is not None
    assert "radnet-node" in row.reason
    assert not bench.pacs.sent
    assert not bench.catalog.deliveries(STUDY)


def test_what_a_destination_does_not_take_stays_pending(bench: Bench) -> None:
    """Down for days is not lost: the rows say so."""
    bench.pacs.down = True
    bench.receive(*slices(0, 1, 2))
    bench.tick(3)

    wait_for(
        lambda: any(d.attempts for d in bench.catalog.deliveries(STUDY)), "the first attempt", 60
    )

    states = {(d.state, d.reason) for d in bench.catalog.deliveries(STUDY)}
    assert ("pending", "nobody there") in states


def test_a_derived_object_is_the_same_bytes_twice(bench: Bench) -> None:
    """Promise 3: a step that runs twice makes the same file and sends nothing twice."""
    bench.receive(*slices(*range(6)))
    bench.tick(3)
    wait_for(lambda: len(bench.pacs.sent) == 8 and bench.nothing_pending(), "everything", 60)
    before = bench.catalog.derived(SERIES, 1)

    bench.stages.segment(SERIES, 1, ["pacs"], [])

    after = bench.catalog.derived(SERIES, 1)
    assert [(kind, one.sop_instance_uid, one.sha256) for kind, one in after] == [
        (kind, one.sop_instance_uid, one.sha256) for kind, one in before
    ]
    assert bench.nothing_pending()


def test_a_file_that_went_bad_stops_nobody_else(bench: Bench) -> None:
    """One series that cannot be read must not keep the others from being looked at."""
    bench.receive(*slices(0, 1, 2))
    for stored in bench.catalog.instances(SERIES):
        bench.files.absolute(stored.path).write_bytes(b"the disk turned this into noise")
    other = slices(0, 1, 2)
    for ds in other:
        ds.SeriesInstanceUID = f"{SERIES}.77"
        ds.SOPInstanceUID = f"{ds.SOPInstanceUID}.77"
    bench.receive(*other)
    bench.tick(3)
    bench.tick(60)

    wait_for(
        lambda: len(bench.sent(SegmentationStorage)) == 1, "the segmentation of the other", 60
    )
    wait_for(bench.ends("unusable"), "the reason", 60)


def test_findings_reach_the_archive_after_the_files_were_deleted(bench: Bench) -> None:
    """Tags are tried again for days; retention does not wait for them."""
    tagged: list[tuple[str, str]] = []

    class Archive:
        def tag(self, study: str, series: str, findings: object, labels: object) -> None:
            tagged.append((study, series))

    bench.receive(*slices(0, 1, 2))
    bench.tick(3)
    wait_for(lambda: len(bench.pacs.sent) == 5 and bench.nothing_pending(), "everything", 60)
    wait_for(bench.ends("done"), "the end", 60)
    assert bench.catalog.delete_series(SERIES, 1e12, (), 1e12)

    assert bench.stages.tag(cast("TaggingDestination", Archive()), f"source/{SERIES}/1")

    assert tagged == [(STUDY, SERIES)]


class Dead:
    """An engine of which one job is dead."""

    def __init__(self, *jobs: DeadJob) -> None:
        self._jobs = list(jobs)

    def dead(self) -> list[DeadJob]:
        """Return the dead jobs."""
        return self._jobs


def test_the_first_failed_attempt_waits_at_least_thirty_seconds(bench: Bench) -> None:
    """The row says when the next one comes, and it comes then."""
    bench.pacs.down = True
    bench.receive(*slices(0, 1, 2))
    bench.tick(3)
    wait_for(
        lambda: any(job.attempts for job in bench.catalog.dispatches("pacs")), "an attempt", 60
    )
    job = next(job for job in bench.catalog.dispatches("pacs") if job.attempts)
    assert job.next_at == pytest.approx(bench.now + 30.0)

    bench.pacs.down = False
    bench.tick(31)

    wait_for(lambda: len(bench.pacs.sent) >= 3 and bench.nothing_pending(), "the images", 60)


def test_a_series_that_cannot_even_be_routed_says_so(bench: Bench) -> None:
    """The last resort died too: the reason stands on the series."""
    bench.receive(*slices(0, 1, 2))
    bench.tick(3)
    wait_for(bench.ends("done"), "the verdict", 60)
    job = DeadJob("series/x", "series", (SERIES, 1, "recognition died"), "ERROR: no route")

    bench.sweep.rescue(Dead(job), bench.workflows)

    row = bench.last()
    assert row is not None
    assert (row.state, row.reason) == ("unusable", "routing died: ERROR: no route")


@pytest.mark.parametrize("refused", ["", f"{CERTIFICATE_REFUSED}5 voxels differ; "])
def test_why_images_go_nowhere_is_told_of_a_series_that_is_segmented(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """A rule that cannot be evaluated sends nothing: whoever looks for the images must see why."""
    rules = (
        Rule(name="ward", when='header.StationName == "CT1"', deliver=("pacs",)),
        Rule(name="liver", when="true", segment=("liver",), results_to=("pacs",)),
    )
    stages = replace(bench.stages, rules=compile_rules(rules))
    bench.receive(*slices(*range(6)))
    bench.now += 3
    bench.sweep.settle()
    bench.catalog.mark_queued(SERIES, 1)
    unusable = stages.classify(SERIES, 1)

    def refuse(*_arguments: object) -> None:
        raise CertificateError("5 voxels differ")

    if refused:
        monkeypatch.setattr("node.pipeline.stages.segment_liver", refuse)
    plan = stages.route(SERIES, 1, unusable)
    for _ in range(2):  # a crash may run it again
        stages.segment(SERIES, 1, plan["results_to"], plan["urgent"])

        row = bench.last()
        assert row is not None
        assert row.state == ("unusable" if refused else "done")
        assert row.reason == (
            f"{refused}rule ward failed: StationName is absent; no rule sends this series anywhere"
        )


def test_a_series_whose_job_is_gone_is_queued_again(bench: Bench) -> None:
    """The pipeline's database was lost, or is older than the catalog: a restored copy."""
    bench.receive(*slices(*range(6)))
    bench.now += 3
    bench.sweep.settle()
    bench.catalog.mark_queued(SERIES, 1)
    bench.sweep.mend(bench.engine)
    assert bench.catalog.unqueued() == []  # it may be about to be queued

    bench.now += 61
    bench.sweep.mend(bench.engine)
    bench.tick(0)

    wait_for(lambda: len(bench.pacs.sent) == 8 and bench.nothing_pending(), "everything", 60)
    bench.now += 61
    bench.sweep.mend(bench.engine)
    assert bench.catalog.unqueued() == []
    assert bench.ends("done")()


def test_a_series_whose_job_is_there_is_not_queued_again(bench: Bench) -> None:
    """Waiting, running or dead: each has somebody who looks after it."""
    bench.classifier.fails = True
    bench.receive(*slices(*range(6)))
    bench.tick(3)
    wait_for(lambda: bool(bench.engine.dead()), "the dead job", 60)
    bench.now += 61

    bench.sweep.mend(bench.engine)

    assert bench.catalog.unqueued() == []
