"""Instances as files: durable under their final name, or not there; `paths` has the names."""

import os
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Final

import pydicom
from pydicom.dataset import Dataset

from node.errors import StoreError, UidTakenError
from node.identity import SOFTWARE_VERSION
from node.model.records import StoredInstance
from node.model.states import Origin
from node.store.digests import file_sha256
from node.store.durable import (
    Octets,
    PartFile,
    Writing,
    make_folder,
    sync_and_close,
    sync_folder,
)
from node.store.paths import DERIVED, INCOMING, INSTANCES, Identity, is_uid, of_our_own
from node.store.private import private_folder

_SYNCS: Final = 32  # at the same time; two for each instance that is being received


class InstanceFiles:
    """The files of one node under one folder, on one file system."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._syncing = ThreadPoolExecutor(_SYNCS, thread_name_prefix="sync")

    def absolute(self, path: Path) -> Path:
        """Return where a stored path is.

        Parameters
        ----------
        path : Path
            Relative to the storage root, as rows have it.

        Returns
        -------
        Path
        """
        return self.root / path

    def make_folder(self, path: Path) -> Path:
        """Make a folder, durably, and return where it is.

        Parameters
        ----------
        path : Path
            Relative to the storage root.

        Returns
        -------
        Path
            Absolute.
        """
        make_folder(self.root / path, self.root)
        return self.root / path

    def clear_incoming(self) -> int:
        """Remove what a killed receiver left half-written; return how many files."""
        left = list((self.root / INCOMING).glob("*.part"))
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)

    def part(self, *chunks: Octets) -> PartFile:
        """Begin a file that gets its name later, by `name` or `name_new`.

        Raises
        ------
        OSError
            If the file system refuses (full, read-only, gone); nothing is left behind.
        """
        incoming = self.root / INCOMING
        private_folder(incoming)
        part = PartFile(incoming / f"{uuid.uuid4().hex}.part")
        try:
            for chunk in chunks:
                part.write(chunk)
        except OSError:
            part.discard()
            raise
        return part

    def name(self, part: PartFile, path: Path) -> None:
        """Give a file its name, durably: all of it under that name, or no such file.

        Data are fsynced before the file gets its name, and the name is fsynced after, so that
        a file of that name may be replaced.

        Parameters
        ----------
        part : PartFile
            Written to its end; closed here.
        path : Path
            Relative to the storage root.

        Raises
        ------
        OSError
            If the file system refuses (full, read-only, gone); nothing is left behind.
        """
        final = self.root / path
        with part:
            make_folder(final.parent, self.root)
            os.fsync(part.descriptor)
            part.path.replace(final)
        sync_folder(final.parent)

    def name_new(self, part: PartFile, path: Path) -> Writing:
        """Begin to give a file a name that no row names yet.

        The file gets its name first; data and name are then fsynced at the same time, which
        takes half as long, and in other threads: there is something else to do meanwhile. Cut
        short by a loss of power, it leaves a torn file that nobody was told of and that the
        sender's next attempt replaces.

        Parameters
        ----------
        part : PartFile
            Written to its end; closed here.
        path : Path
            Relative to the storage root; no row names it.

        Returns
        -------
        Writing
            Durable once that says so.

        Raises
        ------
        OSError
            If the file system refuses (full, read-only, gone); nothing is left behind.
        """
        final = self.root / path
        with part:
            make_folder(final.parent, self.root)
            part.path.replace(final)
            kept = os.dup(part.descriptor)
        data = self._syncing.submit(sync_and_close, kept)
        return Writing(final, (data, self._syncing.submit(sync_folder, final.parent)))

    def write(self, path: Path, *chunks: Octets) -> None:
        """Put bytes under a relative path, durably; see `name`.

        Parameters
        ----------
        path : Path
            Relative to the storage root.
        chunks : bytes, bytearray or memoryview
            One behind the other.
        """
        self.name(self.part(*chunks), path)

    def write_new(self, path: Path, *chunks: Octets) -> Writing:
        """Begin to put bytes under a relative path that no row names yet; see `name_new`.

        Parameters
        ----------
        path : Path
            Relative to the storage root; no row names it.
        chunks : bytes, bytearray or memoryview
            One behind the other.

        Returns
        -------
        Writing
            Durable once that says so.
        """
        return self.name_new(self.part(*chunks), path)

    def move(self, path: Path, to: Path) -> None:
        """Give a durable file another name in the same folder, durably.

        Parameters
        ----------
        path : Path
            Relative to the storage root.
        to : Path
            Relative to the storage root, in the same folder.

        Raises
        ------
        OSError
            If the file system refuses, or the file has gone.
        """
        (self.root / path).rename(self.root / to)
        sync_folder((self.root / to).parent)

    def remove(self, path: Path) -> None:
        """Remove a file, and its folders where they are empty; once more does no harm.

        Parameters
        ----------
        path : Path
            Relative to the storage root.

        Raises
        ------
        OSError
            If the file system refuses.
        """
        final = self.root / path
        final.unlink(missing_ok=True)
        for folder in (final.parent, final.parent.parent):
            with suppress(OSError):  # not empty
                folder.rmdir()

    def studies(self) -> Iterator[str]:
        """Yield the Study Instance UIDs that there are files of."""
        folder = self.root / INSTANCES
        if folder.is_dir():
            yield from sorted(entry.name for entry in folder.iterdir() if is_uid(entry.name))

    def received_of_study(self, study_instance_uid: str) -> list[Path]:
        """Return the paths of what was received of a study, relative to the storage root.

        What was kept apart from its namesakes comes after them. What the node made is not among
        them, nor is a link.

        Parameters
        ----------
        study_instance_uid : str

        Returns
        -------
        list of Path
        """
        folder = self.root / INSTANCES / study_instance_uid
        found = [
            file.relative_to(self.root)
            for file in folder.glob("*/*.dcm")
            if not file.name.endswith(DERIVED) and file.is_file() and not file.is_symlink()
        ]
        return sorted(found, key=lambda file: (len(file.name.split(".")), str(file)))

    def _holds(self, path: Path, data: Octets) -> bool:
        """Tell whether a file is there already, whole and durable under its name."""
        final = self.root / path
        try:
            same = final.read_bytes() == data
        except FileNotFoundError:
            return False
        if not same:
            raise UidTakenError(path.name.removesuffix(DERIVED), "were made before")
        sync_folder(final.parent)
        return True

    def made_of_series(self, study_instance_uid: str, series_instance_uid: str) -> list[Path]:
        """Return the paths of what the node made of a series, relative to the storage root.

        Parameters
        ----------
        study_instance_uid : str
        series_instance_uid : str

        Returns
        -------
        list of Path
        """
        folder = INSTANCES / study_instance_uid / series_instance_uid
        return sorted(folder / file.name for file in (self.root / folder).glob(f"*{DERIVED}"))

    def write_derived(self, dataset: Dataset, now: float) -> StoredInstance:
        """Keep an object that the node made; the same object twice is one file.

        Its name is one that nothing received ever has: neither can take the other's place.

        Parameters
        ----------
        dataset : Dataset
            Whole, with its File Meta Information.
        now : float
            Seconds since the epoch.

        Returns
        -------
        StoredInstance
            The row that is still to be written.

        Raises
        ------
        UidTakenError
            If there is such a file with other bytes; it stays as it is.
        StoreError
            If the file system refuses.
        """
        identity = Identity(
            str(dataset.SOPInstanceUID),
            str(dataset.SeriesInstanceUID),
            str(dataset.StudyInstanceUID),
            str(dataset.SOPClassUID),
        )
        file = BytesIO()
        pydicom.dcmwrite(file, dataset, enforce_file_format=True)
        file.seek(0)
        head_sha256, sha256 = file_sha256(file)
        data = file.getbuffer()
        path = of_our_own(identity.path)
        try:
            if not self._holds(path, data):
                self.write(path, data)
        except OSError as error:
            raise StoreError(f"cannot keep {path}: {error.strerror}") from error
        return StoredInstance(
            sop_instance_uid=identity.sop_instance_uid,
            series_instance_uid=identity.series_instance_uid,
            study_instance_uid=identity.study_instance_uid,
            sop_class_uid=identity.sop_class_uid,
            transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID),
            path=path,
            size=len(data),
            sha256=sha256,
            calling_ae=f"radnet-node {SOFTWARE_VERSION}"[:16],
            association_id=None,
            origin=Origin.DERIVED,
            received_at=now,
            head_sha256=head_sha256,
        )
