"""The database under the catalog: its migrations, its log, and several writers at once."""

import sqlite3
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from node.errors import StoreError
from node.store.catalog import Catalog
from node.store.tables import metadata
from node.store.upgrading import migrations
from node.store.versions import known_versions
from tests.store_rows import STUDY, stored


def test_migrations_make_what_the_code_expects(catalog: Catalog) -> None:
    """A column that is only in `tables.py` would fail in a hospital, not here."""
    with catalog.engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), metadata)
    assert found == []


def test_the_files_of_the_migrations_are_named_after_their_versions() -> None:
    """Whether there is anything to do is told by their names alone."""
    steps = ScriptDirectory.from_config(migrations())

    assert tuple(step.revision for step in steps.walk_revisions())[::-1] == known_versions()
    assert steps.get_heads() == [known_versions()[-1]]


def test_upgrade_and_reserve_twice_is_once(catalog: Catalog) -> None:
    """Every process upgrades at its start."""
    catalog.studies.record(stored(1), 100.0)

    for _ in range(2):
        catalog.upgrade()
        catalog.reserve_log()

    assert catalog.instances.get(stored(1).sop_instance_uid) == stored(1)
    with catalog.engine.connect() as connection:
        assert "reserve" not in sa.inspect(connection).get_table_names()


def test_a_new_file_that_another_process_has_begun_is_waited_for(tmp_path: Path) -> None:
    """SQLite itself gives up at once where the journal is to be changed."""
    path = tmp_path / "new.sqlite"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    made = Catalog(f"sqlite:///{path}")
    failed: list[StoreError] = []

    def upgrade() -> None:
        try:
            made.upgrade()
        except StoreError as error:
            failed.append(error)

    thread = threading.Thread(target=upgrade)
    thread.start()
    thread.join(0.2)
    other.rollback()
    other.close()
    thread.join(60)

    assert not failed
    assert made.instances.of_series("1.2.3") == []
    made.close()


def test_writers_of_several_threads_wait_for_each_other(catalog: Catalog, tmp_path: Path) -> None:
    """Receiver and workers share the file: nobody sees "database is locked"."""
    other = Catalog(f"sqlite:///{tmp_path / 'catalog.sqlite'}")
    failed: list[StoreError] = []

    def write(who: Catalog, first: int) -> None:
        try:
            for number in range(first, first + 20):
                who.studies.record(stored(number), 100.0)
                who.studies.unsettled()
        except StoreError as error:
            failed.append(error)

    threads = [
        threading.Thread(target=write, args=(who, 100 * index))
        for index, who in enumerate((catalog, other, catalog, other))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    other.close()
    assert failed == []
    assert catalog.studies.series_of(STUDY)[0].instance_count == 80


def test_a_database_that_is_gone_is_a_store_error(tmp_path: Path) -> None:
    """The receiver knows one exception of ours."""
    catalog = Catalog(f"sqlite:///{tmp_path / 'none' / 'catalog.sqlite'}")

    with pytest.raises(StoreError, match="not changed"):
        catalog.studies.record(stored(1), 100.0)
    with pytest.raises(StoreError, match="not read"):
        catalog.studies.unsettled()
    catalog.close()
