"""`radnet train` and `radnet experiment` end to end on phantoms."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from radnet.cli import app
from radnet.network.weights import load_weights

runner = CliRunner()


@pytest.mark.slow
@pytest.mark.parametrize("task", ["classifier", "liver"])
def test_train_writes_weights_that_tell_how_they_were_made(task: str, tmp_path: Path) -> None:
    """Two steps, a record, and no checkpoint left behind."""
    out = tmp_path / "w.safetensors"

    result = runner.invoke(
        app, ["train", task, "--steps", "2", "--phantoms", "16", "--out", str(out)]
    )

    assert result.exit_code == 0, result.output
    record = load_weights(out, task).record
    assert record["steps"] == 2
    assert "--steps 2" in record["command"]
    assert not list(tmp_path.glob("*.checkpoint"))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rows"), [("freeze", 6), ("fraction", 5)])
def test_experiment_prints_the_posters_table(name: str, rows: int) -> None:
    """All arms, with the poster's figures beside ours."""
    result = runner.invoke(app, ["experiment", name, "--quick"])

    assert result.exit_code == 0, result.output
    assert "poster" in result.output
    assert "90.0" in result.output
    assert result.output.count("│ ") >= rows
