"""`radnet train` after kill -9: the same command goes on, another one is refused."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.small_training import REGISTER, SMALL, lits

TRAIN = "from radnet.training import loop; loop.CHECKPOINT_S = 0.0; from radnet.cli import main; "
COMMAND = [
    sys.executable, "-c", f"{REGISTER}{TRAIN}main()", "train", "liver", "--phantoms", "1",
    "--preset", SMALL.name,
]  # fmt: skip
PATIENCE_S = 300.0


def arguments(data: Path, out: Path) -> list[str]:
    """Return the command of a short training on `data`."""
    return [*COMMAND, "--steps", "4", "--data", str(data), "--out", str(out)]


def kill_after_a_step(command: list[str], checkpoint: Path) -> None:
    """Run a training and kill it once its first checkpoint is there."""
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + PATIENCE_S
    while not checkpoint.is_file() and time.monotonic() < end:
        time.sleep(0.01)
    running.kill()
    running.wait()
    assert checkpoint.is_file()


@pytest.mark.slow
def test_a_checkpoint_of_other_data_is_refused_and_the_same_command_goes_on(
    tmp_path: Path,
) -> None:
    """It went on with the other scans, and the weights' record told of these alone."""
    first, other = lits(tmp_path / "first", 2), lits(tmp_path / "other", 3)
    out = tmp_path / "w.safetensors"
    kill_after_a_step(arguments(first, out), tmp_path / "w.checkpoint")

    mixed = subprocess.run(arguments(other, out), capture_output=True, text=True, check=False)
    again = subprocess.run(arguments(first, out), capture_output=True, text=True, check=False)

    told = " ".join(mixed.stderr.split())
    assert mixed.returncode == 2, told
    assert "w.checkpoint" in told
    assert "--data" in told
    assert again.returncode == 0, again.stderr
    assert not (tmp_path / "w.checkpoint").exists()
