"""`radnode send` leaves out what it cannot read, says so, and sends the rest."""

import random
from pathlib import Path

import pytest

from node.cli.studies import readable_instances
from tests.outbound import ct_slice, written


def spoiled(good: bytes, seed: int) -> bytes:
    """Return the head of a file with some octets of its File Meta Information changed."""
    chosen = random.Random(seed)  # noqa: S311 - spoiling files, not keys
    octets = bytearray(good[:500])
    for _ in range(chosen.randrange(1, 6)):
        octets[chosen.randrange(132, len(octets))] = chosen.randrange(256)
    return bytes(octets)


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_a_spoiled_file_is_left_out_and_the_rest_is_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not one of 100 ends the command with a traceback, or hides the good one."""
    whole = written(ct_slice(0), tmp_path)
    good = whole.path.read_bytes()
    for seed in range(100):
        (tmp_path / f"spoiled-{seed}.dcm").write_bytes(spoiled(good, seed))

    found = readable_instances(tmp_path)

    assert whole.path in [one.path for one in found]
    assert "left out" in capsys.readouterr().err
