"""Bad input is refused by name or flagged: never a traceback, never a silent wrong mask."""

import gzip
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from radnet.cli import main
from radnet.errors import UnusableVolumeError
from radnet.inference.classifier import Classifier
from radnet.inference.fusion import fuse_witnesses
from radnet.inference.preparation import usable
from radnet.inference.refusals import refuse_impossible_liver, refuse_other_than_ct
from radnet.inference.scan_file import read_scan_file
from radnet.volume.size import MOST_VOXELS
from tests.hostile_pixels import HOSTILE
from tests.made_ct import write_ct
from tests.made_volume import made_volume

RNG = np.random.default_rng(1)
SPACING = np.diag([-2.5, -2.5, 4.0, 1.0])
SHEARED = np.array([[-2.5, 0, 0, 0], [0, -2.5, 0.8, 0], [0, 0, 4.0, 0], [0, 0, 0, 1]])

Writer = Callable[[Path], Path]


def abdomen(shape: tuple[int, int, int] = (64, 64, 20)) -> NDArray[np.float32]:
    """Return soft tissue between air, in HU, (column, row, slice)."""
    array = RNG.normal(40, 20, shape).astype(np.float32)
    array[: shape[0] // 4] = -1000
    return array


def nifti(array: NDArray[np.generic], affine: NDArray[np.float64] = SPACING) -> Writer:
    """Return what writes an array as a NIfTI file into a folder."""

    def write(folder: Path) -> Path:
        path = folder / "scan.nii.gz"
        nib.save(nib.Nifti1Image(array, affine), path)
        return path

    return write


def with_value(value: float) -> NDArray[np.float32]:
    """Return an abdomen in which one voxel holds `value`."""
    array = abdomen()
    array[5, 5, 5] = value
    return array


def truncated(folder: Path) -> Path:
    """Write the first half of a compressed file."""
    path = nifti(abdomen())(folder)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def short(folder: Path) -> Path:
    """Write a whole compressed file whose content is too short."""
    path = nifti(abdomen())(folder)
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content[:-1000]))
    return path


def huge(folder: Path) -> Path:
    """Write a header that promises 12 GB of voxels, and none of them."""
    header = nib.Nifti1Header()
    header.set_data_shape((512, 512, 3000))
    header.set_data_dtype(np.int16)
    header.set_sform(SPACING, 1)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    path = folder / "scan.nii"
    path.write_bytes(header.binaryblock + bytes(4))
    return path


def without_columns(folder: Path) -> Path:
    """Write a file whose header says that a slice has no columns."""
    path = folder / "scan.nii"
    nib.save(nib.Nifti1Image(abdomen(), SPACING), path)
    content = bytearray(path.read_bytes())
    content[42:44] = bytes(2)
    path.write_bytes(content)
    return path


def unreadable(folder: Path) -> Path:
    """Make a folder of files that are no DICOM."""
    (folder / "1.dcm").write_bytes(b"no DICOM")
    return folder


def unsaid(folder: Path) -> Path:
    """Write an abdomen that does not say how the patient lies."""
    image = nib.Nifti1Image(abdomen(), SPACING)
    image.set_qform(SPACING, 0)
    image.set_sform(SPACING, 0)
    nib.save(image, folder / "scan.nii.gz")
    return folder / "scan.nii.gz"


def tilted(folder: Path) -> Path:
    """Write a CT of which each slice is shifted sideways."""
    write_ct(folder, lambda ds, n: setattr(ds, "ImagePositionPatient", [0, n * 2.0, n * 5.0]))
    return folder


def unscaled(folder: Path) -> Path:
    """Write a CT without Rescale Slope and Intercept."""

    def strip(ds: object, _: int) -> None:
        del ds.RescaleSlope, ds.RescaleIntercept  # type: ignore[attr-defined]

    write_ct(folder, strip)
    return folder


def hostile(kind: str) -> Writer:
    """Return what writes a CT of which the third slice breaks its decoder."""

    def write(folder: Path) -> Path:
        write_ct(folder, lambda ds, index: HOSTILE[kind](ds) if index == 2 else None)
        return folder

    return write


BAD = {
    "NaN": (nifti(with_value(np.nan)), "not finite"),
    "infinite": (nifti(with_value(np.inf)), "not finite"),
    "constant": (nifti(np.zeros((64, 64, 20), np.int16)), "from 0 to 0"),
    "one slice": (nifti(abdomen((64, 64, 1))), "1 slices"),
    "two slices": (nifti(abdomen((64, 64, 2))), "2 slices, 8 x 160 x 160 mm"),
    "larger than memory": (huge, "GB of memory"),
    "four dimensions": (nifti(np.stack([abdomen()] * 2, -1)), "4 dimensions"),
    "two dimensions": (nifti(abdomen()[:, :, 0]), "2 dimensions"),
    "truncated": (truncated, "not a NIfTI volume"),
    "too short": (short, "not a NIfTI volume"),
    "gantry tilt": (nifti(abdomen(), SHEARED), "not perpendicular"),
    "gantry tilt, DICOM": (tilted, "gantry tilt"),
    "missing rescale": (nifti((abdomen() + 1024).clip(0).astype(np.int16)), "Rescale Intercept"),
    "missing rescale, DICOM": (unscaled, "Rescale"),
    "an MR": (nifti(RNG.uniform(0, 900, (64, 64, 20)).astype(np.int16)), "Is this an MR"),
    "a phase image": (nifti(RNG.normal(0, 900, (64, 64, 20)).astype(np.int16)), "Is this an MR"),
    "metres": (nifti(abdomen(), SPACING * 1000), "in mm"),
    "complex": (nifti(abdomen().astype(np.complex64)), "type complex64"),
    "colours": (nifti(np.zeros((64, 64, 20), [(c, "u1") for c in "RGB"])), "one number in each"),
    "no orientation": (unsaid, "qform_code and sform_code are 0"),
    "no tissue": (nifti((abdomen() - 4000).astype(np.int16)), "the highest voxel"),
    "no columns": (without_columns, "0 x 64 x 20 voxels"),
    "a panic": (hostile("RLE panic"), ".1.2.3 cannot be decoded (PanicException)"),
    "unreadable folder": (unreadable, "cannot be read as DICOM"),
}


def loaded(*_: object) -> Classifier:
    """Stand where no weights may be loaded."""
    raise AssertionError("weights were loaded for a scan that will not do")


@pytest.mark.parametrize("name", BAD)
def test_a_bad_scan_is_refused_by_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, one sentence that says why, no mask, and no network loaded in vain."""
    write, why = BAD[name]
    monkeypatch.setattr(Classifier, "load", loaded)
    (tmp_path / "in").mkdir()
    out = tmp_path / "mask.nii.gz"
    monkeypatch.setattr(
        sys, "argv", ["radnet", "segment", str(write(tmp_path / "in")), "--out", str(out)]
    )

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    told = " ".join(capsys.readouterr().err.split())
    assert why in told
    assert "Traceback" not in told
    assert not out.exists()


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        ((64, 64, 12), (2.0, 2.0, 10.0)),
        ((400, 400, 12), (0.3, 0.3, 10.0)),
        ((40, 40, 30), (9, 9, 5)),
    ],
)
def test_a_thick_thin_or_coarse_ct_does_not_raise(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], tmp_path: Path
) -> None:
    """Bounds are wide of real scans: anisotropy alone is no reason."""
    path = nifti(abdomen(shape), np.diag([*spacing, 1.0]))(tmp_path)

    refuse_other_than_ct(usable(read_scan_file(path, "CT").volume()))


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((30, 40, 40)), "all voxels are 0"),
        (np.arange(48_000.0).reshape(30, 40, 40), "Is this an MR"),
        (np.broadcast_to(np.float32(0), (MOST_VOXELS // 100 + 1, 10, 10)), "GB of memory"),
    ],
    ids=["constant", "no HU", "too large"],
)
def test_what_is_no_ct_is_refused_by_name(array: NDArray[np.float64], reason: str) -> None:
    """Also where no file is read: in the node."""
    with pytest.raises(UnusableVolumeError, match=reason):
        refuse_other_than_ct(
            made_volume(array.astype(np.float32, copy=False), np.diag([5.0, 5.0, 5.0, 1.0]))
        )


def test_a_liver_larger_than_any_is_refused() -> None:
    """Noise once gave 130 litres."""
    refuse_impossible_liver(5000)

    with pytest.raises(UnusableVolumeError, match=r"130,765 mL"):
        refuse_impossible_liver(130_765)


def test_without_pixels_the_header_alone_answers(tmp_path: Path) -> None:
    """A constant CT is told as a CT by its modality; its pixels do not speak."""
    scan = read_scan_file(nifti(np.zeros((64, 64, 20), np.int16))(tmp_path), "CT")

    with pytest.raises(UnusableVolumeError, match="something to see"):
        usable(scan.volume())
    fused = fuse_witnesses(scan.labels, None, 0.6)
    assert fused.classes["sequence"].value == "CT"
    assert fused.classes["contrast"].value is None


@pytest.mark.parametrize("factor", [100, 1_000_000])
def test_a_scan_larger_than_a_patient_is_not_recognised(factor: int, tmp_path: Path) -> None:
    """The classifier's grid grows with its millimetres: 1 TB of memory was asked for."""
    affine = SPACING @ np.diag([factor, factor, factor, 1.0])
    scan = read_scan_file(nifti(abdomen(), affine)(tmp_path), "CT")

    with pytest.raises(UnusableVolumeError, match="voxel sizes in mm"):
        usable(scan.seen())


OUTPUTS = {
    "another format": ("mask.mha", "ends with .nii or .nii.gz"),
    "no ending": ("mask", "ends with .nii or .nii.gz"),
    "no such folder": ("none/mask.nii.gz", "in a folder that is there"),
    "a folder": ("in.nii", "the name of a file"),
    "the scan itself": ("scan.nii.gz", "is the scan itself"),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_mask_that_could_not_be_written_is_refused_before_the_work(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The scan stays as it was; nothing is written elsewhere instead."""
    scan = nifti(abdomen())(tmp_path)
    (tmp_path / "in.nii").mkdir()
    before, there = scan.read_bytes(), sorted(tmp_path.rglob("*"))
    out, why = OUTPUTS[name]
    monkeypatch.setattr(
        sys, "argv", ["radnet", "segment", str(scan), "--out", str(tmp_path / out)]
    )

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert why in capsys.readouterr().err
    assert scan.read_bytes() == before
    assert sorted(tmp_path.rglob("*")) == there


def test_a_name_in_brackets_is_told_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are no markup, and a long line is not cut in two."""
    path = tmp_path / f"scan [b] {'long' * 30}.nii"
    path.write_bytes(b"no NIfTI")
    monkeypatch.setattr(sys, "argv", ["radnet", "classify", str(path), "--json"])

    with pytest.raises(SystemExit) as ended:
        main()

    told = capsys.readouterr()
    assert ended.value.code == 2
    assert path.name in told.err
    assert told.out == ""


def test_weights_that_could_not_be_written_are_refused_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a night's steps a missing folder was a traceback."""
    out = tmp_path / "none" / "w.safetensors"
    command = ["radnet", "train", "liver", "--steps", "1", "--phantoms", "1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", command)

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert "in a folder that is there" in capsys.readouterr().err
