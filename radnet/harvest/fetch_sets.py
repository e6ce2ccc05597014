"""Public sets: livers of LiTS, series of TCIA and of the NCI Imaging Data Commons.

Every series that is whole on disk has a row in ``SOURCES.csv``: where it is from, its DOI, its
licence. A series with a row is not asked for again.
"""

import csv
import hashlib
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Final

import duckdb

from radnet.errors import DataError, FetchError, UsageError
from radnet.harvest.durable import publish
from radnet.harvest.fetch import Fetcher, WantedFile, md5
from radnet.harvest.label_scan import first_line
from radnet.harvest.public_sets import (
    BUCKET,
    MSD_BYTES,
    MSD_DOI,
    MSD_LICENCE,
    MSD_LIVER,
    MSD_MD5,
    NBIA,
)

TABLE: Final = "SOURCES.csv"
HASHES: Final = "md5hashes.csv"  # in the ZIP files of NBIA
SPARE: Final = 1 << 30  # bytes that stay free on the disk

Done = Callable[[int, int], None]  # series, of how many


@dataclass(frozen=True)
class SetOrigin:
    """One row of the table: a series, and whose it is."""

    series_instance_uid: str
    collection: str
    modality: str
    instances: int
    bytes: int
    licence: str
    doi: str
    url: str


@dataclass(frozen=True)
class SeriesChoice:
    """Which series are wanted; an empty field takes all.

    Attributes
    ----------
    licences
        Patterns such as ``CC BY ?.0``.
    uids
        Series Instance UIDs.
    limit
        Series, at most, chosen by the digest of their UIDs; 0: all.
    """

    collections: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    uids: tuple[str, ...] = ()
    limit: int = 0


class OriginTable:
    """The table of what is whole in a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / TABLE
        if self._path.is_file():
            content = self._path.read_bytes()
            if not content.endswith(b"\n"):  # the line that a crash cut off
                os.truncate(self._path, content.rfind(b"\n") + 1)
        names = [field.name for field in fields(SetOrigin)]
        if not self._path.is_file() or not self._path.stat().st_size:
            self._write(names)
        with self._path.open(newline="", encoding="utf-8") as file:
            self.done = {row["series_instance_uid"] for row in csv.DictReader(file)}

    def add(self, origin: SetOrigin) -> None:
        """Add one series, durably."""
        self._write(list(asdict(origin).values()))
        self.done.add(origin.series_instance_uid)

    def _write(self, values: Sequence[object]) -> None:
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow(values)
            file.flush()
            os.fsync(file.fileno())


def fits(licence: str, patterns: Sequence[str]) -> bool:
    """Tell whether a licence is one of those asked for; nothing is asked without patterns.

    Parameters
    ----------
    licence : str
        As the archive calls it, such as ``CC BY 3.0``.
    patterns : sequence of str
        Such as ``CC BY ?.0``.

    Returns
    -------
    bool
    """
    return not patterns or any(fnmatch(licence, pattern) for pattern in patterns)


def require_room(folder: Path, needed: int) -> None:
    """Raise `UsageError` if the disk of `folder` has no room for so many bytes."""
    free = shutil.disk_usage(folder).free
    if needed + SPARE > free:
        raise UsageError(
            f"{folder}: {needed / 1e9:.1f} GB to fetch, {free / 1e9:.1f} GB free; expected at "
            "least 1 GB more than that"
        )


def chosen(origins: Sequence[SetOrigin], limit: int) -> list[SetOrigin]:
    """Return at most `limit` of them, the same ones each time."""
    order = sorted(
        origins, key=lambda one: hashlib.sha256(one.series_instance_uid.encode()).digest()
    )
    return order[:limit] if limit else order


def idc_series(index: Path, wanted: SeriesChoice, endpoint: str = BUCKET) -> list[SetOrigin]:
    """Return the series of the IDC's index that are wanted.

    Parameters
    ----------
    index : Path
        Parquet of the IDC's index.
    wanted : SeriesChoice
        Collections, modalities, licences, how many.
    endpoint : str
        Of the public bucket.

    Returns
    -------
    list of SetOrigin

    Raises
    ------
    DataError
        If the index cannot be read.
    """
    query = """
        SELECT SeriesInstanceUID, collection_id, Modality, instanceCount,
            round(series_size_MB * 1e6)::BIGINT, coalesce(license_short_name, ''),
            coalesce(source_DOI, ''), aws_bucket, crdc_series_uuid
        FROM read_parquet($index)
        WHERE (len($collections) = 0 OR list_contains($collections, collection_id))
            AND (len($modalities) = 0 OR list_contains($modalities, Modality))
            AND (len($parts) = 0 OR list_contains($parts, BodyPartExamined))
            AND (len($uids) = 0 OR list_contains($uids, SeriesInstanceUID))
    """
    values = {
        "index": str(index),
        "collections": list(wanted.collections),
        "modalities": list(wanted.modalities),
        "parts": list(wanted.body_parts),
        "uids": list(wanted.uids),
    }
    try:
        with duckdb.connect() as db:
            rows = db.execute(query, values).fetchall()
    except duckdb.Error as error:
        raise DataError(f"{index}: no index of IDC ({first_line(error)})") from error
    found = []
    for uid, collection, modality, count, size, licence, doi, bucket, uuid in rows:
        url = f"{endpoint.format(bucket=bucket)}/{uuid}/"
        found.append(SetOrigin(uid, collection, modality, count, size, licence, doi, url))
    found = [one for one in found if fits(one.licence, wanted.licences)]
    return chosen(found, wanted.limit)


def fetch_idc(series: Sequence[SetOrigin], out: Path, fetcher: Fetcher, done: Done) -> None:
    """Get series of IDC from their public bucket into ``OUT/COLLECTION/SERIES/``.

    Parameters
    ----------
    series : sequence of SetOrigin
        As `idc_series` returns them.
    out : Path
        The folder; series that are whole in it are not got again.
    fetcher : Fetcher
        What asks the network.
    done : callable
        Told of each series.

    Raises
    ------
    FetchError
        If the bucket cannot be reached, or holds another number of files than the index says.
    """
    table = OriginTable(out)
    todo = [one for one in series if one.series_instance_uid not in table.done]
    require_room(out, sum(one.bytes for one in todo))
    for number, one in enumerate(todo, start=1):
        endpoint, _, uuid = one.url.rstrip("/").rpartition("/")
        stored = [item for item in fetcher.listing(endpoint, f"{uuid}/") if item.size]
        if len(stored) != one.instances:
            raise FetchError(
                f"{one.url}: {len(stored)} files in the bucket; the index says {one.instances}"
            )
        folder = series_folder(out, one)
        fetcher.files(
            [
                WantedFile(
                    f"{endpoint}/{item.key}", folder / name_of(item.key), item.size, item.md5
                )
                for item in stored
            ]
        )
        table.add(one)
        done(number, len(todo))


def series_folder(out: Path, one: SetOrigin) -> Path:
    """Return where the files of a series go; a source's words cannot lead elsewhere."""
    return out / name_of(one.collection or "series") / name_of(one.series_instance_uid)


def name_of(text: str) -> str:
    """Return the last part of `text` as a file name.

    Raises
    ------
    FetchError
        If there is none.
    """
    name = PurePosixPath(text.replace("\\", "/")).name
    if name in ("", ".", ".."):
        raise FetchError(f"{text!r}: expected a file name")
    return name


def tcia_series(fetcher: Fetcher, wanted: SeriesChoice, base: str = NBIA) -> list[SetOrigin]:
    """Return the public series of TCIA that are wanted, by NBIA's search.

    Parameters
    ----------
    fetcher : Fetcher
        What asks the network.
    wanted : SeriesChoice
        Collections, modalities, licences, how many.
    base : str
        Address of NBIA's search.

    Returns
    -------
    list of SetOrigin

    Raises
    ------
    FetchError
        If TCIA cannot be reached.
    """
    found: list[SetOrigin] = []
    for collection in wanted.collections:
        told = fetcher.json(f"{base}/getSeries", {"Collection": collection, "format": "json"})
        for row in told:
            one = SetOrigin(
                str(row.get("SeriesInstanceUID", "")),
                str(row.get("Collection", collection)),
                str(row.get("Modality", "")),
                int(str(row.get("ImageCount", 0) or 0)),
                int(str(row.get("FileSize", 0) or 0)),
                str(row.get("LicenseName", "") or ""),
                str(row.get("DataDescriptionURI") or row.get("CollectionURI") or ""),
                f"{base}/getImageWithMD5Hash?SeriesInstanceUID={row.get('SeriesInstanceUID')}",
            )
            part = str(row.get("BodyPartExamined", ""))
            if _wanted(one, part, wanted):
                found.append(one)
    return chosen(found, wanted.limit)


def _wanted(one: SetOrigin, part: str, wanted: SeriesChoice) -> bool:
    return (
        (not wanted.modalities or one.modality in wanted.modalities)
        and (not wanted.body_parts or part in wanted.body_parts)
        and (not wanted.uids or one.series_instance_uid in wanted.uids)
        and fits(one.licence, wanted.licences)
    )


def fetch_tcia(series: Sequence[SetOrigin], out: Path, fetcher: Fetcher, done: Done) -> None:
    """Get series of TCIA as ZIP files and unpack them into ``OUT/COLLECTION/SERIES/``.

    NBIA makes each ZIP when it is asked for: a series that broke off begins anew.

    Parameters
    ----------
    series : sequence of SetOrigin
        As `tcia_series` returns them.
    out : Path
        The folder; series that are whole in it are not got again.
    fetcher : Fetcher
        What asks the network.
    done : callable
        Told of each series.

    Raises
    ------
    FetchError
        If TCIA cannot be reached, or a ZIP holds other files than its list of digests says.
    """
    table = OriginTable(out)
    todo = [one for one in series if one.series_instance_uid not in table.done]
    require_room(out, 2 * sum(one.bytes for one in todo))
    for number, one in enumerate(todo, start=1):
        folder = series_folder(out, one)
        packed = folder.with_name(f"{folder.name}.zip")
        fetcher.file(WantedFile(one.url, packed))
        try:
            _unpack(packed, folder, one)
        finally:
            packed.unlink()
        table.add(one)
        done(number, len(todo))


def _unpack(packed: Path, folder: Path, one: SetOrigin) -> None:
    """Unpack a ZIP of NBIA; the folder is there when every file has its digest."""
    fresh = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    digests: dict[str, str] = {}
    try:
        with zipfile.ZipFile(packed) as archive:
            for member in archive.infolist():
                if member.is_dir():
                    continue
                path = fresh / name_of(member.filename)
                with archive.open(member) as source, path.open("wb") as file:
                    shutil.copyfileobj(source, file)
    except (zipfile.BadZipFile, EOFError) as error:
        raise FetchError(f"{one.url}: no whole ZIP file ({error})") from error
    listed = fresh / HASHES
    if listed.is_file():
        with listed.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if len(row) >= 2 and len(row[1].strip()) == 32]
        digests = {name_of(row[0]): row[1].strip() for row in rows}
        listed.unlink()
    images = sorted(path for path in fresh.iterdir() if path.suffix.lower() == ".dcm")
    if one.instances and len(images) != one.instances:
        raise FetchError(f"{one.url}: {len(images)} images in it; TCIA says {one.instances}")
    for path in images:
        if path.name in digests and md5(path) != digests[path.name].lower():
            raise FetchError(f"{one.url}: {path.name} has another MD5 than TCIA says")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def fetch_lits(
    out: Path, fetcher: Fetcher, done: Done, url: str = MSD_LIVER, digest: str = MSD_MD5
) -> None:
    """Get the livers of LiTS, as the Medical Segmentation Decathlon holds them, in LiTS layout.

    Parameters
    ----------
    out : Path
        The folder.
    fetcher : Fetcher
        What asks the network.
    done : callable
        Told when it is whole.
    url : str
        Of the archive.
    digest : str
        MD5 of the archive.

    Raises
    ------
    FetchError
        If they cannot be had, or the archive is not the one that was published.
    """
    table = OriginTable(out)
    packed = out / "Task03_Liver.tar"
    if "lits" in table.done:
        return
    if not packed.is_file():
        require_room(out, 2 * MSD_BYTES)
        fetcher.file(WantedFile(url, packed, 0, digest))
    volumes = total = 0
    try:
        with tarfile.open(packed) as archive:
            for place, name in _pairs(archive):
                total += 1
                if not (out / name).is_file():
                    _extract(archive, place, out / name)
                if name.startswith("volume-"):
                    volumes += 1
                done(volumes, volumes)
    except (tarfile.TarError, EOFError) as error:
        raise FetchError(f"{packed.name}: no whole tar file ({error})") from error
    if not volumes or total != 2 * volumes:
        raise FetchError(f"{packed.name}: {volumes} volumes among {total} files; expected pairs")
    size = packed.stat().st_size
    table.add(SetOrigin("lits", "MSD Task03", "CT", volumes, size, MSD_LICENCE, MSD_DOI, url))
    packed.unlink()


def _pairs(archive: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, str]]:
    """Yield the members that are volumes and segmentations, with their names in LiTS layout."""
    for member in archive:
        path = PurePosixPath(member.name)
        if not member.isfile() or not path.name.startswith("liver_"):
            continue
        number = path.name.removeprefix("liver_")
        if path.parent.name == "imagesTr":
            yield member, f"volume-{number}"
        elif path.parent.name == "labelsTr":
            yield member, f"segmentation-{number}"


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    source = archive.extractfile(member)
    if source is None:
        raise FetchError(f"{member.name}: no file")
    part = path.with_name(f"{path.name}.part")
    with source, part.open("wb") as file:
        shutil.copyfileobj(source, file)
    publish(part, path)
