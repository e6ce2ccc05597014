"""An experiment lives in its folder: it goes on there, and what it found stands there."""

import html
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from torch import nn

from radnet.datasets.learned import Learned, keep_learned
from radnet.datasets.liver_cases import Case
from radnet.datasets.liver_patches import Patches
from radnet.errors import DataError, UsageError
from radnet.evaluation.liver_score import Score
from radnet.network.heads import RadNet
from radnet.network.presets import PRESETS
from radnet.network.weights import save_weights
from radnet.training import experiments, loop, runs, trials
from radnet.training.arithmetic import Arithmetic
from radnet.training.arms import FREEZE, ArmScores, Trial
from radnet.training.experiment_table import COLUMNS, page, pair_rows, picture, write_table
from radnet.training.experiments import Experiment, ExperimentRequest, TrainingBudget
from radnet.training.request import TrainingRequest
from radnet.training.trials import Plans, read_trial
from tests.small_training import SMALL

BUDGET = TrainingBudget(steps=3, seeds=2, preset=SMALL.name)


@pytest.fixture(autouse=True)
def small_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let networks be built by the name of the small one."""
    monkeypatch.setitem(PRESETS, SMALL.name, SMALL)


def encoder(path: Path, **record: object) -> Path:
    """Write weights of a classifier."""
    save_weights(path, RadNet(SMALL), {"task": "classifier", "preset": SMALL.name, **record})
    return path


def a_case(name: str, patient: str = "", content: str = "") -> Case:
    """Return a case with a liver in it."""
    stack = np.full((48, 192, 192), 60, np.float32)
    liver = np.zeros_like(stack)
    liver[10:30, 60:120, 60:120] = 1
    gas = np.zeros(stack.shape, np.int32)
    return Case(name, stack, liver, liver >= 0, gas, 60.0, False, patient, content)


class StoppedError(Exception):
    """The machine went down."""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Score a network by the sum of its weights; remember each trial that is scored."""
    scored: list[float] = []

    def total(net: nn.Module, _case: Case) -> Score:
        scored.append(float(sum(p.detach().double().sum() for p in net.parameters())))
        return Score(scored[-1], 0.0, math.nan, 0.0)

    monkeypatch.setattr(trials, "score", total)
    monkeypatch.setattr(loop, "CHECKPOINT_S", 0.0)
    plain = Arithmetic("f32", "a test says so", None, None)
    monkeypatch.setattr("radnet.training.arithmetic.settled", lambda _: plain)  # else by the clock
    return scored


def small_patches(cases: list[Case], *_: object, first: int = 0) -> Iterator[Patches]:
    """Yield patches of a few voxels that depend on their number alone, as real ones do."""
    import torch

    while True:
        torch.manual_seed(first)
        stack = torch.randn(2, 1, 16, 32, 32)
        yield Patches(stack, (stack > 0.5).float(), torch.ones_like(stack))
        first += 1


def test_what_was_cut_off_goes_on_run_by_run_and_within_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: list[float]
) -> None:
    """As if nothing had happened: the same scores, and no step is made twice."""
    monkeypatch.setattr(trials, "patches", small_patches)
    weights, cases = encoder(tmp_path / "c"), ([a_case("a"), a_case("b")], [a_case("c", "p")])
    arm = FREEZE[-2]
    whole = trials.run_arm(arm, cases, Plans(BUDGET, weights, tmp_path / "x", {}), lambda _: None)
    ticks: list[float] = []

    def stop(share: float) -> None:
        ticks.append(share)
        if share > 0.8:  # in the third step of the second run
            raise StoppedError

    plans = Plans(BUDGET, weights, tmp_path / "y", {})
    with pytest.raises(StoppedError):
        trials.run_arm(arm, cases, plans, stop)
    done, cut = tmp_path / "y/trials/weights-only-0.json", tmp_path / "y/trials/weights-only-1"
    assert read_trial(done)
    assert cut.with_suffix(".checkpoint").is_file()
    made.clear()
    again: list[float] = []

    resumed = trials.run_arm(arm, cases, plans, again.append)

    assert len(made) == 1  # the first run is read, not made
    assert again[0] == 0.5
    assert len(again) <= 3
    found, expected = ([s.dice for s in one.scores] for one in (resumed, whole))
    assert found == expected
    assert whole.trials[0].told["steps"] == 3
    assert whole.trials[0].patients == ("p",)
    assert not list((tmp_path / "y" / "trials").glob("*.checkpoint"))


def request(out: Path, classifier: Path | None = None) -> ExperimentRequest:
    """Return the request for one row of a table on phantoms."""
    return ExperimentRequest("freeze", FREEZE[:1], BUDGET, out, classifier=classifier)


@pytest.fixture
def two_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a set be one case to learn from and one that is held out; nothing is trained."""
    sides = [a_case("a", "p1", "v1")], [a_case("b", "p2", "v2")]
    monkeypatch.setattr(experiments, "sides", lambda *_: sides)
    trial = Trial("all", 0, 1, ("b",), ("p2",), (Score(0.9, 0.8, 5.0, 1.0),), {})
    monkeypatch.setattr(experiments, "run_arm", lambda arm, *_: ArmScores(arm, (trial,)))


@pytest.mark.parametrize(
    ("learned", "why"),
    [
        (Learned(frozenset({"v2"})), r"b \(learned from these very voxels\)"),
        (Learned(patients=frozenset({"p2"})), r"b \(learned from its patient\)"),
    ],
)
def test_an_encoder_that_saw_held_out_scans_is_refused(
    learned: Learned, why: str, tmp_path: Path, two_cases: None
) -> None:
    """The rows would tell of scans that it knows; without transfer it does not matter."""
    weights = encoder(tmp_path / "c.safetensors")
    keep_learned(weights, learned)

    with pytest.raises(DataError, match=why):
        experiments.run(request(tmp_path / "e", weights), lambda *_: None)

    alone = replace(request(tmp_path / "f", weights), arms=FREEZE[-1:])
    assert experiments.run(alone, lambda *_: None).patients == 1


def test_which_encoder_it_is_and_what_it_saw_is_told(tmp_path: Path, two_cases: None) -> None:
    """Also that nobody tells."""
    weights = encoder(tmp_path / "c.safetensors", steps=700, header_labels=True)

    untold = experiments.run(request(tmp_path / "e", weights), lambda *_: None).encoder
    keep_learned(weights, Learned(frozenset({"v1", "v3"}), frozenset({"p1"})))
    told = experiments.run(request(tmp_path / "f", weights), lambda *_: None).encoder

    assert "c.safetensors untold" in untold
    assert "700 steps on header labels alone; saw 2 real scans of 1 known patients" in told


def test_by_default_an_encoder_learns_from_header_labels_alone(
    tmp_path: Path, two_cases: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for the experiment; the shipped one knew livers slice by slice, of LiTS too."""
    asked: list[TrainingRequest] = []

    def train(wanted: TrainingRequest, _report: object) -> None:
        asked.append(wanted)
        encoder(wanted.out, header_labels=True)

    monkeypatch.setattr(runs, "train", train)
    headers = tmp_path / "m.parquet"
    headers.write_bytes(b"")
    wanted = replace(request(tmp_path / "e"), headers=headers)

    experiments.run(wanted, lambda *_: None)
    experiments.run(wanted, lambda *_: None)

    (one,) = asked
    assert one.header_labels
    assert (one.data, one.manifest, one.start) == ((), headers, None)
    assert one.out == tmp_path / "e" / "encoder.safetensors"


def test_the_folder_of_another_experiment_is_refused(tmp_path: Path, two_cases: None) -> None:
    """Its runs would be taken for this one's; more seeds, or rows, are the same experiment."""
    weights = encoder(tmp_path / "c.safetensors")
    out = tmp_path / "e"
    wanted = request(out, weights)
    experiments.run(wanted, lambda *_: None)

    experiments.run(replace(wanted, budget=replace(BUDGET, seeds=5), arms=FREEZE), lambda *_: None)
    with pytest.raises(UsageError, match=r"its steps was 3, now it is 4\); give another --out"):
        experiments.run(replace(wanted, budget=replace(BUDGET, steps=4)), lambda *_: None)
    other = encoder(tmp_path / "d.safetensors")
    with pytest.raises(UsageError, match="--classifier was"):
        experiments.run(replace(wanted, classifier=other), lambda *_: None)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="expected a new folder"):
        experiments.run(request(tmp_path / "mine", weights), lambda *_: None)


def found() -> Experiment:
    """Return an experiment of two rows, two seeds and three cases of two patients."""
    told: dict[str, Any] = {"steps": 9, "skipped": 1, "first_loss": 1.5, "loss": None}
    told |= {"seconds": 2.0, "precision": "f32"}
    rows = []
    for arm, better in ((FREEZE[0], 0.0), (FREEZE[-1], -0.3)):
        each = []
        for seed in range(2):
            dice = [0.9 + better, 0.8 + better, 0.7 + better + 0.01 * seed]
            scores = tuple(Score(one, one - 0.1, math.nan, 5.0) for one in dice)
            people = ("p", "p", "q")
            each.append(Trial(arm.name, seed, 4, ("c1", "c2", "c<3"), people, scores, told))
        rows.append(ArmScores(arm, tuple(each)))
    return Experiment(tuple(rows), 3, 2, "f32", "c.safetensors 0123: saw <nothing>")


def test_every_run_stands_in_a_table(tmp_path: Path) -> None:
    """A line for each held-out case of each run; what is not known is null."""
    write_table(found(), tmp_path / "runs.parquet")

    with duckdb.connect() as db:
        lines = db.execute("SELECT * FROM read_parquet(?)", [str(tmp_path / "runs.parquet")])
        names = [one[0] for one in lines.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in lines.fetchall()]
    assert names == list(COLUMNS)
    assert len(rows) == 2 * 2 * 3
    assert rows[5] | {"dice": 0} == {
        "arm": "all", "seed": 1, "case": "c<3", "patient": "q", "trained_on": 4, "liver": True,
        "dice": 0, "iou": pytest.approx(0.61), "hd95_mm": None, "volume_error_ml": 5.0,
        "steps": 9, "skipped": 1, "first_loss": 1.5, "loss": None, "seconds": 2.0,
        "precision": "f32", "encoder": "c.safetensors 0123: saw <nothing>",
    }  # fmt: skip
    assert not list(tmp_path.glob(".*"))


def test_cases_of_one_patient_are_one_in_a_comparison() -> None:
    """Two of three are of `p`: there are two patients, and each counts as much."""
    first = found().rows[0].by_patient("dice")

    assert first.tolist() == [pytest.approx([0.85, 0.7]), pytest.approx([0.85, 0.71])]
    ((name, minus, mean, between, told),) = pair_rows(found().rows)
    assert (name, minus, mean) == ("none (no transfer)", "all", "-30.0")
    assert between == "-30.0 to -30.0"
    assert told.startswith("told apart by 2 patients and 2 seeds")


def test_a_page_stands_alone_with_its_picture() -> None:
    """Names are escaped; a single row has nothing to be compared with."""
    text = page("Table 2", "of a set", found())
    alone = page("Table 2", "of a set", replace(found(), rows=found().rows[:1]))

    assert "data:image/png;base64," in text
    assert "<script" not in text
    assert html.escape("saw <nothing>") in text
    assert "<td>90.0</td>" in text  # the poster's, beside ours
    assert "One row: nothing to compare" in alone
    assert picture(found().rows).startswith(b"\x89PNG")
