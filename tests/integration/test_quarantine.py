"""What cannot be processed stands where an operator can open it, and comes back on command."""

import json
from pathlib import Path

import pytest
from pydicom.uid import SegmentationStorage
from typer.testing import CliRunner

from node.audit.custody import changed_files
from node.cli import radnode
from node.errors import CertificateError, DecisionError
from node.model.failures import HELD_AS, WORDS, FailureKind
from node.model.records import FailedRevision, Held
from node.model.states import DeliveryState, HoldState, Origin, RevisionState
from node.model.work import WorkKind
from node.pipeline import stages
from node.segment.liver import segment_liver
from node.upkeep.quarantine import Quarantine, wanted
from tests.bench import Bench, slices
from tests.due_time import task_claimed
from tests.made_ct import SERIES, STUDY
from tests.node_process import wait_for


@pytest.fixture
def quarantine(bench: Bench) -> Quarantine:
    """Give the quarantine of the bench."""
    return Quarantine(bench.catalog, bench.files, bench.clock)


def only(bench: Bench) -> Held:
    """Return the one thing that is held."""
    (held,) = bench.catalog.quarantine.held()
    return held


def whole(bench: Bench) -> list[str]:
    """Return what `radnode prove` would find wrong."""
    entries = bench.catalog.ledger.history(STUDY)
    broken = bench.catalog.ledger.proof().broken
    return [*changed_files(bench.catalog, bench.files, entries), *([broken] if broken else [])]


def test_each_kind_of_failure_is_held() -> None:
    """What is no volume has no kind, and `failed_revisions` does not return it."""
    failed = [
        FailedRevision("1", f"1.{n}", 1, kind, "for a reason")
        for n, kind in enumerate(FailureKind)
    ]

    holds = wanted(failed, [], [])

    assert [one.kind for one in holds] == [HELD_AS[kind] for kind in FailureKind]


def test_a_series_whose_recognition_died_is_held_and_replayed(
    bench: Bench, quarantine: Quarantine
) -> None:
    """Folder with the images and the reason; replay recognises it and makes SEG and SR."""
    bench.classifier.fails = True
    bench.receive(*slices(*range(6)))
    bench.tick(3)
    wait_for(lambda: len(bench.pacs.sent) == 6 and bench.nothing_pending(), "the images", 60)
    quarantine.look()
    quarantine.look()

    held = only(bench)
    folder = bench.files.absolute(held.hold.folder)
    told = json.loads((folder / "reason.json").read_text("utf-8"))
    assert held.hold.folder == Path("quarantine/recognition") / STUDY / SERIES / "revision-1"
    assert len(list(folder.glob("*.dcm"))) == 6
    assert "RuntimeError at node.classify.recognise" in told["reason"]

    bench.classifier.fails = False
    quarantine.replay(held)
    bench.tick(1)
    wait_for(lambda: len(bench.pacs.sent) == 8 and bench.nothing_pending(), "SEG and SR", 60)

    quarantine.look()
    assert bench.ends("done")()
    assert bench.catalog.quarantine.held() == []
    assert len(bench.sent(SegmentationStorage)) == 1
    assert whole(bench) == []


def test_what_fails_again_is_held_again(bench: Bench, quarantine: Quarantine) -> None:
    """A replay in vain ends where it began, under the same id."""
    bench.classifier.fails = True
    bench.receive(*slices(*range(6)))
    bench.tick(3)
    wait_for(bench.ends("unusable"), "the reason", 60)
    quarantine.look()
    first = only(bench)

    quarantine.replay(first)
    bench.tick(1)
    wait_for(bench.ends("unusable"), "the reason", 60)
    quarantine.look()

    assert only(bench).hold == first.hold
    assert only(bench).rounds == 1


def test_a_series_whose_headers_cannot_be_read_is_held(
    bench: Bench, quarantine: Quarantine
) -> None:
    """The disk turned it into noise: it is shown, and once it is mended, run again."""
    images = slices(*range(6))
    bench.receive(*images)
    whole_files = {}
    for stored in bench.catalog.instances.of_series(SERIES):
        path = bench.files.absolute(stored.path)
        whole_files[path] = path.read_bytes()
        path.write_bytes(b"noise")
    bench.tick(61)
    wait_for(bench.ends("unusable"), "the reason", 60)
    wait_for(bench.at_rest, "a try", 60)
    quarantine.look()
    held = only(bench)
    assert held.hold.kind == "unreadable"
    assert [one for one in whole(bench) if "not the one" in one]

    for path, data in whole_files.items():
        path.write_bytes(data)
    quarantine.replay(held)
    bench.tick(31)  # the images are tried again after 30 s

    wait_for(lambda: bool(bench.sent(SegmentationStorage)), "SEG", 60)
    wait_for(bench.nothing_pending, "everything", 60)
    assert len(bench.pacs.sent) == 8
    assert whole(bench) == []


def test_a_refused_segmentation_is_held(
    bench: Bench, quarantine: Quarantine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A SEG that its certificate refuses never leaves, and somebody is told."""

    def refuse(*_arguments: object) -> None:
        raise CertificateError("5 voxels differ")

    monkeypatch.setattr(stages, "segment_liver", refuse)
    bench.receive(*slices(*range(6)))
    bench.tick(3)
    wait_for(bench.ends("unusable"), "the refusal", 60)
    quarantine.look()

    held = only(bench)
    assert (held.hold.kind, held.hold.reason) == (
        "certificate",
        f"{WORDS[FailureKind.CERTIFICATE]}5 voxels differ",
    )

    monkeypatch.setattr(stages, "segment_liver", segment_liver)
    quarantine.replay(held)
    bench.tick(1)
    wait_for(lambda: len(bench.pacs.sent) == 8 and bench.nothing_pending(), "SEG and SR", 60)


def test_a_segmentation_that_died_in_vain_is_not_declared_dead_again_after_a_replay(
    bench: Bench, quarantine: Quarantine
) -> None:
    """The dead job of the first round has nothing more to say."""
    recognition = bench.take_in(*slices(*range(6)))
    bench.stages.route(recognition, bench.stages.classify(SERIES, 1))
    dead = task_claimed(bench.catalog, WorkKind.SEGMENT)
    bench.catalog.claims.die(dead.of, dead.serial, "its process died 10 times")
    bench.worker.due.look(WorkKind.SEGMENT)
    quarantine.look()

    quarantine.replay(only(bench))
    again = task_claimed(bench.catalog, WorkKind.RECOGNISE)
    bench.stages.route(again, bench.stages.classify(SERIES, 1))
    bench.stages.segment(task_claimed(bench.catalog, WorkKind.SEGMENT))
    assert bench.ends("done")()
    assert not bench.catalog.claims.die(dead.of, dead.serial, "its process died 10 times")
    bench.worker.due.look(WorkKind.SEGMENT)

    assert bench.ends("done")()


def test_other_bytes_under_a_known_uid_are_held_and_can_take_the_place(
    bench: Bench, quarantine: Quarantine
) -> None:
    """Released: they go out as a revision, and what they replaced is held in its turn."""
    bench.receive(*slices(0, 1, 2))
    bench.tick(3)
    wait_for(lambda: len(bench.pacs.sent) == 5 and bench.nothing_pending(), "revision 1", 60)
    (other,) = slices(0)
    other.PatientPosition = "FFS"
    bench.receive(other)
    quarantine.look()
    held = only(bench)
    assert held.hold.kind == "conflict"
    assert len(list(bench.files.absolute(held.hold.folder).glob("*.dcm"))) == 1
    with pytest.raises(DecisionError, match="release or discard"):
        quarantine.replay(held)

    quarantine.release(held)
    assert whole(bench) == []
    bench.tick(61)
    wait_for(lambda: len(bench.pacs.sent) == 8 and bench.nothing_pending(), "revision 2", 60)

    assert [ds.get("PatientPosition") for ds in bench.pacs.sent].count("FFS") == 1
    quarantine.look()
    first = only(bench)
    assert first.hold.kind == "conflict"
    assert first.hold.key != held.hold.key
    assert whole(bench) == []


def test_discarding_a_conflict_removes_the_other_bytes_only(
    bench: Bench, quarantine: Quarantine
) -> None:
    """The first ones, and the chain, are as they were."""
    bench.receive(*slices(0, 1, 2))
    (other,) = slices(0)
    other.PatientPosition = "FFS"
    bench.receive(other)
    quarantine.look()
    held = only(bench)

    quarantine.discard(held)

    assert bench.catalog.instances.conflicts(STUDY) == []
    assert len(list((bench.files.root / "instances").rglob("*.dcm"))) == 3
    assert not bench.files.absolute(held.hold.folder).exists()
    assert bench.catalog.ledger.history(STUDY)[-1].event == "discarded"
    assert whole(bench) == []
    quarantine.look()
    assert bench.catalog.quarantine.held() == []
    with pytest.raises(DecisionError, match="no longer held"):
        quarantine.discard(held)


def test_a_discard_that_was_killed_is_finished_by_the_next_look(
    bench: Bench, quarantine: Quarantine
) -> None:
    """No file without a row: rows go last."""
    bench.receive(*slices(0, 1, 2))
    (other,) = slices(0)
    other.PatientPosition = "FFS"
    bench.receive(other)
    quarantine.look()
    bench.catalog.quarantine.decide(only(bench), HoldState.DISCARDING, bench.now)

    quarantine.look()

    assert bench.catalog.instances.conflicts(STUDY) == []
    assert len(list((bench.files.root / "instances").rglob("*.dcm"))) == 3
    assert [
        one.state
        for one in bench.catalog.quarantine.held((HoldState.DISCARDING, HoldState.DISCARDED))
    ] == ["discarded"]


def test_parked_deliveries_are_held_and_sent_again(bench: Bench, quarantine: Quarantine) -> None:
    """One hold for a series at a destination, with the instances that are parked."""
    bench.pacs.down = True
    bench.receive(*slices(0, 1, 2))
    bench.tick(3)
    wait_for(bench.ends("done"), "the verdict", 60)
    wait_for(bench.at_rest, "an attempt with images, and one with results", 60)
    for one in bench.catalog.instances.of_series(SERIES, Origin.RECEIVED):
        bench.catalog.deliveries.put_outcome(
            one.sop_instance_uid, "pacs", DeliveryState.PARKED, "refused", bench.now
        )
    quarantine.look()
    (held,) = [
        one for one in bench.catalog.quarantine.held() if one.hold.series_instance_uid == SERIES
    ]
    assert (held.hold.kind, str(held.hold.key)) == ("delivery", "pacs")
    assert len(list(bench.files.absolute(held.hold.folder).glob("*.dcm"))) == 3

    bench.pacs.down = False
    quarantine.replay(held)

    bench.tick(60)
    wait_for(lambda: len(bench.pacs.sent) == 5 and bench.nothing_pending(), "all of it", 60)
    assert {d.state for d in bench.catalog.delivery_states.of_study(STUDY)} == {"delivered"}


def test_the_operator_does_it_by_command(
    bench: Bench, quarantine: Quarantine, tmp_path: Path
) -> None:
    """List, show, refuse to discard without --yes, discard, and tell wrong ids."""
    config = tmp_path / "node.toml"
    config.write_text(f'[node]\ndata = "{tmp_path}"\n', "utf-8")
    bench.receive(*slices(0, 1, 2))
    (other,) = slices(0)
    other.PatientPosition = "FFS"
    bench.receive(other)
    quarantine.look()
    hold_id = only(bench).hold.id

    def said(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(radnode, ["quarantine", *words, "--config", str(config)])
        return done.exit_code, done.output

    code, output = said("list")
    assert code == 0
    assert hold_id in output
    assert "conflict" in output
    code, output = said("show", hold_id)
    assert code == 0
    assert "other bytes" in output
    assert said("discard", hold_id)[0] == 2
    assert said("replay", hold_id)[0] == 1
    assert said("show", "nonsense")[0] == 2
    status = CliRunner().invoke(radnode, ["status", "--config", str(config)])
    assert "1 held in quarantine" in status.output
    assert said("discard", "--yes", hold_id) == (0, f"{hold_id}: discarded\n")
    assert hold_id not in said("list")[1]
    assert "discarded" in said("list", "--all")[1]


def test_retention_keeps_what_went_wrong_until_somebody_decides(
    bench: Bench, quarantine: Quarantine
) -> None:
    """From the moment it went wrong; a replay that succeeds lets it go like any other."""
    bench.receive(*slices(*range(6)))
    bench.tick(3)
    wait_for(lambda: len(bench.pacs.sent) == 8 and bench.nothing_pending(), "everything", 60)
    later = bench.now + 1000

    def goes() -> bool:
        return bench.catalog.retention.kept_because(SERIES, later, ()) == ""

    assert goes()
    bench.catalog.revisions.finish(
        SERIES, 1, RevisionState.UNUSABLE, "ERROR", FailureKind.SEGMENTATION
    )
    assert not goes()
    quarantine.look()
    assert not goes()

    quarantine.replay(only(bench))
    assert not goes()
    bench.tick(1)
    wait_for(bench.ends("done"), "the second verdict", 60)

    assert goes()
