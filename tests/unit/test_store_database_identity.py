"""A catalog that was deleted or replaced under a process is not written to any more."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from node.store.catalog import Catalog
from node.store.database_identity import CatalogChangedError
from node.store.tables import metadata
from tests.store_rows import STUDY, stored


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the catalog is."""
    return tmp_path / "catalog.sqlite"


@pytest.fixture
def catalog(path: Path) -> Iterator[Catalog]:
    """Give a catalog that this process has written to, and copy it before the last entries."""
    made = Catalog(f"sqlite:///{path}")
    made.upgrade()
    made.studies.record(stored(1), 100.0)
    with closing(sqlite3.connect(path)) as there, closing(sqlite3.connect(f"{path}.old")) as copy:
        there.backup(copy)
    made.studies.record(stored(2), 101.0)
    yield made
    made.close()


def deleted(path: Path) -> None:
    """Delete the file and what stands beside it."""
    for one in path.parent.glob("catalog.sqlite*"):
        one.unlink()


def made_anew(path: Path) -> None:
    """Let another process make an empty one in its place."""
    deleted(path)
    other = Catalog(f"sqlite:///{path}")
    other.upgrade()
    other.close()


def moved_in(path: Path) -> None:
    """Put an older copy in its place under the same name."""
    Path(f"{path}.old").replace(path)


def log_deleted(path: Path) -> None:
    """Delete the write-ahead log alone."""
    Path(f"{path}-wal").unlink()


def restored(path: Path) -> None:
    """Write an older copy into it by SQLite's own means."""
    with closing(sqlite3.connect(f"{path}.old")) as copy, closing(sqlite3.connect(path)) as there:
        copy.backup(there)


def restored_and_gone_on(path: Path) -> None:
    """Restore an older copy, and let another process write to it."""
    restored(path)
    other = Catalog(f"sqlite:///{path}")
    for number in (7, 8, 9):
        other.studies.record(stored(number), 200.0)
    other.close()


@pytest.mark.parametrize(
    "harm", [deleted, made_anew, moved_in, log_deleted, restored, restored_and_gone_on]
)
def test_a_changed_catalog_is_not_written_to(
    catalog: Catalog, path: Path, harm: Callable[[Path], None]
) -> None:
    """What is written there nobody would ever read, or it forgets what was acknowledged."""
    harm(path)

    for _ in range(2):
        with pytest.raises(CatalogChangedError, match="not the one that was written to"):
            catalog.studies.record(stored(3), 300.0)


def test_others_may_write_before_and_between(catalog: Catalog, path: Path) -> None:
    """Receiver, worker and commands share it; a process may end and another begin."""
    other = Catalog(f"sqlite:///{path}")
    for number in range(4, 8):
        assert other.studies.record(stored(number), 200.0) == "new"
        assert catalog.studies.record(stored(10 + number), 200.0) == "new"
    other.close()
    catalog.reserve_log()

    assert catalog.studies.record(stored(3), 300.0) == "new"
    assert catalog.ledger.proof().broken == ""


def test_a_transaction_that_failed_is_not_remembered(catalog: Catalog) -> None:
    """Its entry is not in the ledger, and need not be."""
    with catalog.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE association RENAME TO gone")
    before = catalog.ledger.end()

    with pytest.raises(Exception, match="association"):
        catalog.access.open("A", "B", "C", 1.0)

    assert catalog.ledger.end() == before
    assert catalog.studies.record(stored(3), 300.0) == "new"


def test_a_server_whose_tables_were_emptied_is_another(empty_catalog: Catalog) -> None:
    """On PostgreSQL there is no file to look at: the ledger tells."""
    empty_catalog.studies.record(stored(1), 100.0)
    with empty_catalog.engine.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(sa.delete(table))

    with pytest.raises(CatalogChangedError, match="lacks entry 1"):
        empty_catalog.studies.record(stored(2), 101.0)

    assert empty_catalog.ledger.history(STUDY) == []


def test_a_copy_of_the_whole_folder_is_a_catalog_of_its_own(
    catalog: Catalog, path: Path, tmp_path: Path
) -> None:
    """A new process asks what is there, and remembers nothing of another's."""
    catalog.close()
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    shutil.copy(path, folder / "catalog.sqlite")
    other = Catalog(f"sqlite:///{folder / 'catalog.sqlite'}")

    assert other.studies.record(stored(3), 300.0) == "new"
    other.close()
