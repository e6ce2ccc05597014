"""Some hundred associations, in short; `make soak` opens 10,000."""

import sys
from pathlib import Path

import pytest

from tests.acceptance.soak import campaign
from tests.node_process import MIB, running_receiver_process


@pytest.mark.slow
def test_associations_leave_nothing_behind(tmp_path: Path) -> None:
    """Threads, descriptors and memory are flat over 400 of them."""
    with running_receiver_process(tmp_path, receive=campaign.SETTINGS) as receiver:
        figures = campaign.run(receiver, 400)
        sys.stdout.write(f"{figures.told()}\n")
        campaign.judged(receiver, figures, 32 * MIB)
