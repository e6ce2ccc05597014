"""Proof of custody: whether rows and files stand as the chained ledger tells."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info

from node.audit.expected import Expected, expected
from node.errors import InvalidInstanceError
from node.model.events import Entry, EventKind
from node.model.records import Conflict, StoredInstance
from node.model.states import CommitmentState, DeliveryState, Origin
from node.store.catalog import Catalog
from node.store.custody import StudyRows
from node.store.digests import file_sha256
from node.store.files import InstanceFiles
from node.store.ledger import Proof
from node.store.studies.findings import findings_sha256
from node.store.studies.series import series_key

LOOKS: Final = 5  # a node at work writes on between reading the ledger and reading the rows
NO_FINDINGS: Final = findings_sha256([])
_ROW_OF: Final = {
    "sha256": "sha256",
    "size": "size",
    "from": "calling_ae",
    "transfer_syntax": "transfer_syntax_uid",
    "sop_class": "sop_class_uid",
    "series": "series_instance_uid",
}
"""What an entry calls a column of an instance's row."""


def is_hash(text: str) -> bool:
    """Tell whether a text may be the hash of an entry.

    Parameters
    ----------
    text : str
        As a person gives it.

    Returns
    -------
    bool
        64 hexadecimal digits in lower case.
    """
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


def since_kept(proof: Proof, kept: str) -> list[str]:
    """Return what is wrong with a chain by a hash of it that was kept elsewhere.

    Parameters
    ----------
    proof : Proof
        Of the whole chain, asked for with `kept`.
    kept : str
        The last hash of an earlier proof, of 64 hexadecimal digits.

    Returns
    -------
    list of str
        Sentences for a person; none: the chain holds it.
    """
    if proof.since is not None:
        return []
    return [
        f"no entry of the chain has the hash {kept}: entries were cut off or written anew since "
        "it was kept, or it is of another node"
    ]


def changed_files(catalog: Catalog, files: InstanceFiles, entries: list[Entry]) -> Iterator[str]:
    """Yield what does not stand as the ledger tells of the studies of these entries.

    Every instance, everything kept apart from its namesakes, every delivery, the findings and
    what was made: rows and files are held against the last word of the ledger on each. A file
    that retention deleted is gone by right, where the ledger tells so last of all. Entries of an
    older version tell less, and less is compared.

    Parameters
    ----------
    catalog : Catalog
        The rows that are compared.
    files : InstanceFiles
        The files that are read to their ends and compared.
    entries : list of Entry
        Of the ledger; every study that one of them names is looked at.

    Yields
    ------
    str
        A sentence for each disagreement, with UIDs and without patients.
    """
    for study in dict.fromkeys(entry.study_instance_uid for entry in entries):
        yield from _disagreements(catalog, files, study)


def _disagreements(catalog: Catalog, files: InstanceFiles, study: str) -> list[str]:
    found: list[str] = []
    for _ in range(LOOKS):
        entries = catalog.ledger.entries_about(study)
        ledger = expected(entries)
        rows = catalog.custody.standing(
            study, {*ledger.instances, *(uid for uid, _ in ledger.apart)}
        )
        found = [
            *_instances(ledger, rows, files),
            *_apart(ledger, rows, files),
            *_deliveries(ledger, rows),
            *_results(ledger, rows),
        ]
        if not found or len(catalog.ledger.entries_about(study)) == len(entries):
            break
    return found


def _instances(ledger: Expected, rows: StudyRows, files: InstanceFiles) -> Iterator[str]:
    for uid, kept in ledger.instances.items():
        stored = rows.instances.get(uid)
        if stored is None:
            yield f"{uid}: no longer in the catalog"
            continue
        yield from _altered_row(uid, kept, stored)
        if (stored.deleted_at is not None) != (uid in ledger.deleted):
            yield f"{uid}: catalog and ledger disagree on whether it was deleted"
        elif stored.deleted_at is None:
            path = files.absolute(stored.path)
            wrong = _unlike(path, kept, f"was {kept['event']}")
            if not wrong and "head_sha256" not in kept:
                wrong = _other_syntax(path, stored)
            if wrong:
                yield f"{uid}: its file {wrong}"
    for uid in rows.instances.keys() - ledger.instances.keys():
        yield f"{uid}: in the catalog, and the ledger does not tell where from"


def _altered_row(uid: str, kept: Mapping[str, Any], stored: StoredInstance) -> Iterator[str]:
    for name, column in _ROW_OF.items():
        found = getattr(stored, column)
        if name in kept and found not in _keys(name, kept):
            yield f"{uid}: its row says {column} {found}, the ledger {kept[name]}"
    origin = Origin.DERIVED if kept["event"] == EventKind.DERIVED else Origin.RECEIVED
    if stored.origin != origin:
        yield f"{uid}: its row says origin {stored.origin}, the ledger {origin}"
    if kept["event"] != EventKind.RELEASED and stored.study_instance_uid != kept["study"]:
        yield (
            f"{uid}: its row says study_instance_uid {stored.study_instance_uid}, the ledger "
            f"{kept['study']}"
        )


def _keys(name: str, kept: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what a row may say: a series UID that another study has, too, has a key beside it."""
    if name == "series":
        return kept[name], series_key(kept["study"], kept[name])
    return (kept[name],)


def _apart(ledger: Expected, rows: StudyRows, files: InstanceFiles) -> Iterator[str]:
    for (uid, sha256), kept in ledger.apart.items():
        other = rows.apart.get((uid, sha256))
        if other is None:
            yield f"{uid}: its other bytes ({sha256[:12]}) are no longer in the catalog"
            continue
        for column in _altered_apart(kept, other):
            yield f"{uid}: the row of its other bytes says another {column} than the ledger"
        if wrong := _unlike(files.absolute(other.path), kept, "was kept apart"):
            yield f"{uid}: the file of its other bytes {wrong}"
    for uid, sha256 in rows.apart.keys() - ledger.known_apart:
        yield f"{uid}: other bytes ({sha256[:12]}) that the ledger does not tell of"


def _altered_apart(kept: Mapping[str, Any], other: Conflict) -> Iterator[str]:
    for name, column in (("size", "size"), ("from", "calling_ae")):
        if name in kept and getattr(other, column) != kept[name]:
            yield column
    if kept["event"] != EventKind.RELEASED and other.study_instance_uid != kept["study"]:
        yield "study_instance_uid"
    if "series" in kept and other.series_instance_uid not in _keys("series", kept):
        yield "series_instance_uid"


def _deliveries(ledger: Expected, rows: StudyRows) -> Iterator[str]:
    for key, state in ledger.deliveries.items():
        uid, destination = key
        row = rows.deliveries.get(key)
        if row is None:
            yield f"{uid}: {state} at {destination} by the ledger, and not in the catalog"
        elif row.state != state:
            yield f"{uid}: {row.state} at {destination} by the catalog, {state} by the ledger"
        elif (row.commitment is CommitmentState.COMMITTED) != (key in ledger.committed):
            yield f"{uid}: catalog and ledger disagree on whether {destination} committed to it"
    for key, row in rows.deliveries.items():
        if key not in ledger.deliveries and row.state is not DeliveryState.PENDING:
            yield f"{key[0]}: {row.state} at {key[1]} by the catalog, the ledger tells nothing"


def _results(ledger: Expected, rows: StudyRows) -> Iterator[str]:
    for (series, revision), kept in ledger.findings.items():
        if "findings_sha256" in kept:
            found = rows.findings.get((series, revision))
            if found is None and kept["findings_sha256"] != NO_FINDINGS:
                yield f"{series}: the findings of revision {revision} are not in the catalog"
            elif found is not None and found != kept["findings_sha256"]:
                yield f"{series}: the findings of revision {revision} are not those of the ledger"
    for series, revision in rows.findings.keys() - ledger.findings.keys():
        yield f"{series}: findings of revision {revision} that the ledger does not tell of"
    for key, uid in ledger.derived.items():
        if rows.derived.get(key) != uid:
            yield f"{uid}: the catalog does not name it as the {key[2]} of {key[0]}"


def _other_syntax(path: Path, stored: StoredInstance) -> str:
    """Return what is wrong with the File Meta Information of bytes whose entry has no digest."""
    try:
        meta = read_file_meta_info(path)
    except (OSError, InvalidDicomError, ValueError):
        return "cannot be read as DICOM"
    named = str(meta.get("TransferSyntaxUID"))
    if named == stored.transfer_syntax_uid:
        return ""
    return f"names the transfer syntax {named}, its row {stored.transfer_syntax_uid}"


def _unlike(path: Path, kept: Mapping[str, Any], what: str) -> str:
    """Return what is wrong with a file of which an entry holds the digests, or ''."""
    try:
        with path.open("rb") as file:
            head_sha256, sha256 = file_sha256(file)
    except FileNotFoundError:
        return "is gone"
    except OSError as error:  # a bad disk is what this is there to find
        return f"cannot be read: {error.strerror}"
    except InvalidInstanceError:
        return f"is not the one that {what}"
    if sha256 != kept["sha256"]:
        return f"is not the one that {what}"
    if head_sha256 != kept.get("head_sha256", head_sha256):
        return f"has another File Meta Information than the one that {what}"
    return ""
