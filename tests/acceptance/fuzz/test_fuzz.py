"""What the network can send us, in short; `make fuzz` goes on for longer."""

import sys
from pathlib import Path

import pytest

from tests.acceptance.fuzz import campaign
from tests.node_process import running_receiver_process

CASES = 400


@pytest.mark.slow
def test_the_receiver_survives_what_the_network_sends(tmp_path: Path) -> None:
    """It serves all along; memory, threads and files stay bounded; rows and files agree."""
    with running_receiver_process(tmp_path, receive=campaign.SETTINGS) as receiver:
        score, base = campaign.run(receiver, 1, lambda done: done < CASES)
        sys.stdout.write(f"{score.told(receiver, base)}\n")
        assert score.acknowledged
        assert score.ends["refused"]
        assert score.ends["aborted"]
