"""Proof of custody: the chain, the history of a study, and whether its files are as received."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table
from rich.text import Text

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
        cells = (str(one.number), at, one.event, one.subject, detail, one.sha256[:12])
        table.add_row(*map(Text, cells))
    return table


def changed_files(catalog: Catalog, files: InstanceFiles, entries: list[Entry]) -> Iterator[str]:
    """Yield what is wrong with the files of a study: gone, or other bytes than were received.

    A file that retention deleted is gone by right, where the ledger tells so last of all. The
    bytes are those that took their place last: first received, made, or let in by an operator.
    A series that was released from the quarantine has no bytes of its own. What was kept apart
    from its namesakes was acknowledged as well, and is looked at like them.
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
            if wrong := _unlike(path, told.detail["sha256"], f"was {told.event}"):
                yield f"{uid}: its file {wrong}"
    for study in {one.study_instance_uid for one in entries}:
        yield from _changed_apart(catalog, files, study)


def _changed_apart(catalog: Catalog, files: InstanceFiles, study: str) -> Iterator[str]:
    for other in catalog.conflicts(study):
        path = files.absolute(other.path)
        if wrong := _unlike(path, other.sha256, "was kept apart"):
            yield f"{other.sop_instance_uid}: the file of its other bytes {wrong}"


def _unlike(path: Path, sha256: str, what: str) -> str:
    """Return what is wrong with a file whose data set had this digest when it came, or ''."""
    try:
        with path.open("rb") as file:
            same = data_set_sha256(file) == sha256
    except FileNotFoundError:
        return "is gone"
    except OSError as error:  # a bad disk is what this is there to find
        return f"cannot be read: {error.strerror}"
    except StoreError:
        same = False
    return "" if same else f"is not the one that {what}"
