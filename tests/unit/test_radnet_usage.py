"""A mistake in what was asked for: one line, exit status 2, before any work."""

import sys
from pathlib import Path

import pytest

from radnet.cli import main
from radnet.network.weights_file import shipped
from radnet.training.request import TrainingRequest, TrainingTask


def status(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """Return how `radnet` ends with these arguments."""
    monkeypatch.setattr(sys, "argv", ["radnet", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


@pytest.mark.parametrize("option", ["--html", "--card", "--split"])
def test_what_cannot_be_written_is_refused_before_the_work(
    option: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Into a folder that is not there, or in the place of one: an hour of scoring was lost."""
    (tmp_path / "MANIFEST.csv").write_text("id\n", encoding="utf-8")
    monkeypatch.setattr(
        "radnet.inference.classifier.Classifier.load", lambda *_: pytest.fail("late")
    )

    for path in (tmp_path / "none" / "r", tmp_path):
        ended = status(monkeypatch, "evaluate", "--data", str(tmp_path), option, str(path))

        assert ended == 2
        assert str(path.name) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--classifier", "none.safetensors"], "none.safetensors"),
        (["--classifier", str(shipped("liver"))], "expected 'classifier'"),
        (["--classifier", str(shipped("classifier")), "--preset", "radnet10"], "another preset"),
    ],
    ids=["missing", "a liver's", "of another size"],
)
def test_weights_to_transfer_are_looked_at_before_the_cases(
    options: list[str],
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A liver network's decoder has seen livers: the rows of a table would all be false."""
    monkeypatch.setattr("radnet.training.experiments.sides", lambda *_: pytest.fail("late"))

    assert status(monkeypatch, "experiment", "freeze", "--quick", *options) in (1, 2)

    assert why in " ".join(capsys.readouterr().err.split())


def test_a_preset_that_there_is_not_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those that there are, are named."""
    assert status(monkeypatch, "experiment", "freeze", "--quick", "--preset", "radnet99") == 2

    told = capsys.readouterr().err
    assert "radnet99" in told
    assert "radnet10-tiny" in told


def test_weights_that_are_begun_from_and_written_do_not_tell_trainings_apart(
    tmp_path: Path,
) -> None:
    """`--start W --out W` writes W every minute; the same command must go on after a kill."""
    weights, other = tmp_path / "w.safetensors", tmp_path / "v.safetensors"
    weights.write_bytes(b"before")
    other.write_bytes(b"others")

    def sources(start: Path) -> dict[str, str]:
        request = TrainingRequest(
            TrainingTask.LIVER, "p", 1, 0, 0, (), None, start, weights, every_scan=False
        )
        return request.sources()

    begun = sources(weights)
    weights.write_bytes(b"after a minute")

    assert sources(weights) == begun
    assert sources(other) != begun


def test_a_classifier_that_is_to_learn_from_every_scan_is_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would not, and its record would say that it had."""
    out = str(tmp_path / "w.safetensors")
    assert status(monkeypatch, "train", "classifier", "--every-scan", "--out", out) == 2

    assert "--every-scan is for the liver" in " ".join(capsys.readouterr().err.split())
