"""After a rule was mended, what came before is run again: what is newly decided goes out, once."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, SegmentationStorage
from typer.testing import CliRunner

from node.cli import radnode
from node.route.rules import compile_rules
from node.settings import Rule
from node.store.work.due_clock import DueClock
from node.upkeep.quarantine import Quarantine
from tests.bench import RULES, Bench, slices
from tests.due_time import revisions_due
from tests.made_ct import SERIES, STUDY
from tests.node_process import wait_for

MISTAKEN = (Rule(name="typo", when='header.Modality == "MRI"', deliver=("pacs",)),)


def rule_the(bench: Bench, rules: Sequence[Rule]) -> None:
    """Let the worker be restarted with other rules."""
    object.__setattr__(bench.stages, "rules", compile_rules(rules))


def config(bench: Bench, rules: str = "") -> str:
    """Write the settings of the bench's node, and return their path."""
    path = bench.files.root / "node.toml"
    out = f'[[destinations]]\nname = "pacs"\nkind = "folder"\npath = "{bench.files.root}/out"\n'
    path.write_text(f'[node]\ndata = "{bench.files.root}"\n{out}{rules}', "utf-8")
    return str(path)


def radnode_says(bench: Bench, *arguments: str, rules: str = "", code: int = 0) -> str:
    """Run a command on the bench's node and return what it prints."""
    done = CliRunner().invoke(radnode, [*arguments, "--config", config(bench, rules)])
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


@pytest.fixture(autouse=True)
def one_clock(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands go by the database's clock, as the worker does: on a bench the test has it."""

    def clock(fixed: Callable[[], float] | None) -> DueClock:
        return DueClock(fixed or bench.moment)

    monkeypatch.setattr("node.store.catalog.DueClock", clock)


@pytest.fixture
def stranded(bench: Bench) -> Bench:
    """Give a node in which a rule with a mistake sent a series nowhere."""
    rule_the(bench, MISTAKEN)
    bench.receive(*slices(*range(6)))
    bench.tick(3)
    wait_for(bench.ends("done"), "the routing", 60)
    assert bench.pacs.sent == []
    return bench


@pytest.mark.parametrize("uid", [STUDY, SERIES])
def test_what_a_mistaken_rule_sent_nowhere_goes_out_after_it_is_mended(
    stranded: Bench, uid: str
) -> None:
    """Images, segmentation and report; the same order twice sends nothing twice."""
    bench = stranded
    rule_the(bench, RULES)

    assert "1 series: run again" in radnode_says(bench, "reprocess", uid)
    assert "0 series: run again" in radnode_says(bench, "reprocess", uid)  # it waits to be run
    bench.tick(1)
    wait_for(lambda: len(bench.pacs.sent) == 8 and bench.nothing_pending(), "everything", 60)
    wait_for(bench.ends("done"), "the end", 60)
    radnode_says(bench, "reprocess", uid)
    bench.tick(1)
    wait_for(bench.ends("done"), "the second round", 60)
    wait_for(bench.at_rest, "rest", 60)

    assert len(bench.sent(CTImageStorage)) == 6
    assert len(bench.sent(SegmentationStorage)) == 1
    row = bench.last()
    assert row is not None
    assert (row.revision, row.rounds) == (1, 2)
    told = [one.event for one in bench.catalog.ledger.history(STUDY)]
    assert told.count("reprocessed") == 2
    assert bench.catalog.ledger.proof().broken == ""


def test_everything_is_sent_again_where_that_is_asked(bench: Bench) -> None:
    """Where a destination lost what it had taken; results are the same objects as before."""
    bench.receive(*slices(*range(6)))
    bench.tick(3)
    wait_for(lambda: len(bench.pacs.sent) == 8 and bench.nothing_pending(), "everything", 60)
    wait_for(bench.ends("done"), "the end", 60)

    radnode_says(bench, "reprocess", SERIES, "--send-again")
    bench.tick(1)
    wait_for(lambda: len(bench.pacs.sent) == 16 and bench.nothing_pending(), "all again", 60)
    wait_for(bench.ends("done"), "the end", 60)
    wait_for(bench.at_rest, "rest", 60)

    first, second = bench.sent(SegmentationStorage)
    assert first.SOPInstanceUID == second.SOPInstanceUID
    assert len(bench.pacs.sent) == 16
    row = bench.last()
    assert row is not None
    assert not row.send_again


def test_what_is_in_work_or_coming_in_is_left_alone(bench: Bench) -> None:
    """It is judged by the rules of today anyway, and must not run twice at once."""
    bench.receive(*slices(0, 1))

    assert "1 series: coming in" in radnode_says(bench, "reprocess", STUDY)
    bench.by_hand()
    bench.tick(3)
    assert "1 series: in work" in radnode_says(bench, "reprocess", STUDY)
    row = bench.last()
    assert row is not None
    assert row.rounds == 0


def test_what_is_held_in_quarantine_is_run_again_and_no_longer_held(bench: Bench) -> None:
    """As by `radnode quarantine replay`, and its folder goes."""
    bench.classifier.fails = True
    bench.receive(*slices(*range(3)))
    bench.tick(3)
    wait_for(bench.ends("unusable"), "the end", 60)
    Quarantine(bench.catalog, bench.files, bench.clock).look()
    (held,) = bench.catalog.quarantine.held()
    bench.classifier.fails = False

    radnode_says(bench, "reprocess", SERIES)

    assert bench.catalog.quarantine.held() == []
    assert not bench.files.absolute(held.hold.folder).exists()
    bench.tick(1)
    wait_for(bench.ends("done"), "the second round", 60)


def test_the_time_chooses_what_is_run_again(stranded: Bench) -> None:
    """Of the bench's clock, whose year is 1970, nothing is of this week."""
    assert "0 series: run again" in radnode_says(stranded, "reprocess", "--since", "7d")
    assert "1 series: run again" in radnode_says(stranded, "reprocess", "--since", "1970-01-01")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "either UID or --since"),
        (["1.2", "--since", "7d"], "either UID or --since"),
        (["--since", "yesterday"], "expected 30m, 12h, 7d"),
        (["--since", "2999-01-01"], "in the future"),
        (["1.2.3.4.5"], "no study or series 1.2.3.4.5"),
    ],
    ids=["nothing", "both", "no time", "future", "unknown"],
)
def test_wrong_usage_is_told(bench: Bench, arguments: list[str], told: str) -> None:
    """Exit status 2, and what was expected."""
    assert told in radnode_says(bench, "reprocess", *arguments, code=2)


def test_status_ledger_and_log_say_which_rule_matched_and_why(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    """With findings and titles; of a header only which attributes were looked at."""
    when = 'findings.sequence.value == "CT" && header.Modality != "A NAME"'
    rule_the(bench, [Rule(name="ct", when=when, deliver=("pacs",))])
    bench.receive(*slices(0, 1, 2))
    bench.tick(3)
    wait_for(lambda: len(bench.pacs.sent) == 3 and bench.nothing_pending(), "the images", 60)
    wait_for(bench.ends("done"), "the end", 60)

    (entry,) = [one for one in bench.catalog.ledger.history(STUDY) if one.event == "judged"]
    assert list(entry.detail["matched"]) == ["ct"]
    assert entry.detail["deliver"] == ["pacs"]
    because = entry.detail["matched"]["ct"]
    assert "sequence CT (" in because
    assert "header.Modality" in because
    assert f"ct matched: {because}" in " ".join(radnode_says(bench, "status", STUDY).split())
    lines = capsys.readouterr().out.splitlines()
    (attempt,) = [one for one in lines if "delivery attempted" in one]
    for told in (f"study={STUDY}", "destination=pacs", "instances=3", "delivered=3", "pending=0"):
        assert told in attempt
    (line,) = [one for one in lines if "judged by the rules" in one]
    assert f"study={STUDY}" in line
    assert "deliver=['pacs']" in line
    assert "instances=3" in line


TRIED = """
[[rules]]
name = "ct"
when = 'findings.sequence.value == "CT" && header.Rows > 1'
deliver = ["pacs"]
urgent = true

[[rules]]
name = "liver"
when = '"liver" in findings.coverage.value && header.SeriesDescription.contains("art")'
segment = ["liver"]
results_to = ["pacs"]
"""


def test_rules_are_tried_on_a_study_without_doing_anything(stranded: Bench) -> None:
    """What each would do, and why; which part of a condition fails, and what stands there."""
    before = stranded.catalog.ledger.proof().last

    for what in ([STUDY], [SERIES], ["--last", "1970-01-01"]):
        said = " ".join(radnode_says(stranded, "rules", "try", *what, rules=TRIED).split())

        assert SERIES in said
        assert "deliver to pacs, urgently" in said
        assert "sequence CT (" in said
        assert 'not header.SeriesDescription.contains("art")' in said
        assert "header.SeriesDescription absent" in said
    assert SERIES not in radnode_says(stranded, "rules", "try", "--last", "7d", rules=TRIED)
    assert stranded.catalog.ledger.proof().last == before
    assert stranded.pacs.sent == []
    assert revisions_due(stranded.catalog) == []


def test_rules_are_tried_on_a_file_that_is_not_here_yet(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the node would see it, from whom one says it would come."""
    monkeypatch.setattr("radnet.inference.classifier.Classifier.load", lambda *_: bench.classifier)
    folder = Path(bench.files.root) / "elsewhere"
    folder.mkdir()
    for number, ds in enumerate(slices(*range(4))):
        ds.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    rules = (
        TRIED + '[[rules]]\nname = "mine"\nwhen = \'source.calling_ae == "CT1"\'\nstop = true\n'
    )

    said = radnode_says(bench, "rules", "try", str(folder), "--calling", "CT1", rules=rules)

    assert "deliver to pacs, urgently" in said
    assert "source.calling_ae CT1" in said
    assert "4 files" in said
    assert "holds no DICOM files" in radnode_says(
        bench, "rules", "try", str(bench.files.root / "node.toml"), rules=rules, code=2
    )


def test_rules_that_name_nothing_to_try_are_wrong_usage(bench: Bench) -> None:
    """Exit status 2."""
    assert "either UID|FILE or --last" in radnode_says(bench, "rules", "try", code=2)
    assert "is no file" in radnode_says(bench, "rules", "try", "1.2.3.4", code=2)
