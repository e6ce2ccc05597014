"""Promise 2 at every numbered point: kill -9, start again, and count at the destination."""

import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.cli import radnode
from tests.acceptance.crash.campaign import campaign, drawn, table
from tests.acceptance.crash.points import POINTS
from tests.acceptance.crash.promises import broken

SEED = 5


@pytest.mark.slow
def test_nothing_is_lost_wherever_the_node_is_killed(tmp_path: Path) -> None:
    """A point of every stage once; `make crash RUNS=n` is the long form, with all of them."""
    points = [point for point in POINTS if point.short]
    started = time.monotonic()
    with campaign(tmp_path) as attack:
        attack.carry_out(drawn(points, 1, SEED))
        attack.settle()
        found = broken(attack)
        print(table(attack, sum(one.startswith("lost") for one in found), started))
        config = str(attack.node.config)
        proven = CliRunner().invoke(
            radnode, ["prove", attack.studies[0].study_instance_uid, "--config", config]
        )

    assert found == []
    assert proven.exit_code == 0, proven.output
    assert set(attack.killed) == {point.number for point in points}
