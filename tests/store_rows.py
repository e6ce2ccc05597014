"""Rows for the tests of the catalog, and a catalog to put them in."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

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


@contextmanager
def catalog_on(url: str, clock: Callable[[], float] | None = None) -> Iterator[Catalog]:
    """Give an empty catalog in a database that others use after it."""
    made = Catalog(url, clock)
    made.upgrade()
    yield made
    with made.engine.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(table.delete())
    made.close()
