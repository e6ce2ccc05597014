"""A mistake in what was asked for: one line, exit status 2, before any work."""

import sys
from pathlib import Path

import pytest

from radnet.cli import main


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


def test_a_preset_that_there_is_not_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those that there are, are named."""
    assert status(monkeypatch, "experiment", "freeze", "--quick", "--preset", "radnet99") == 2

    told = capsys.readouterr().err
    assert "radnet99" in told
    assert "radnet10-tiny" in told
