"""Proof of custody: the chain, the history of a study, and whether its files are as received."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table

from node.errors import StoreError
from node.store.catalog import Catalog
from node.store.instances import InstanceFiles, data_set_sha256
from node.store.ledger import Entry

PLACED = ("received", "derived", "released")


def history_table(entries: list[Entry]) -> Table:
    """Return the history of a study, oldest first; times are UTC."""
    table = Table("number", "at (UTC)", "event", "instance or series", "detail", "hash")
    for one in entries:
        at = datetime.fromtimestamp(one.at, UTC).isoformat(" ", "milliseconds")[:23]
        detail = ", ".join(f"{name} {value}" for name, value in sorted(one.detail.items()))
        table.add_row(str(one.number), at, one.event, one.subject, detail, one.sha256[:12])
    return table


def changed_files(catalog: Catalog, files: InstanceFiles, entries: list[Entry]) -> Iterator[str]:
    """Yield what is wrong with the files of a study: gone, or other bytes than were received."""
    for one in entries:
        if one.event not in ("received", "derived"):
            continue
        stored = catalog.instance(one.subject)
        if stored is None:
            yield f"{one.subject}: no longer in the catalog"
            continue
        path = files.absolute(stored.path)
        if not path.is_file():
            yield f"{one.subject}: its file is gone"
        elif _sha256(path) != _ought(one.subject, entries):
            yield f"{one.subject}: its file is not the one that was {one.event}"


def _ought(subject: str, entries: list[Entry]) -> str:
    """Return the digest that an instance ought to have.

    It is the first one's, unless an operator let other bytes take their place; of an object of
    our own it is the last one's.
    """
    placed = [e for e in entries if e.subject == subject and e.event in PLACED]
    return str(placed[-1].detail["sha256"])


def _sha256(path: Path) -> str:
    """Return the digest of the data set, as it was taken when it came; '' where there is none."""
    try:
        with path.open("rb") as file:
            return data_set_sha256(file)
    except StoreError:
        return ""
