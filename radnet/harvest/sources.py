"""Where series to label come from: a folder of files, an Orthanc, a DICOMweb server.

The one file of radnet that speaks to a network: nothing here is asked for pixels. A source
first lists its series, then gives the headers of one at a time.
"""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit, urlunsplit

from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_VR
from pydicom.errors import InvalidDicomError
from pydicom.sequence import Sequence as Items
from pydicom.uid import MediaStorageDirectoryStorage

from radnet.errors import RadnetError, UnusableVolumeError, UsageError
from radnet.volume.elements import UNDECODABLE
from radnet.volume.headers import quiet_headers, read_file

PAGE: Final = 200  # series asked for at a time
TIMEOUT_S: Final = 60.0
WHOLE_HEADERS: Final = 16  # of one series; from the others only `GEOMETRY` is kept
GEOMETRY: Final = frozenset(
    {
        "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality", "InstanceNumber",
        "ImageType", "ImageOrientationPatient", "ImagePositionPatient", "FrameOfReferenceUID",
        "SeriesDescription", "Rows", "Columns", "PixelSpacing", "SliceThickness",
    }
)  # fmt: skip
BULKY: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})  # VRs, PS3.5 Section 6.2


@dataclass(frozen=True)
class Listed:
    """A series as its source lists it.

    Attributes
    ----------
    uid
        Series Instance UID; the folder of the files, relative to the source, where it is empty.
    instances
        How many the source holds; 0 where it does not say.
    handle
        What the source finds it by.
    collection
        What the source counts it to, '' where it has no such thing.
    """

    uid: str
    instances: int
    handle: tuple[str, ...]
    collection: str = ""


class ScanSource(Protocol):
    """What a scan needs of a place that holds series.

    Attributes
    ----------
    broken
        What could not be read so far, with the reason.
    """

    broken: list[str]

    def series(self) -> Iterator[Listed]:
        """List all series; raise `RadnetError` if the source does not answer."""

    def headers(self, listed: Listed) -> list[Dataset]:
        """Return the headers of one series; empty, and told in `broken`, if unreadable."""


def open_source(name: str) -> ScanSource:
    """Return the source called ``FOLDER``, ``orthanc+http://...`` or ``dicomweb+http://...``.

    Parameters
    ----------
    name : str
        As a person gives it.

    Returns
    -------
    ScanSource
        Nothing is asked of it yet.

    Raises
    ------
    UsageError
        If it is neither, or the address holds a password.
    """
    kind, _, rest = name.partition("+")
    if kind in ("orthanc", "dicomweb") and rest.startswith(("http://", "https://")):
        url, user, password = _address(rest)
        return Orthanc(url, user, password) if kind == "orthanc" else Dicomweb(url, user, password)
    if not Path(name).is_dir():
        raise UsageError(
            f"{name}: no such folder; expected a folder, idc, orthanc+http://host:port "
            "or dicomweb+https://host/dicom-web"
        )
    return Folder(Path(name))


def _address(url: str) -> tuple[str, str, str]:
    """Return `url` without the user in it, the user, and the password of the environment."""
    parts = urlsplit(url)
    if parts.password:
        raise UsageError(
            "the address holds a password, which other users of this computer can see; "
            "write user@host and put the password into the variable RADNET_PASSWORD"
        )
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    return (
        urlunsplit(bare).rstrip("/"),
        parts.username or "",
        os.environ.get("RADNET_PASSWORD", ""),
    )


class Folder:
    """DICOM files in a folder, however nested; symbolic links to folders are not followed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.broken: list[str] = []

    def series(self) -> Iterator[Listed]:
        """Read the Series Instance UID of every file, then list what belongs together."""
        groups: dict[str, list[str]] = defaultdict(list)
        for path in _files(self.root):
            relative = path.relative_to(self.root)
            try:
                uid = _series_uid(path)
            except (InvalidDicomError, EOFError, OSError, *UNDECODABLE) as error:
                self.broken.append(f"{relative} ({type(error).__name__})")
                continue
            if uid is not None:
                groups[uid or str(relative.parent)].append(str(relative))
        for uid, members in groups.items():
            yield Listed(uid, len(members), tuple(members), _collection(members[0]))

    def headers(self, listed: Listed) -> list[Dataset]:
        """Read what stands before the pixels in every file of a series.

        Parameters
        ----------
        listed : Listed
            A series of this folder.

        Returns
        -------
        list of Dataset
            Of the files that can be read, without pixels.
        """
        headers: list[Dataset] = []
        for member in listed.handle:
            try:
                header = read_file(self.root / member, pixels=False)
            except UnusableVolumeError as error:
                self.broken.append(f"{member} ({type(error.__cause__).__name__})")
                continue
            headers.append(slim(header, whole=len(headers) < WHOLE_HEADERS))
        return headers


def _files(root: Path) -> Iterator[Path]:
    for folder, below, names in os.walk(root):
        below.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file():
                yield path


def _series_uid(path: Path) -> str | None:
    """Return the Series Instance UID of a file, '' where empty; None for a DICOMDIR."""
    with quiet_headers():
        peek = dcmread(path, specific_tags=["SeriesInstanceUID"], stop_before_pixels=True)
        if peek.file_meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
            return None
        if "SeriesInstanceUID" not in peek:
            raise InvalidDicomError("no Series Instance UID")
        return str(peek.get("SeriesInstanceUID") or "").strip()


def _collection(relative: str) -> str:
    """Return the folder right below the root, or below ``dicom/`` in it, that holds a file."""
    folders = Path(relative).parts[:-1]
    if len(folders) > 1 and folders[0] == "dicom":
        return folders[1]
    return folders[0] if folders else ""


def slim(header: Dataset, *, whole: bool) -> Dataset:
    """Delete from `header` what takes room and tells no label, and return it.

    Parameters
    ----------
    header
        Changed in place.
    whole
        Whether all but bulky values stay, or only what says where the slice lies.
    """
    for element in list(header):
        if element.VR in BULKY or not (whole or element.keyword in GEOMETRY):
            del header[element.tag]
    return header


class Orthanc:
    """The series of an Orthanc, by its REST API."""

    def __init__(self, url: str, user: str = "", password: str = "") -> None:
        from pyorthanc import Orthanc as Client

        self.broken: list[str] = []
        self._url = url
        self._client = Client(url, user or None, password or None, timeout=TIMEOUT_S)

    def series(self) -> Iterator[Listed]:
        """List all series, a page at a time."""
        seen = 0
        while page := self._page(seen):
            seen += len(page)
            for one in page:
                tags = one.get("MainDicomTags", {})
                uid = str(tags.get("SeriesInstanceUID") or one["ID"])
                yield Listed(uid, len(one.get("Instances", ())), (str(one["ID"]),))

    def _page(self, since: int) -> list[dict[str, Any]]:
        import httpx

        params = {"expand": "", "since": str(since), "limit": str(PAGE)}
        try:
            return list(self._client.get_series(params=params))
        except (httpx.HTTPError, ValueError) as error:
            raise RadnetError(f"{self._url}: cannot list its series ({_told(error)})") from error

    def headers(self, listed: Listed) -> list[Dataset]:
        """Ask for the tags of all instances of a series at once."""
        import httpx

        try:
            told = self._client.get_series_id_instances_tags(
                listed.handle[0], params={"short": "", "ignore-length": "0008-0008"}
            )
        except httpx.HTTPStatusError as error:
            self.broken.append(f"{listed.uid} ({_told(error)})")
            return []
        except httpx.HTTPError as error:
            raise RadnetError(_gone(self._url, error)) from error
        headers: list[Dataset] = []
        with quiet_headers():
            for tags in dict(told).values():
                headers.append(slim(dataset_of(tags), whole=len(headers) < WHOLE_HEADERS))
        return headers


def dataset_of(tags: Mapping[str, Any]) -> Dataset:
    """Return the Dataset of what Orthanc calls short tags: ``{"0008,0060": "MR", ...}``.

    Private attributes and values that do not fit their VR are left out.
    """
    dataset = Dataset()
    for name, value in tags.items():
        try:
            tag = int(name.replace(",", ""), 16)
            vr = dictionary_VR(tag).split(" or ")[0]
            if value is not None and vr not in BULKY:
                dataset.add_new(tag, vr, _value(vr, value))
        except UNDECODABLE:
            continue
    return dataset


def _value(vr: str, value: Any) -> Any:
    if vr == "SQ":
        return Items([dataset_of(item) for item in value])
    if vr in ("US", "SS", "UL", "SL", "UV", "SV"):
        return [int(part) for part in value.split("\\")] if value else None
    if vr in ("FL", "FD"):
        return [float(part) for part in value.split("\\")] if value else None
    return value


class Dicomweb:
    """The series of a DICOMweb server: QIDO-RS to list them, WADO-RS metadata to read them.

    References
    ----------
    DICOM PS3.18 Sections 10.4 and 10.6
    """

    def __init__(self, url: str, user: str = "", password: str = "") -> None:
        try:
            from dicomweb_client.session_utils import (
                create_session,
                create_session_from_user_pass,
            )
            from dicomweb_client.web import DICOMwebClient
        except ImportError as error:
            raise UsageError(
                "dicomweb-client is not installed: pip install radnet-node[harvest]"
            ) from error
        session = create_session_from_user_pass(user, password) if user else create_session()
        self.broken: list[str] = []
        self._url = url
        self._client = DICOMwebClient(url, session=session, timeout=TIMEOUT_S)

    def series(self) -> Iterator[Listed]:
        """List all series, a page at a time; the end is a page with nothing new."""
        seen: set[str] = set()
        asked = 0
        while page := self._page(asked):
            asked += len(page)
            new = [one for one in page if _first(one, "0020000E") not in seen]
            if not new:
                return
            for one in new:
                uid = _first(one, "0020000E")
                seen.add(uid)
                count = _first(one, "00201209")
                yield Listed(
                    uid, int(count) if count.isdigit() else 0, (_first(one, "0020000D"), uid)
                )

    def _page(self, offset: int) -> list[dict[str, dict[str, Any]]]:
        import requests

        try:
            return self._client.search_for_series(
                limit=PAGE, offset=offset, fields=["StudyInstanceUID", "00201209"]
            )
        except (requests.RequestException, ValueError) as error:
            raise RadnetError(f"{self._url}: cannot list its series ({_told(error)})") from error

    def headers(self, listed: Listed) -> list[Dataset]:
        """Ask for the metadata of a series; bulk data stays where it is."""
        import requests

        try:
            study, series = listed.handle
            told = self._client.retrieve_series_metadata(study, series)
        except requests.HTTPError as error:
            self.broken.append(f"{listed.uid} ({_told(error)})")
            return []
        except (requests.RequestException, ValueError) as error:
            raise RadnetError(_gone(self._url, error)) from error
        headers: list[Dataset] = []
        with quiet_headers():
            for instance in told:
                headers.append(slim(_from_json(instance), whole=len(headers) < WHOLE_HEADERS))
        return headers


def _from_json(instance: Mapping[str, Any]) -> Dataset:
    """Return a Dataset of DICOM JSON, element by element: one bad value costs that element."""
    dataset = Dataset()
    for tag, element in instance.items():
        if element.get("vr") in BULKY or "BulkDataURI" in element:
            continue
        try:
            dataset.update(Dataset.from_json({tag: element}, lambda *_: b""))
        except UNDECODABLE:
            continue
    return dataset


def _first(found: Mapping[str, Any], tag: str) -> str:
    values = found.get(tag, {}).get("Value") or [""]
    return str(values[0])


def _told(error: Exception) -> str:
    response = getattr(error, "response", None)
    status = f"HTTP {response.status_code}" if response is not None else ""
    return status or type(error).__name__


def _gone(url: str, error: Exception) -> str:
    return f"{url}: stopped answering ({_told(error)}); the same command goes on where it stopped"
