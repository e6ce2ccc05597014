"""Fixtures of more than one integration test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Make a bench for one test."""
    made = Bench(tmp_path)
    yield made
    made.close()
