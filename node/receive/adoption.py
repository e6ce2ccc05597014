"""Files without rows, taken in: the catalog was lost, or an older back-up took its place.

Each was acknowledged, or its sender never heard of it: either way it is an image, and it goes
where the rules say. A file is taken in as the receiver would take it: its UIDs are those of its
place, its File Meta Information says what the data set is, and nothing of it is missing. What the
node made itself is made anew, and what is in the quarantine stays there.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID

from node.errors import InvalidInstanceError
from node.model.records import StoredInstance
from node.model.states import Origin
from node.receive.header import identify
from node.store.catalog import Catalog
from node.store.database_identity import End
from node.store.digests import data_set_start, file_sha256
from node.store.files import InstanceFiles
from node.store.paths import Identity
from node.store.private import private_folder

log = structlog.get_logger()

ADOPTED: Final = "ADOPTED"
"""Who sent it, as far as is still known."""

NOTE: Final = Path("run") / "ledger"
"""The last entry of the ledger that a receiver knew of, beside the files that belong to it."""


_OURS: Final = re.compile(r"instances|[0-9.]+(\.[0-9a-f]{16})?(\.dcm)?")


@dataclass
class Adopted:
    """What became of the files that no row named.

    Attributes
    ----------
    outcomes : Counter of str
        "new", "conflict" (other bytes under a known UID, kept apart), "repeated" (a second copy
        of what there is a row of; it stays where it is).
    refused : dict of Path to str
        Files that are not taken in, relative to the storage root, and why.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    refused: dict[Path, str] = field(default_factory=dict)


class Adoption:
    """Takes files in that no row names; once more finds nothing left to do.

    Parameters
    ----------
    catalog, files
        Where rows and bytes are.
    clock : callable
        Seconds since the epoch.
    """

    def __init__(self, catalog: Catalog, files: InstanceFiles, clock: Callable[[], float]) -> None:
        self._catalog = catalog
        self._files = files
        self._clock = clock

    def adopt(self) -> Adopted:
        """Take in every file that no row names.

        Raises
        ------
        StoreError
            If the catalog cannot be read or changed.
        """
        done = Adopted()
        for study in self._files.studies():
            named = self._catalog.instances.named_paths(study)
            for path in self._files.received_of_study(study):
                if path.as_posix() not in named:
                    self._take(path, done)
        log.info("files without rows", **done.outcomes, refused=len(done.refused))
        return done

    def _take(self, path: Path, done: Adopted) -> None:
        try:
            stored = self._read(path)
        except FileNotFoundError:  # removed meanwhile
            return
        except (InvalidInstanceError, OSError) as error:
            reason = str(error.strerror) if isinstance(error, OSError) else str(error)
            done.refused[path] = reason
            log.error("file not adopted", path=shown(path), because=reason)  # noqa: TRY400
            return
        outcome = self._catalog.studies.record(stored, self._clock())
        done.outcomes[outcome] += 1

    def _read(self, path: Path) -> StoredInstance:
        """Return the row of a file.

        Raises
        ------
        OSError
            If it cannot be read.
        InvalidInstanceError
            If it is no whole DICOM file, or not the one that belongs there.
        """
        absolute = self._files.absolute(path)
        syntax = _transfer_syntax(absolute)
        with absolute.open("rb") as file:
            start = data_set_start(file)
            file.seek(start)
            found = identify(file, syntax)
            size = file.seek(0, 2) - start
            file.seek(0)
            head_sha256, sha256 = file_sha256(file)
        if (found.transfer_syntax, found.start) != (syntax, 0):
            raise InvalidInstanceError(
                f"its File Meta Information says {syntax}, it is otherwise encoded"
            )
        if found.missing:
            raise InvalidInstanceError(f"it is cut short: {found.missing} octets are missing")
        identity = found.identity
        _refuse_elsewhere(path, identity)
        return StoredInstance(
            sop_instance_uid=identity.sop_instance_uid,
            series_instance_uid=identity.series_instance_uid,
            study_instance_uid=identity.study_instance_uid,
            sop_class_uid=identity.sop_class_uid,
            transfer_syntax_uid=str(syntax),
            path=path,
            size=size,
            sha256=sha256,
            calling_ae=ADOPTED,
            association_id=None,
            origin=Origin.RECEIVED,
            received_at=self._clock(),
            head_sha256=head_sha256,
        )


def shown(path: Path) -> str:
    """Return a path as it may be logged: a name that is no UID was given by others.

    Parameters
    ----------
    path : Path
        Below the data folder.

    Returns
    -------
    str
    """
    names = [part if _OURS.fullmatch(part) else "(a name that is no UID)" for part in path.parts]
    return "/".join(names)


def _transfer_syntax(path: Path) -> UID:
    try:
        syntax = read_file_meta_info(path).get("TransferSyntaxUID")
    except (InvalidDicomError, ValueError, EOFError, KeyError, AttributeError) as error:
        raise InvalidInstanceError("its File Meta Information cannot be read") from error
    if not isinstance(syntax, UID) or not syntax:
        raise InvalidInstanceError("its File Meta Information names no transfer syntax")
    return syntax


def _refuse_elsewhere(path: Path, identity: Identity) -> None:
    """Refuse a file whose UIDs are not those of its place: it is not what was put there."""
    folder_fits = path.parent == identity.path.parent
    uid = identity.sop_instance_uid
    name_fits = path.name == f"{uid}.dcm" or (
        path.name.startswith(f"{uid}.") and len(path.name) == len(f"{uid}.dcm") + 17
    )
    if not (folder_fits and name_fits):
        raise InvalidInstanceError("its UIDs are not those of its place")


def note_ledger(files: InstanceFiles, end: End | None) -> None:
    """Note beside the files which ledger is theirs, so that another catalog is noticed.

    Not durably: an older note is as good.

    Parameters
    ----------
    end : End or None
        The last entry that a receiver knows of; None where there is none.
    """
    path = files.absolute(NOTE)
    fresh = path.with_name(f"{path.name}.new")
    text = "" if end is None else f"{end.number} {end.sha256}\n"
    try:
        private_folder(path.parent)
        fresh.write_text(text, encoding="ascii")
        fresh.replace(path)
    except OSError as error:  # the disk is full; the older note stands
        log.error("ledger not noted", because=error.strerror)  # noqa: TRY400


def is_another(catalog: Catalog, files: InstanceFiles) -> bool:
    """Tell whether the catalog is not the one that these files were recorded in."""
    try:
        number, sha256 = files.absolute(NOTE).read_text(encoding="ascii").split()
        return not catalog.ledger.holds(End(int(number), sha256))
    except (OSError, ValueError):  # never marked: an empty catalog beside files is not theirs
        return catalog.ledger.end() is None and next(files.studies(), None) is not None
