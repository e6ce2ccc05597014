"""Fixtures of more than one integration test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from node.pipeline import engine
from tests.bench import Bench
from tests.receiver import Node, running_receiver


@pytest.fixture(autouse=True)
def quick_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the engine of this process end, and try again, ten times as fast as the node's does."""
    monkeypatch.setattr(engine, "CLOSED_WITHIN_S", 0.05)
    monkeypatch.setattr(engine, "STORE_FIRST_WAIT_S", 0.1)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Make a bench for one test."""
    made = Bench(tmp_path)
    yield made
    made.close()


@pytest.fixture
def make_bench() -> Iterator[Callable[..., Bench]]:
    """Make benches one after the other: the engine is one for a process, so each ends the last.

    The folder of one is made by its second argument, where there is one; with `capture`, its
    destination asks for pictures.
    """
    with ExitStack() as ends:

        def make(
            folder: Path, made_by: Callable[[Path], None] = Path.mkdir, *, capture: bool = False
        ) -> Bench:
            ends.close()
            made_by(folder)
            made = Bench(folder, capture=capture)
            ends.callback(made.close)
            return made

        yield make


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Run a receiver on a free port; a module that needs another node has its own."""
    with running_receiver(tmp_path) as running:
        yield running
