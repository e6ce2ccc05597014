"""A whole node asks for commitment, is killed, and still hears the answer."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.commitment.messages import report_of
from node.deliver.build import build
from node.model.commitment import Failed
from tests.commitment_peer import AE_TITLE, CommitmentPeer, commitment_peer, report_anew
from tests.node_process import NodeProcess, running, wait_for
from tests.outbound import STUDY, series

COUNT = 3


@pytest.fixture
def peer() -> Iterator[CommitmentPeer]:
    """Run a peer that takes images and requests, and says no more."""
    with commitment_peer(CommitmentPeer()) as made:
        yield made


@pytest.fixture
def node(tmp_path: Path, peer: CommitmentPeer) -> Iterator[NodeProcess]:
    """Run a node that asks the peer to commit to all it takes, and stays a while to hear it."""
    text = f"""
[[destinations]]
name = "pacs"
kind = "dimse"
ae_title = "{AE_TITLE}"
host = "127.0.0.1"
port = {peer.port}
first_delay_s = 1.0
commitment = true
commitment_wait_s = 60.0

[[rules]]
name = "all"
when = "true"
deliver = ["pacs"]
"""
    with running(tmp_path, text) as process:
        yield process


def proof(node: NodeProcess) -> str:
    """Return what `radnode prove` says of the study."""
    command = [sys.executable, "-m", "node.cli", "prove", STUDY, "--config", str(node.config)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_node_killed_between_request_and_report_hears_it_all_the_same(
    tmp_path: Path, node: NodeProcess, peer: CommitmentPeer
) -> None:
    """Kill -9 of both processes; no N-ACTION is repeated; what failed is sent and asked anew."""
    (tmp_path / "series").mkdir()
    sent = series(tmp_path / "series", COUNT)
    outcomes = list(build(node.peer, "SCANNER").send(sent))
    assert {one.state for one in outcomes} == {"delivered"}
    wait_for(lambda: len(peer.requests) == 1, "the request")

    killed = {role: node.pid_of(role) for role in ("work", "receive")}
    for role in killed:
        node.kill(role)
    wait_for(
        lambda: all(node.pid_of(role) != pid for role, pid in killed.items()), "new processes"
    )
    wait_for(node.answers, "the receiver")

    request = peer.requests[0]
    *held, lost = request.wanted
    kind, report = report_of(request.transaction_uid, held, [Failed(lost, 0x0112)])
    assert report_anew(("127.0.0.1", node.port), "RADNODE", kind, report) == 0x0000

    wait_for(lambda: len(peer.requests) == 2, "the second request")
    again = peer.requests[1]
    assert again.wanted == [lost]
    assert again.transaction_uid != request.transaction_uid
    assert peer.stored.count(lost.sop_instance_uid) == 2
    assert len(peer.stored) == COUNT + 1

    kind, report = report_of(again.transaction_uid, again.wanted, [])
    assert report_anew(("127.0.0.1", node.port), "RADNODE", kind, report) == 0x0000
    assert {row.commitment for row in node.catalog.delivery_states.of_study(STUDY)} == {
        "committed"
    }
    told = proof(node)
    assert told.count(" committed ") == COUNT
    assert told.count("commitment failed") == 1
    assert len(peer.requests) == 2
