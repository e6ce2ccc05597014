"""An operator's orders to a running node, given by command, obeyed by another process."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.cli import radnode
from node.deliver.build import build
from tests.fault_peer import FaultPeer, fault_peer
from tests.node_process import NodeProcess, running, wait_for
from tests.outbound import STUDY, series

TOML = """
[[destinations]]
name = "pacs"
kind = "dimse"
ae_title = "PACS"
host = "127.0.0.1"
port = {port}

[[rules]]
name = "all"
when = "true"
deliver = ["pacs"]
"""


@pytest.fixture
def peer() -> Iterator[FaultPeer]:
    """Run a peer that stores everything."""
    with fault_peer() as made:
        yield made


def _order(node: NodeProcess, *arguments: str) -> str:
    config = ["--config", str(node.config)]
    done = CliRunner().invoke(radnode, ["deliveries", *arguments, *config])
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def _states(node: NodeProcess) -> list[str]:
    return [one.state for one in node.catalog.delivery_states.of_study(STUDY)]


@pytest.mark.slow
def test_a_running_node_obeys_pause_cancel_resume_and_replay(
    tmp_path: Path, peer: FaultPeer
) -> None:
    """Nothing paused or cancelled reaches the peer; the rest does, once."""
    made = series(tmp_path / "in", 4)
    uids = sorted(item.sop_instance_uid for item in made)
    with running(tmp_path, TOML.format(port=peer.port)) as node:
        assert "pacs paused" in _order(node, "pause", "pacs")
        for outcome in build(node.peer, "SCANNER").send(made):
            assert outcome.state == "delivered"
        wait_for(lambda: _states(node) == ["pending"] * 4, "the deliveries")
        assert "paused by the operator" in _order(node, "list")
        assert "1 instance(s) cancelled" in _order(node, "cancel", uids[2])
        assert peer.asked == []

        _order(node, "resume", "pacs")
        wait_for(lambda: _states(node).count("delivered") == 3, "three instances")

        assert uids[2] not in peer.asked
        assert "1 instance(s) replayed" in _order(node, "replay", uids[2])
        wait_for(lambda: _states(node) == ["delivered"] * 4, "the fourth")
        assert sorted(peer.asked) == uids
