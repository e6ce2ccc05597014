"""`radnet labels`: folders, a real Orthanc by REST and DICOMweb, an index; cut off, resumed."""

import csv
from pathlib import Path

import duckdb
import httpx
import pytest
from typer.testing import CliRunner

from radnet.cli import WRONG_INPUT, app, main
from radnet.errors import DataError, RadnetError, UsageError
from radnet.harvest.label_idc import scan_index
from radnet.harvest.label_report import Quarrel, report
from radnet.harvest.label_scan import LabelScan, scan_series
from radnet.harvest.sources import Folder, Listed, open_source
from radnet.phantom.study import write_phantom_study
from tests.peers import RunningOrthanc, free_port

runner = CliRunner()
LABELS = "SELECT series_description, sequence, plane FROM read_parquet(?) ORDER BY 1"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the phantom study."""
    folder = tmp_path_factory.mktemp("study")
    write_phantom_study(folder, seed=3)
    return folder


def rows(table: Path) -> list[tuple[str, ...]]:
    """Return description, sequence and plane of every series of a table."""
    with duckdb.connect() as db:
        return db.execute(LABELS, [str(table)]).fetchall()


def quiet(_done: int, _total: int) -> None:
    """Watch no progress."""


def test_folder_orthanc_and_dicomweb_give_the_same_labels(
    study: Path, orthanc: RunningOrthanc, tmp_path: Path
) -> None:
    """One archive is labelled alike through every door."""
    for path in sorted(path for path in study.rglob("*") if path.is_file()):
        httpx.post(f"{orthanc.url}/instances", content=path.read_bytes(), timeout=30)
    sources = {
        "folder": str(study),
        "orthanc": f"orthanc+{orthanc.url}",
        "dicomweb": f"dicomweb+{orthanc.dicomweb_url}",
    }
    found = {}
    for name, source in sources.items():
        out = tmp_path / f"{name}.parquet"
        result = runner.invoke(app, ["labels", "scan", source, "--out", str(out)])
        assert result.exit_code == 0, result.output
        found[name] = rows(out)

    assert len(found["folder"]) >= 3
    assert found["orthanc"] == found["folder"]
    assert found["dicomweb"] == found["folder"]


class CutOff(Folder):
    """A folder that goes away after a number of series."""

    def __init__(self, root: Path, after: int) -> None:
        super().__init__(root)
        self.left = after

    def headers(self, listed: Listed) -> list:  # type: ignore[type-arg]
        """Raise once the number is reached."""
        if self.left == 0:
            raise RadnetError("gone")
        self.left -= 1
        return super().headers(listed)


def test_scan_goes_on_where_it_was_cut_off(study: Path, tmp_path: Path) -> None:
    """What was labelled before is not asked for again."""
    scan = LabelScan(tmp_path / "labels.parquet")
    with pytest.raises(RadnetError, match="gone"):
        scan_series(CutOff(study, after=2), scan, quiet)

    done = scan_series(Folder(study), scan, quiet)
    again = scan_series(Folder(study), scan, quiet)

    assert done.kept == 2
    assert again.labelled == 0
    assert again.kept == done.kept + done.labelled == len(rows(scan.out))
    assert not scan.parts.exists()


def test_broken_files_are_named_and_the_rest_is_labelled(study: Path, tmp_path: Path) -> None:
    """One bad file does not stop a night's scan."""
    folder = tmp_path / "archive"
    folder.mkdir()
    (folder / "bad.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 50)
    good = next(path for path in sorted(study.rglob("*")) if path.is_file())
    (folder / "good.dcm").write_bytes(good.read_bytes())

    out = tmp_path / "labels.parquet"
    result = runner.invoke(app, ["labels", "scan", str(folder), "--out", str(out)])

    assert result.exit_code == 0
    assert "bad.dcm" in result.output
    assert len(rows(out)) == 1


def test_server_that_does_not_answer_is_told(tmp_path: Path) -> None:
    """The address stands in the message."""
    source = open_source(f"orthanc+http://127.0.0.1:{free_port()}")

    with pytest.raises(RadnetError, match=r"127\.0\.0\.1.*cannot list"):
        scan_series(source, LabelScan(tmp_path / "labels.parquet"), quiet)


@pytest.mark.parametrize("name", ["/no/such/folder", "ftp+http://x", "orthanc+http://a:b@host"])
def test_source_that_is_none_is_wrong_input(name: str) -> None:
    """A password in the address would stand in the list of processes."""
    with pytest.raises(UsageError):
        open_source(name)


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """Return an index like that of the IDC with five series, two of them alike in all texts."""
    path = tmp_path / "index.parquet"
    with duckdb.connect() as db:
        db.execute(
            "COPY (SELECT * FROM (VALUES "  # noqa: S608
            "('nlst','1','1.1','1','CHEST','CT','0,OPA,GE,X','GE',9),"
            "('nlst','2','1.2','1','CHEST','CT','0,OPA,GE,X','GE MEDICAL',9),"
            "('ispy2','3','1.3','2',NULL,'MR','AX T1 POST','SIEMENS',80),"
            "('upenn_gbm','4','1.4','3',NULL,'MR','FLAIR',NULL,30),"
            "('x','5','1.5','4','','SEG',NULL,'QIICR',1)) t(collection_id,PatientID,"
            "SeriesInstanceUID,StudyInstanceUID,BodyPartExamined,Modality,SeriesDescription,"
            "Manufacturer,instanceCount), (SELECT 'CC BY 4.0' AS license_short_name, "
            "'10.1/x' AS source_DOI, NULL::VARCHAR AS StudyDescription)) "
            f"TO '{path}' (FORMAT parquet)"
        )
    return path


def test_index_is_labelled_by_distinct_text(index: Path, tmp_path: Path) -> None:
    """A million series have far fewer texts: each is labelled once."""
    ticks: list[tuple[int, int]] = []
    scan = LabelScan(tmp_path / "labels.parquet")

    done = scan_index(index, scan, lambda *tick: ticks.append(tick))
    again = scan_index(index, scan, quiet)

    assert done.labelled == 5
    assert ticks[-1] == (4, 4)
    assert (again.labelled, again.kept) == (0, 5)
    with duckdb.connect() as db:
        told = db.execute(
            "SELECT sequence, plane, contrast, coverage, manufacturer, license_short_name "
            "FROM read_parquet(?) ORDER BY series_instance_uid",
            [str(scan.out)],
        ).fetchall()
    assert told[0] == ("CT", "axial", "noncontrast", "lung", "GE", "CC BY 4.0")
    assert told[1] == told[0]
    assert told[2][:4] == ("T1", "axial", "contrast", "breast")
    assert told[3][:4] == ("T2-FLAIR", None, None, "brain")
    assert told[4][0] == "other"


def test_site_rules_reach_the_scan(index: Path, tmp_path: Path) -> None:
    """Labels made by other rules are told, and made anew on request."""
    site = tmp_path / "site.toml"
    site.write_text('disable = ["nlst-protocol"]\n', encoding="utf-8")
    out = tmp_path / "labels.parquet"
    scan_index(index, LabelScan(out), quiet)

    assert scan_index(index, LabelScan(out, site), quiet).stale
    scan_index(index, LabelScan(out, site, force=True), quiet)

    assert report(out).values["contrast"] == {"": 4, "contrast": 1}


def test_report_counts_and_draws(index: Path, tmp_path: Path) -> None:
    """Known, unknown and in conflict; by collection and by vendor; with pictures."""
    out = tmp_path / "labels.parquet"
    scan_index(index, LabelScan(out), quiet)

    found = report(out)
    result = runner.invoke(app, ["labels", "report", str(out), "--out", str(tmp_path / "plots")])

    assert found.series == 5
    assert found.values["sequence"] == {"CT": 2, "T1": 1, "T2-FLAIR": 1, "other": 1}
    assert [group.name for group in found.totals] == ["all", "CT", "MR"]
    assert {group.name: group.known["plane"] for group in found.collections} == {
        "nlst": 1.0, "ispy2": 1.0, "upenn_gbm": 0.0,
    }  # fmt: skip
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "plots").glob("*.png"))) == 3


def test_report_tells_where_header_and_truth_differ(index: Path, tmp_path: Path) -> None:
    """What a person sees, against what the header says."""
    out, truth = tmp_path / "labels.parquet", tmp_path / "truth.csv"
    scan_index(index, LabelScan(out), quiet)
    truth.write_text("id,sequence,coverage\nispy2,T1,lung\nupenn_gbm,T2-FLAIR,brain\n")

    found = report(out, truth)

    assert found.judged == 4
    assert [(one.series, one.header, one.truth) for one in found.differences] == [
        ("ispy2", "breast", "lung")
    ]


def test_report_of_something_else_is_wrong_input(tmp_path: Path) -> None:
    """Exit code 2 and the reason."""
    other = tmp_path / "it's.parquet"
    other.write_bytes(b"PAR1")

    with pytest.raises(DataError, match="not a table"):
        report(other)


def test_table_writes_the_six_columns(tmp_path: Path) -> None:
    """Empty where the text does not tell; every row of the input has one in the output."""
    given, out = tmp_path / "rows.csv", tmp_path / "labels.csv"
    given.write_text(
        "modality,series_description,body_part,collection\n"
        'CT,"SAG ABD W",ABDOMEN,\nMR,DWI,,ispy2\n',
        encoding="utf-8-sig",
    )

    result = runner.invoke(app, ["labels", "table", str(given), "--out", str(out)])

    assert result.exit_code == 0, result.output
    with out.open(newline="", encoding="utf-8") as file:
        told = list(csv.reader(file))
    assert told == [
        ["sequence", "plane", "contrast", "coverage", "localizer", "derived"],
        ["CT", "sagittal", "contrast", "liver;kidney;intestine", "0", "1"],
        ["", "", "", "breast", "0", "0"],
    ]


def test_table_without_a_column_is_wrong_input(tmp_path: Path) -> None:
    """The message names the column."""
    given = tmp_path / "rows.csv"
    given.write_text("modality,text\nCT,x\n")

    result = runner.invoke(app, ["labels", "table", str(given), "--out", str(tmp_path / "o")])

    assert isinstance(result.exception, DataError)
    assert "series_description" in str(result.exception)


def test_explain_names_attribute_and_rule(study: Path) -> None:
    """Why a series got its labels, for the person who must believe it."""
    path = next(path for path in sorted(study.rglob("*")) if path.is_file())

    result = runner.invoke(app, ["labels", "explain", str(path)])

    assert result.exit_code == 0, result.output
    assert "SeriesDescription" in result.output
    assert "modality-ct" in result.output or "MR timing" in result.output


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 128 + b"DICM" + b"\xff" * 40],
    ids=["empty", "garbled"],
)
def test_explain_of_a_broken_file_says_what_is_broken(tmp_path: Path, content: bytes) -> None:
    """The kind of error that `main` turns into exit code 2."""
    path = tmp_path / "broken.dcm"
    path.write_bytes(content)

    result = runner.invoke(app, ["labels", "explain", str(path)])

    assert isinstance(result.exception, WRONG_INPUT)
    assert "broken.dcm" in str(result.exception)


def test_explain_of_a_cut_off_file_tells_labels_and_damage_and_exits_2(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What the header says is still worth reading; the exit code says that the file is not."""
    whole = next(path for path in sorted(study.rglob("*")) if path.is_file()).read_bytes()
    path = tmp_path / "cut.dcm"
    path.write_bytes(whole[:-100])
    monkeypatch.setattr("sys.argv", ["radnet", "labels", "explain", str(path)])

    with pytest.raises(SystemExit) as ended:
        main()

    told = capfd.readouterr()
    assert ended.value.code == 2
    assert "SeriesDescription" in told.out
    assert "cut.dcm: the file ends within Pixel Data" in " ".join(told.err.split())


def test_report_names_what_headers_quarrel_about(index: Path, tmp_path: Path) -> None:
    """Which attribute contradicts, how often: where to mend a protocol."""
    out = tmp_path / "labels.parquet"
    with duckdb.connect() as db:
        db.execute(
            "COPY (SELECT * REPLACE ('CHEST' AS SeriesDescription, "  # noqa: S608
            f"'ABDOMEN' AS BodyPartExamined) FROM '{index}' WHERE Modality = 'CT') "
            f"TO '{tmp_path / 'other.parquet'}'"
        )
    scan_index(tmp_path / "other.parquet", LabelScan(out), quiet)

    result = runner.invoke(app, ["labels", "report", str(out)])

    assert report(out).quarrels == (
        Quarrel("coverage", "BodyPartExamined", "liver;kidney;intestine", "abdomen", 2),
    )
    assert "BodyPartExamined" in result.output
