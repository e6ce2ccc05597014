"""A peer that fails as the test says, and the desk that delivers to it.

After each test: every instance is delivered, or pending with a next attempt, or stands with a
reason; what was cancelled is not sent. `Desk.check` holds all rows against that.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from node.deliver.turns import Terms
from tests.delivery_desk import Desk, MakeDesk, dimse
from tests.fault_peer import FaultPeer, fault_peer


@pytest.fixture
def peer() -> Iterator[FaultPeer]:
    """Give a peer that is not up yet."""
    with fault_peer(up=False) as made:
        yield made


@pytest.fixture
def make_desk(tmp_path: Path, peer: FaultPeer) -> Iterator[MakeDesk]:
    """Make a desk that delivers to the peer; its rows are checked at the end."""
    with ExitStack() as stack:

        def make(terms: Terms | None = None, response_s: float = 10.0) -> Desk:
            target = dimse(peer.port, response_s)
            desk = Desk(tmp_path, {"pacs": target}, {"pacs": terms or Terms()})
            stack.callback(desk.close)
            stack.callback(desk.check)
            return desk

        yield make
