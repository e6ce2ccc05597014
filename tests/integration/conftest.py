"""Fixtures of more than one integration test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.receiver import Node, running_receiver


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Make a bench for one test."""
    made = Bench(tmp_path)
    yield made
    made.close()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Run a receiver on a free port; a module that needs another node has its own."""
    with running_receiver(tmp_path) as running:
        yield running
