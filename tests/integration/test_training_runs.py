"""A training without a console: a request goes in, events and a `Trained` come out."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from radnet.datasets.learned import learned_by, list_beside
from radnet.errors import DataError, RadnetError, UsageError
from radnet.network.presets import PRESETS
from radnet.network.weights import load_weights
from radnet.training import runs
from radnet.training.report import Began, Stage, Stepped, TrainingEvent
from radnet.training.request import TrainingRequest, TrainingTask
from radnet.training.runs import train
from tests.small_training import SMALL, lits


@pytest.fixture
def request_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingRequest:
    """Return the request for two steps of a small liver network on four cases."""
    monkeypatch.setitem(PRESETS, SMALL.name, SMALL)
    return TrainingRequest(
        TrainingTask.LIVER,
        SMALL.name,
        minutes=1,
        steps=2,
        seed=0,
        data=(lits(tmp_path / "set", 4),),
        manifest=None,
        start=None,
        out=tmp_path / "w.safetensors",
        every_scan=False,
        phantoms=1,
    )


def test_a_training_reports_and_prints_nothing(
    request_: TrainingRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a console shows, and a nightly training keeps, are the same events."""
    events: list[TrainingEvent] = []

    trained = train(request_, events.append)

    first, *steps, last = events
    assert first == Began(Stage.READING)
    assert last == Began(Stage.SCORING)
    assert [one.share for one in steps if isinstance(one, Stepped)] == [0.0, 0.5]
    assert all(isinstance(one, Stepped) and one.loss and one.loss > 0 for one in steps)
    kept = load_weights(trained.out, "liver").record
    assert kept["steps"] == trained.record["steps"] == 2
    assert kept["judged_on"] == "left-out scans"
    learned = learned_by(trained.out, kept)
    assert learned
    assert len(learned.scans) == 3
    assert "kept_step" not in kept  # no development scans: the last weights are kept
    assert "chosen_by" not in list_beside(trained.out).read_text(encoding="utf-8")
    assert kept["held_out"] == trained.record["held_out"]
    assert trained.first
    assert not request_.checkpoint.exists()
    assert capsys.readouterr() == ("", "")


def test_time_that_is_over_before_the_first_step_is_told(request_: TrainingRequest) -> None:
    """No weights of no training."""
    with pytest.raises(RadnetError, match="give more --minutes"):
        train(replace(request_, steps=0, minutes=math.ulp(0)))

    assert not request_.out.exists()


def test_one_step_is_no_model(request_: TrainingRequest) -> None:
    """It was called weights, and a node would have served them; the next try is not refused."""
    request_.out.write_bytes(b"the weights before")

    with pytest.raises(RadnetError, match=r"1 steps, 0 of them skipped: no model"):
        train(replace(request_, steps=1))

    assert request_.out.read_bytes() == b"the weights before"
    assert load_weights(request_.unfinished, "liver").record["unfinished"] is True
    assert not request_.checkpoint.exists()


def test_weights_are_unfinished_until_the_training_is_through(
    request_: TrainingRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half-trained ones stood under the name of the finished, without thresholds."""
    monkeypatch.setattr(runs, "SAVE_S", 0.0)
    seen: list[tuple[bool, bool]] = []

    def look(event: TrainingEvent) -> None:
        if event == Began(Stage.SCORING):
            seen.append((request_.out.exists(), request_.unfinished.exists()))

    trained = train(replace(request_, rate=5e-4), look)

    assert seen == [(False, True)]
    assert request_.out.exists()
    assert not request_.unfinished.exists()
    assert trained.record["rate"] == 5e-4
    assert "--rate 0.0005" in trained.record["command"]
    assert trained.record["first_loss"] > 0
    assert "unfinished" not in load_weights(request_.out, "liver").record


def test_a_request_that_cannot_be_met_is_refused_before_the_work(
    request_: TrainingRequest, tmp_path: Path
) -> None:
    """By kind: what was asked for, or what it names."""
    nothing = tmp_path / "none"
    for wrong in (
        replace(request_, manifest=tmp_path),
        replace(request_, data=(nothing,)),
        replace(request_, start=nothing),
        replace(request_, out=tmp_path),
        replace(request_, out=nothing / "w"),
        replace(request_, header_labels=True),
        replace(request_, header_labels=True, task=TrainingTask.CLASSIFIER),
    ):
        with pytest.raises(UsageError):
            train(wrong, lambda _: pytest.fail("late"))
    with pytest.raises(DataError, match=r"no MANIFEST\.csv"):
        train(replace(request_, task=TrainingTask.CLASSIFIER), lambda _: pytest.fail("late"))
