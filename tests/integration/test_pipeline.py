"""The durable pipeline with real rows, files and engine; network and models are made up."""

from dataclasses import replace
from typing import cast

import pytest
from pydicom.uid import ComprehensiveSRStorage, SegmentationStorage

from node.deliver.destination import (
    TaggingDestination,
)
from node.errors import CertificateError
from node.model.failures import WORDS, FailureKind
from node.model.work import WorkKind
from node.route.rules import compile_rules
from node.settings import Rule
from tests.bench import Bench, slices
from tests.due_time import task_claimed
from tests.made_ct import SERIES, STUDY
from tests.node_process import wait_for


def test_a_whole_series_ends_as_images_segmentation_and_report(bench: Bench) -> None:
    """The picture in workflows.py, once through."""
    bench.receive(*slices(*range(6)))
    bench.tick(3)

    wait_for(lambda: len(bench.pacs.sent) == 8 and bench.nothing_pending(), "everything", 60)

    assert bench.ends("done")()
    assert len(bench.sent(SegmentationStorage)) == 1
    assert len(bench.sent(ComprehensiveSRStorage)) == 1
    found = {
        f.name: f.value for f in bench.catalog.findings.of_series(SERIES) if f.source != "header"
    }
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
    assert "272519000" in str(report)  # Absent (CID 240)


def test_what_a_destination_does_not_take_stays_pending(bench: Bench) -> None:
    """Down for days is not lost: the rows say so."""
    bench.pacs.down = True
    bench.receive(*slices(0, 1, 2))
    bench.tick(3)

    wait_for(
        lambda: any(d.attempts for d in bench.catalog.delivery_states.of_study(STUDY)),
        "the first attempt",
        60,
    )

    states = {(d.state, d.reason) for d in bench.catalog.delivery_states.of_study(STUDY)}
    assert ("pending", "nobody there") in states


def test_a_derived_object_is_the_same_bytes_twice(bench: Bench) -> None:
    """Promise 3: a step that runs twice makes the same file and sends nothing twice."""
    bench.receive(*slices(*range(6)))
    bench.tick(3)
    wait_for(lambda: len(bench.pacs.sent) == 8 and bench.nothing_pending(), "everything", 60)
    before = bench.catalog.results.of_series(SERIES, 1)

    bench.stages.segment(bench.segmentation("pacs"))

    after = bench.catalog.results.of_series(SERIES, 1)
    assert [(kind, one.sop_instance_uid, one.sha256) for kind, one in after] == [
        (kind, one.sop_instance_uid, one.sha256) for kind, one in before
    ]
    assert bench.nothing_pending()


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
    assert bench.catalog.retention.delete(SERIES, 1e12, (), 1e12)

    assert bench.stages.tag(cast("TaggingDestination", Archive()), f"source/{SERIES}/1")

    assert tagged == [(STUDY, SERIES)]


def test_the_first_failed_attempt_waits_at_least_thirty_seconds(bench: Bench) -> None:
    """The row says when the next one comes, and it comes then."""
    bench.pacs.down = True
    bench.receive(*slices(0, 1, 2))
    bench.tick(3)
    wait_for(bench.ends("done"), "the verdict", 60)
    wait_for(bench.at_rest, "an attempt with images, and one with results", 60)
    assert [
        (job.attempts, job.due_at) for job in bench.catalog.work.open(WorkKind.DELIVER, "pacs")
    ] == [(1, bench.now + 30.0)] * 2

    bench.pacs.down = False
    bench.tick(31)

    wait_for(lambda: len(bench.pacs.sent) == 5 and bench.nothing_pending(), "everything", 60)


@pytest.mark.parametrize("refused", ["", f"{WORDS[FailureKind.CERTIFICATE]}5 voxels differ; "])
def test_why_images_go_nowhere_is_told_of_a_series_that_is_segmented(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """A rule that cannot be evaluated sends nothing: whoever looks for the images must see why."""
    rules = (
        Rule(name="ward", when="header.EchoTime + 1.0 > 80.0", deliver=("pacs",)),
        Rule(name="liver", when="true", segment=("liver",), results_to=("pacs",)),
    )
    stages = replace(bench.stages, rules=compile_rules(rules))
    recognition = bench.take_in(*slices(*range(6)))
    unusable = stages.classify(SERIES, 1)

    def refuse(*_arguments: object) -> None:
        raise CertificateError("5 voxels differ")

    if refused:
        monkeypatch.setattr("node.pipeline.stages.segment_liver", refuse)
    stages.route(recognition, unusable)
    segmentation = task_claimed(bench.catalog, WorkKind.SEGMENT)
    for _ in range(2):  # a crash may run it again
        stages.segment(segmentation)

        row = bench.last()
        assert row is not None
        assert row.state == ("unusable" if refused else "done")
        assert row.reason == (
            f"{refused}rule ward failed: an operator does not take what is absent and DoubleType; "
            "no rule sends this series anywhere"
        )
