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
    """Yield what is wrong with the files of a study: gone, or other bytes than were received.

    A file that retention deleted is gone by right, where the ledger tells so last of all. The
    bytes are those that took their place last: first received, made, or let in by an operator.
    A series that was released from the quarantine has no bytes of its own.
    """
    placed = [one for one in entries if one.event in PLACED and "sha256" in one.detail]
    gone = [one for one in entries if one.event == "deleted"]
    last = {one.subject: one for one in sorted([*placed, *gone], key=lambda one: one.number)}
    for uid, told in last.items():
        stored = catalog.instance(uid)
        if stored is None:
            yield f"{uid}: no longer in the catalog"
        elif (stored.deleted_at is not None) != (told.event == "deleted"):
            yield f"{uid}: catalog and ledger disagree on whether it was deleted"
        elif stored.deleted_at is None:
            path = files.absolute(stored.path)
            if not path.is_file():
                yield f"{uid}: its file is gone"
            elif _sha256(path) != told.detail["sha256"]:
                yield f"{uid}: its file is not the one that was {told.event}"


def _sha256(path: Path) -> str:
    """Return the digest of the data set, as it was taken when it came; '' where there is none."""
    try:
        with path.open("rb") as file:
            return data_set_sha256(file)
    except StoreError:
        return ""
