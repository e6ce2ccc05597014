"""Public sets over HTTP: resumed, checked, with their licence; a server stands in for them."""

import csv
import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from radnet.errors import FetchError, RadnetError, UsageError
from radnet.harvest import fetch_sets
from radnet.harvest.fetch import TRIES, Fetcher, WantedFile
from radnet.harvest.fetch_sets import (
    OriginTable,
    SeriesChoice,
    SetOrigin,
    fetch_idc,
    fetch_lits,
    fetch_tcia,
)
from radnet.harvest.label_scan import quoted
from tests.archive_server import Archive, digest, running_archive
from tests.peers import free_port

BLOB = bytes(range(256)) * 4000  # a megabyte


@pytest.fixture
def archive() -> Iterator[Archive]:
    """Serve an empty archive."""
    with running_archive() as served:
        yield served


@pytest.fixture
def waits() -> list[float]:
    """Collect how long the fetcher would have waited."""
    return []


@pytest.fixture
def fetcher(waits: list[float]) -> Iterator[Fetcher]:
    """Return a fetcher that does not sleep."""
    with Fetcher(waits.append) as one:
        yield one


def nothing(_done: int, _total: int) -> None:
    """Take no notice."""


def test_a_broken_connection_is_resumed(
    archive: Archive, fetcher: Fetcher, tmp_path: Path
) -> None:
    """Twice cut off, three parts: none is asked for twice, the digest holds."""
    archive.files["a.bin"] = BLOB
    archive.cut["a.bin"] = [300_000, 500_000]

    fetcher.file(WantedFile(f"{archive.url}/a.bin", tmp_path / "a.bin", 0, digest(BLOB)))

    assert (tmp_path / "a.bin").read_bytes() == BLOB
    assert archive.ranges == [("a.bin", "bytes=300000-"), ("a.bin", "bytes=800000-")]
    assert not list(tmp_path.glob("*.part"))


def test_what_another_day_left_is_gone_on_with(
    archive: Archive, fetcher: Fetcher, tmp_path: Path
) -> None:
    """A `.part` of a killed process is the begin of the file."""
    archive.files["a.bin"] = BLOB
    (tmp_path / "a.bin.part").write_bytes(BLOB[:700_000])

    fetcher.file(WantedFile(f"{archive.url}/a.bin", tmp_path / "a.bin", len(BLOB), digest(BLOB)))

    assert (tmp_path / "a.bin").read_bytes() == BLOB
    assert archive.ranges == [("a.bin", "bytes=700000-")]


def test_a_server_without_ranges_begins_anew(
    archive: Archive, fetcher: Fetcher, tmp_path: Path
) -> None:
    """A 200 is the whole file: nothing is put behind what was there."""
    archive.files["a.bin"], archive.takes_ranges = BLOB, False
    (tmp_path / "a.bin.part").write_bytes(b"begin")

    fetcher.file(WantedFile(f"{archive.url}/a.bin", tmp_path / "a.bin", len(BLOB), digest(BLOB)))

    assert (tmp_path / "a.bin").read_bytes() == BLOB


def test_a_part_of_other_bytes_is_thrown_away(
    archive: Archive, fetcher: Fetcher, tmp_path: Path
) -> None:
    """The digest finds it; the second download is right."""
    archive.files["a.bin"] = BLOB
    (tmp_path / "a.bin.part").write_bytes(b"x" * 1000)

    fetcher.file(WantedFile(f"{archive.url}/a.bin", tmp_path / "a.bin", len(BLOB), digest(BLOB)))

    assert (tmp_path / "a.bin").read_bytes() == BLOB


def test_a_wrong_digest_is_no_file(archive: Archive, fetcher: Fetcher, tmp_path: Path) -> None:
    """Found and expected are told; nothing lies about to be used."""
    archive.files["a.bin"] = BLOB

    with pytest.raises(FetchError, match=f"MD5 {digest(BLOB)}, expected {'0' * 32}"):
        fetcher.file(WantedFile(f"{archive.url}/a.bin", tmp_path / "a.bin", 0, "0" * 32))

    assert not list(tmp_path.iterdir())


def test_a_busy_server_is_waited_for(
    archive: Archive, fetcher: Fetcher, waits: list[float], tmp_path: Path
) -> None:
    """Longer each time; in the end it is an error that says what to do."""
    archive.files["a.bin"], archive.busy["a.bin"] = b"1234", 3

    fetcher.file(WantedFile(f"{archive.url}/a.bin", tmp_path / "a.bin"))

    assert waits == [2, 4, 8]
    archive.busy["b.bin"] = 99
    with pytest.raises(FetchError, match=r"HTTP 503, 6 times; the same command goes on later"):
        fetcher.file(WantedFile(f"{archive.url}/b.bin", tmp_path / "b.bin"))
    assert archive.asked["b.bin"] == TRIES


def test_what_is_not_there_is_not_asked_for_again(
    archive: Archive, fetcher: Fetcher, tmp_path: Path
) -> None:
    """A 404 stays one."""
    with pytest.raises(FetchError, match="404"):
        fetcher.file(WantedFile(f"{archive.url}/none", tmp_path / "none"))

    assert archive.asked["none"] == 1


def test_no_way_there_is_an_honest_error(fetcher: Fetcher, tmp_path: Path) -> None:
    """Nobody listens: the address and the reason, no traceback."""
    url = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(FetchError, match=r"127\.0\.0\.1.*ConnectError"):
        fetcher.file(WantedFile(f"{url}/a", tmp_path / "a"))
    with pytest.raises(FetchError, match="is there a way to it from here"):
        list(fetcher.listing(url, "x/"))


def index(path: Path, rows: list[tuple[object, ...]]) -> Path:
    """Write an index of IDC: uid, collection, modality, body part, instances, licence, uuid."""
    with duckdb.connect() as db:
        db.execute(
            "CREATE TABLE t (SeriesInstanceUID VARCHAR, collection_id VARCHAR, Modality VARCHAR, "
            "BodyPartExamined VARCHAR, instanceCount BIGINT, license_short_name VARCHAR, "
            "crdc_series_uuid VARCHAR, series_size_MB DOUBLE, source_DOI VARCHAR, "
            "aws_bucket VARCHAR)"
        )
        for row in rows:
            db.execute("INSERT INTO t VALUES (?,?,?,?,?,?,?,0.1,'10.7937/x','open')", list(row))
        db.execute(f"COPY t TO {quoted(path)} (FORMAT parquet)")
    return path


@pytest.fixture
def bucket(archive: Archive, tmp_path: Path) -> Path:
    """Put two series of IDC into the archive and return their index."""
    for uuid, count in (("u1", 5), ("u2", 2)):
        for number in range(count):
            archive.files[f"{uuid}/{number}.dcm"] = f"{uuid}{number}".encode() * 1000
    rows: list[tuple[object, ...]] = [
        ("1.2.1", "tcga_lihc", "CT", "LIVER", 5, "CC BY 3.0", "u1"),
        ("1.2.2", "tcga_lihc", "MR", "LIVER", 2, "CC BY 3.0", "u2"),
        ("1.2.3", "closed", "CT", "LIVER", 2, "CC BY-NC 4.0", "u3"),
    ]
    return index(tmp_path / "index.parquet", rows)


def told(out: Path) -> list[dict[str, str]]:
    """Return the rows of the table of origins."""
    with (out / "SOURCES.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_series_of_idc_come_with_their_licence(
    archive: Archive, fetcher: Fetcher, bucket: Path, tmp_path: Path
) -> None:
    """Listed over several pages, cut off once; what is there is not fetched again."""
    out = tmp_path / "out"
    archive.cut["u1/3.dcm"] = [100]
    series = fetch_sets.idc_series(bucket, SeriesChoice(licences=("CC BY ?.0",)), archive.url)

    fetch_idc(series, out, fetcher, nothing)
    before = sum(archive.asked.values())
    fetch_idc(series, out, fetcher, nothing)

    assert sum(archive.asked.values()) == before
    assert ("u1/3.dcm", "bytes=100-") in archive.ranges
    for number in range(5):
        path = out / "tcga_lihc" / "1.2.1" / f"{number}.dcm"
        assert path.read_bytes() == archive.files[f"u1/{number}.dcm"]
    rows = {row["series_instance_uid"]: row for row in told(out)}
    assert set(rows) == {"1.2.1", "1.2.2"}
    assert rows["1.2.1"]["licence"] == "CC BY 3.0"
    assert rows["1.2.1"]["doi"] == "10.7937/x"
    assert rows["1.2.1"]["instances"] == "5"


def test_a_series_that_is_not_whole_has_no_row(
    archive: Archive, fetcher: Fetcher, bucket: Path, tmp_path: Path
) -> None:
    """A file too few, or one of other bytes than its ETag says."""
    out = tmp_path / "out"
    series = fetch_sets.idc_series(bucket, SeriesChoice(modalities=("MR",)), archive.url)
    archive.etags["u2/1.dcm"] = "f" * 32
    with pytest.raises(FetchError, match="MD5"):
        fetch_idc(series, out, fetcher, nothing)

    del archive.files["u2/1.dcm"]
    with pytest.raises(FetchError, match="1 files in the bucket; the index says 2"):
        fetch_idc(series, out, fetcher, nothing)

    assert told(out) == []


def test_the_choice_is_the_same_each_time(bucket: Path) -> None:
    """By collection, modality, body part, licence and number."""
    assert len(fetch_sets.idc_series(bucket, SeriesChoice())) == 3
    assert [
        one.series_instance_uid
        for one in fetch_sets.idc_series(bucket, SeriesChoice(collections=("closed",)))
    ] == ["1.2.3"]
    assert fetch_sets.idc_series(bucket, SeriesChoice(body_parts=("BRAIN",))) == []
    two = fetch_sets.idc_series(bucket, SeriesChoice(limit=2))
    assert two == fetch_sets.idc_series(bucket, SeriesChoice(limit=2))
    assert len(two) == 2


def zipped(names: dict[str, bytes], wrong: str = "") -> bytes:
    """Return a ZIP as NBIA makes it, with its list of digests."""
    rows = [
        f"{name},{'0' * 32 if name == wrong else digest(data)}" for name, data in names.items()
    ]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in names.items():
            archive.writestr(name, data)
        archive.writestr("LICENSE", "CC BY")
        archive.writestr("md5hashes.csv", "\n".join(["Image,MD5", *rows]))
    return packed.getvalue()


def tcia_row(uid: str, count: int, licence: str = "CC BY 3.0") -> dict[str, object]:
    """Return a row of NBIA's getSeries."""
    return {
        "SeriesInstanceUID": uid, "Collection": "TCGA-LIHC", "Modality": "CT", "ImageCount": count,
        "FileSize": 1000, "LicenseName": licence, "CollectionURI": "https://doi.org/10.7937/y",
    }  # fmt: skip


def test_series_of_tcia_are_unpacked_and_checked(
    archive: Archive, fetcher: Fetcher, tmp_path: Path
) -> None:
    """Each image by its MD5; a path in a ZIP leads nowhere else; other licences stay there."""
    archive.series = [tcia_row("1.1", 2), tcia_row("1.9", 2, "CC BY-NC 3.0")]
    archive.files["1.1"] = zipped({"1-1.dcm": b"one", "../../1-2.dcm": b"two"})
    archive.cut["1.1"] = [60]
    wanted = SeriesChoice(collections=("TCGA-LIHC",), licences=("CC BY ?.0",))
    series = fetch_sets.tcia_series(fetcher, wanted, archive.url)

    fetch_tcia(series, tmp_path / "out", fetcher, nothing)

    folder = tmp_path / "out" / "TCGA-LIHC" / "1.1"
    assert (folder / "1-1.dcm").read_bytes() == b"one"
    assert (folder / "1-2.dcm").read_bytes() == b"two"
    assert not list(tmp_path.glob("*.dcm"))
    (row,) = told(tmp_path / "out")
    assert (row["licence"], row["doi"]) == ("CC BY 3.0", "https://doi.org/10.7937/y")
    assert archive.ranges == []  # NBIA makes each ZIP anew


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (zipped({"1.dcm": b"a", "2.dcm": b"b"}, wrong="2.dcm"), r"2\.dcm has another MD5"),
        (zipped({"1.dcm": b"a"}), "1 images in it; TCIA says 2"),
        (b"an error page", "no whole ZIP"),
    ],
)
def test_a_wrong_zip_of_tcia_is_refused(
    content: bytes, why: str, archive: Archive, fetcher: Fetcher, tmp_path: Path
) -> None:
    """No folder, no row."""
    archive.series, archive.files["1.1"] = [tcia_row("1.1", 2)], content
    series = fetch_sets.tcia_series(fetcher, SeriesChoice(("TCGA-LIHC",)), archive.url)

    with pytest.raises(FetchError, match=why):
        fetch_tcia(series, tmp_path, fetcher, nothing)

    assert not (tmp_path / "TCGA-LIHC" / "1.1").exists()
    assert told(tmp_path) == []


def test_lits_comes_in_its_layout(archive: Archive, fetcher: Fetcher, tmp_path: Path) -> None:
    """Resumed as one large file, unpacked as pairs, the archive removed at the end."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for folder in ("imagesTr", "labelsTr", "imagesTs"):
            for number in (3, 17):
                member = tarfile.TarInfo(f"Task03_Liver/{folder}/liver_{number}.nii.gz")
                member.size = 9
                tar.addfile(member, io.BytesIO(f"{folder[:6]}{number:03}".encode()))
    content = packed.getvalue()
    archive.files["Task03_Liver.tar"], archive.cut["Task03_Liver.tar"] = content, [5000]
    (tmp_path / "Task03_Liver.tar").write_bytes(content[:0])
    (tmp_path / "Task03_Liver.tar").unlink()
    url = f"{archive.url}/Task03_Liver.tar"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetch_sets, "MSD_BYTES", 10_000)
        fetch_lits(tmp_path, fetcher, nothing, url, digest(content))

    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "SOURCES.csv", "volume-3.nii.gz", "volume-17.nii.gz", "segmentation-3.nii.gz",
        "segmentation-17.nii.gz",
    }  # fmt: skip
    assert (tmp_path / "segmentation-17.nii.gz").read_bytes() == b"labels017"
    assert archive.ranges == [("Task03_Liver.tar", "bytes=5000-")]
    assert told(tmp_path)[0]["licence"] == "CC BY-SA 4.0"


def test_a_torn_row_of_the_table_is_dropped(tmp_path: Path) -> None:
    """A crash in the middle of a line: that series is fetched again."""
    one = SetOrigin("1.2", "C", "CT", 3, 10, "CC0", "d", "u")
    OriginTable(tmp_path).add(one)
    with (tmp_path / "SOURCES.csv").open("a") as file:
        file.write("1.3,C,CT")

    table = OriginTable(tmp_path)
    table.add(SetOrigin("1.4", "C", "CT", 3, 10, "CC0", "d", "u"))

    assert table.done == {"1.2", "1.4"}
    assert [row["series_instance_uid"] for row in told(tmp_path)] == ["1.2", "1.4"]


def test_a_full_disk_is_told_before_the_first_byte(tmp_path: Path) -> None:
    """How much is needed and how much is free."""
    with pytest.raises(UsageError, match="GB to fetch"):
        fetch_sets.require_room(tmp_path, 10**18)
    with pytest.raises(RadnetError, match="file name"):
        fetch_sets.name_of("..")
