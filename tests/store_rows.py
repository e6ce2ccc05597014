"""Rows for the tests of the catalog, and a catalog to put them in."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

import sqlalchemy as sa

from node.model.records import StoredInstance
from node.model.states import Origin
from node.store.catalog import Catalog
from node.store.tables import metadata

STUDY = "1.2.3"
SERIES = "1.2.3.4"


def stored(
    number: int,
    *,
    sha256: str = "0" * 64,
    association_id: int | None = None,
    at: float = 100.0,
    series: str = SERIES,
    origin: Origin = Origin.RECEIVED,
) -> StoredInstance:
    """Return the record of a made-up instance."""
    uid = f"{series}.{number}"
    return StoredInstance(
        sop_instance_uid=uid,
        series_instance_uid=series,
        study_instance_uid=STUDY,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path=Path("instances") / STUDY / series / f"{uid}.dcm",
        size=1000 + number,
        sha256=sha256,
        calling_ae="SCANNER",
        association_id=association_id,
        origin=origin,
        received_at=at,
    )


def uid(number: int) -> str:
    """Return the SOP Instance UID of a made-up instance."""
    return stored(number).sop_instance_uid


@cache
def _empty_tables() -> bytes:
    """Return a SQLite file with tables and no rows; the steps from version to version are slow."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalog.sqlite"
        with closing(Catalog(f"sqlite:///{path}")) as made:
            made.upgrade()
        return path.read_bytes()


def open_catalog(url: str, clock: Callable[[], float] | None = None) -> Catalog:
    """Open a catalog; where there is none yet, begin with empty tables."""
    path = Path(sa.make_url(url).database or "")
    is_new = url.startswith("sqlite") and not path.exists()
    made = Catalog(url, clock)
    if is_new:
        path.write_bytes(_empty_tables())
    made.upgrade()
    return made


@contextmanager
def catalog_on(url: str, clock: Callable[[], float] | None = None) -> Iterator[Catalog]:
    """Give an empty catalog; a server's tables are emptied for who uses them after it."""
    made = open_catalog(url, clock)
    yield made
    if made.engine.dialect.name != "sqlite":  # a file is of one test
        with made.engine.begin() as connection:
            for table in metadata.sorted_tables:
                connection.execute(table.delete())
    made.close()
