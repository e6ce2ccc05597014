"""A training's figures: written once, also across a kill; MLflow hears the same ones."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import image
from matplotlib.figure import Figure

from radnet.errors import UsageError
from radnet.training.arithmetic import Arithmetic
from radnet.training.journal import Journal
from radnet.training.loop import Progress
from radnet.training.tracking import EXPERIMENT, MlflowRun, address

F32 = Arithmetic("f32", "for a test")


def steps(journal: Journal, first: int, last: int) -> None:
    """Tell a journal the steps from `first` to `last`."""
    for step in range(first, last + 1):
        journal.step(Progress(step, step / 100, 1 / step, 0, F32, 1e-3))


def lines(journal: Journal) -> list[dict[str, Any]]:
    """Return what a journal wrote."""
    return [json.loads(line) for line in journal.path.read_text().splitlines()]


def test_ten_steps_make_a_line_and_a_picture(tmp_path: Path) -> None:
    """The mean of ten losses; held-out scores between them."""
    journal = Journal(tmp_path / "w.safetensors")

    steps(journal, 1, 25)
    journal.scores(25, {"plane": 0.9, "contrast": float("nan")})
    journal.write()

    found = lines(journal)
    assert [line["step"] for line in found] == [10, 20, 25, 25]
    assert found[0]["loss"] == pytest.approx(np.mean(1 / np.arange(1, 11)), abs=1e-4)
    assert found[2]["scores"] == {"plane": 0.9}
    assert journal.path.name == "w.metrics.jsonl"
    assert image.imread(tmp_path / "w.png").shape[:2] == (700, 800)


class Listener:
    """A tracker for tests: remembers."""

    def __init__(self) -> None:
        self.heard: list[dict[str, float]] = []

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Take figures of one step."""
        assert step
        self.heard.append({name: float(value) for name, value in figures.items()})

    def keep(self, path: Path) -> None:
        """Take a file."""


def test_what_is_no_number_is_not_told(tmp_path: Path) -> None:
    """A skipped step has a loss of NaN, and a validation may know nothing; NaN is no JSON."""
    listener = Listener()
    journal = Journal(tmp_path / "w.safetensors", listener)

    for step in range(1, 31):
        bad = step == 3 or step > 20
        journal.step(Progress(step, step / 30, float("nan") if bad else 1.5, 0, F32, 1e-3))
    journal.scores(30, {"Dice": float("nan")})
    journal.write()

    assert "NaN" not in journal.path.read_text()
    assert [line["loss"] for line in lines(journal)] == [1.5, 1.5, None]
    assert [figures.get("loss") for figures in listener.heard] == [1.5, 1.5, None]


@pytest.mark.parametrize(("last", "marked"), [(3, True), (900, False)], ids=["few", "many"])
def test_the_picture_has_whole_steps_and_shows_single_points(
    last: int, marked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three steps are one point: a line through it is nothing, and there is no step 2.85."""
    drawn: list[Figure] = []
    save = Figure.savefig

    def remember(figure: Figure, *what: Any, **how: Any) -> None:
        drawn.append(figure)
        save(figure, *what, **how)

    monkeypatch.setattr(Figure, "savefig", remember)
    journal = Journal(tmp_path / "w.safetensors")
    steps(journal, 1, last)
    journal.scores(last, {"plane": 0.9})
    journal.write()

    for axes in drawn[0].axes:
        ticks = axes.get_xticks()
        assert np.array_equal(ticks, np.round(ticks))
    rate = drawn[0].axes[2].lines[0]
    assert (rate.get_marker() == ".") is marked


def test_a_resumed_training_goes_on_with_its_lines(tmp_path: Path) -> None:
    """What was written behind the checkpoint is dropped, not told twice."""
    out = tmp_path / "w.safetensors"
    killed = Journal(out)
    steps(killed, 1, 60)
    killed.write()

    resumed = Journal(out)
    steps(resumed, 41, 100)
    resumed.write()

    assert [line["step"] for line in lines(resumed)] == list(range(10, 101, 10))


def test_mlflow_hears_figures_and_gets_the_files(tmp_path: Path) -> None:
    """One run across a kill; the SQLite file and its artifacts lie where they were asked for."""
    from mlflow import MlflowClient

    out, memory, store = tmp_path / "w.safetensors", tmp_path / "w.mlflow", tmp_path / "runs.db"
    first = MlflowRun(str(store), "w", {"preset": "radnet10", "seed": 3}, memory)
    steps(Journal(out, first), 1, 20)

    second = MlflowRun(str(store), "w", {"preset": "radnet10", "seed": 3}, memory)
    journal = Journal(out, second)
    steps(journal, 21, 40)
    journal.scores(40, {"coverage exact": 0.5})
    journal.close()
    second.end()

    assert first.run_id == second.run_id
    assert (second.troubles, second.trouble) == (0, "")
    client = MlflowClient(tracking_uri=address(str(store)))
    found = client.get_experiment_by_name(EXPERIMENT)
    assert found is not None
    (run,) = client.search_runs([found.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params == {"preset": "radnet10", "seed": "3"}
    assert run.data.metrics["coverage_exact"] == 0.5
    told = {metric.step for metric in client.get_metric_history(run.info.run_id, "loss")}
    assert told == {10, 20, 30, 40}
    kept = {path.name for path in (tmp_path / "runs.artifacts").rglob("*") if path.is_file()}
    assert kept == {"w.metrics.jsonl", "w.png"}
    assert not memory.exists()


def test_an_mlflow_that_goes_away_costs_no_step(tmp_path: Path) -> None:
    """It is counted and told; the training goes on."""
    run = MlflowRun(str(tmp_path / "runs.db"), "w", {}, tmp_path / "w.mlflow")
    (tmp_path / "runs.db").write_bytes(b"")

    steps(Journal(tmp_path / "w.safetensors", run), 1, 20)

    assert run.troubles == 2
    assert run.trouble


def test_an_address_without_mlflow_is_told(tmp_path: Path) -> None:
    """Before the first step, by name."""
    (tmp_path / "runs.db").write_text("this is no database, this is a text of a certain length")

    with pytest.raises(UsageError, match=r"runs\.db: no MLflow there"):
        MlflowRun(str(tmp_path / "runs.db"), "w", {}, tmp_path / "w.mlflow")
