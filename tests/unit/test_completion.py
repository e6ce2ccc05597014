"""A manifest is completed beside a folder that cannot be written to."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from radnet.cli import app
from radnet.datasets.completion import complete
from radnet.datasets.fingerprint import fingerprint
from radnet.datasets.scans import files, read_manifest
from radnet.errors import DataError, UsageError
from radnet.network.weights_file import SHIPPED

HEAD = "id,kind,files,modality,sequence,plane,contrast,coverage,note,source,licence,use"
ROWS = """a,dicom,1,CT,CT,axial,,liver;kidney,"of ""a"", here",S,CC BY 4.0,train
b,liver pair,2,CT,CT,axial,,liver,,S,CC0,train
c,nifti,1,MR,T1,coronal,noncontrast,,,S,CC0,train
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return a folder with three scans that may only be read."""
    made = tmp_path / "scans"
    for name in ("dicom/a/1.dcm", "liver/b_ct.nii.gz", "liver/b_liver.nii.gz", "c.nii.gz"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(name)
    (made / "MANIFEST.csv").write_text(f"{HEAD}\n{ROWS}", encoding="utf-8")
    made.chmod(0o555)
    yield made
    made.chmod(0o755)


def additions(folder: Path, text: str) -> Path:
    """Write a table of additions beside a folder."""
    path = folder.parent / "more.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_completed_folder_is_read_as_its_own(folder: Path, tmp_path: Path) -> None:
    """Cells that are given replace the manifest's, the others stay; its files are its files."""
    before = (folder / "MANIFEST.csv").read_bytes()
    more = additions(
        folder, "id,use,coverage,values,liver\nb,test,,windowed,unfit\nc,,elsewhere,,\n"
    )
    out = tmp_path / "mine" / "scans"

    done = CliRunner().invoke(
        app, ["labels", "complete", str(folder), "--with", str(more), "--out", str(out)]
    )

    assert done.exit_code == 0, done.output
    assert "2 scans completed" in done.output
    a, b, c = read_manifest(out)
    assert (a.role, b.role, c.role) == ("train", "test", "train")
    assert (b.windowed, b.liver, b.test_only) == (True, "unfit", False)
    assert (c.coverage_whole, c.coverage) == (True, frozenset())
    assert (a.windowed, a.liver) == (False, "")
    for scan in (a, b, c):
        assert [path.read_bytes() for path in files(out, scan)] == [
            path.read_bytes() for path in files(folder, scan)
        ]
    assert fingerprint(out).startswith("5 files")  # as of a folder that holds them itself
    assert (folder / "MANIFEST.csv").read_bytes() == before


def test_it_is_completed_anew(folder: Path, tmp_path: Path) -> None:
    """After the additions, or the scans, became more."""
    out = tmp_path / "mine"
    complete(folder, additions(folder, "id,use\nb,test\n"), out)

    complete(folder, additions(folder, "id,use\nc,test\n"), out)

    assert [scan.role for scan in read_manifest(out)] == ["train", "train", "test"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("id,use\nd,test\n", "d not in"),
        ("id,colour\nb,red\n", "no column colour"),
        ("name,use\nb,test\n", "no column id"),
        ("id,use\nb\n", "another length"),
        ("id,use\nb,never\n", "b: use 'never'; expected train, development, test, test only"),
        ("id,values\nb,8bit\n", "values '8bit'; expected nothing, windowed"),
        ("id,liver\nb,no\n", "liver 'no'; expected nothing, none, unfit"),
        ("id,coverage\nb,knee\n", "b: 'knee' is not a valid Region"),
    ],
)
def test_what_is_no_addition_is_told_and_nothing_is_written(
    text: str, why: str, folder: Path, tmp_path: Path
) -> None:
    """A misspelt scan or word would silently leave a patient on the wrong side."""
    out = tmp_path / "mine"

    with pytest.raises(DataError, match=why):
        complete(folder, additions(folder, text), out)

    assert not out.exists()


def test_what_is_there_is_not_replaced(folder: Path, tmp_path: Path) -> None:
    """Neither the folder itself, nor somebody's files."""
    more = additions(folder, "id\n")
    out = tmp_path / "mine"
    (out / "dicom").mkdir(parents=True)

    with pytest.raises(UsageError, match="is the folder itself"):
        complete(folder, more, folder)
    with pytest.raises(UsageError, match="dicom: is there already"):
        complete(folder, more, out)
    with pytest.raises(UsageError, match="cannot be read as CSV"):
        complete(folder, tmp_path / "none.csv", out)

    assert not list((out / "dicom").iterdir())


@pytest.mark.real_data
def test_the_shipped_weights_split_is_what_their_columns_say(real_scans: Path) -> None:
    """`radnet/weights/scans.csv` gives every scan the role that `split.json` recorded."""
    recorded = json.loads((SHIPPED / "split.json").read_text(encoding="utf-8"))
    roles = {scan.name: scan.role for scan in read_manifest(real_scans)}

    assert {one["id"]: roles[one["id"]] for one in recorded} == {
        one["id"]: one["role"] for one in recorded
    }


@pytest.mark.real_data
def test_who_was_left_out_stays_left_out_without_completion(real_data: Path) -> None:
    """A folder as it came must not teach what the shipped weights are judged by."""
    recorded = json.loads((SHIPPED / "split.json").read_text(encoding="utf-8"))
    left_out = {row["id"] for row in recorded if row["role"] == "test"}
    learned = {scan.name for scan in read_manifest(real_data) if scan.role == "train"}

    assert left_out
    assert not learned & left_out


def test_a_scan_of_the_same_name_from_elsewhere_is_learned_from(folder: Path) -> None:
    """Left out is a scan of one source, not whoever bears its name."""
    recorded = json.loads((SHIPPED / "split.json").read_text(encoding="utf-8"))
    name, source = next((row["id"], row["source"]) for row in recorded if row["role"] == "test")
    manifest = folder / "MANIFEST.csv"
    head, *_, row = manifest.read_text(encoding="utf-8").splitlines()
    cells = dict(zip(head.split(","), row.split(","), strict=True)) | {"id": name, "use": "train"}

    def role(origin: str) -> str:
        cells["source"] = origin
        manifest.write_text(f"{head}\n{','.join(cells.values())}\n", encoding="utf-8")
        (scan,) = read_manifest(folder)
        return scan.role

    assert role("somebody else") == "train"
    assert role(source) == "test"
