"""Fixtures of more than one unit test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.store.catalog import Catalog
from tests.due_time import Moment
from tests.store_rows import catalog_on


@pytest.fixture
def catalog(tmp_path: Path, moment: Moment) -> Iterator[Catalog]:
    """Give an empty catalog in a SQLite file; a module with rows to begin with has its own."""
    with catalog_on(f"sqlite:///{tmp_path / 'catalog.sqlite'}", moment) as made:
        yield made
