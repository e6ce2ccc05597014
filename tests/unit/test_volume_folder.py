"""A folder as people have it: the series that is meant, among other things."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import UID, MediaStorageDirectoryStorage, SecondaryCaptureImageStorage

from radnet.errors import UnusableVolumeError
from radnet.volume.folder import choose_series
from tests.made_ct import SERIES, SHAPE, write_ct


def add(folder: Path, name: str, edit: Callable[[Dataset], None]) -> None:
    """Write a copy of the first slice under another UID, changed by `edit`."""
    ds = dcmread(folder / "0.dcm")
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(f"{SERIES}.99")
    edit(ds)
    ds.save_as(folder / name)


def capture(ds: Dataset) -> None:
    """Make it a secondary capture."""
    ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage


def of_other_series(ds: Dataset) -> None:
    """Give it another Series Instance UID."""
    ds.SeriesInstanceUID = f"{SERIES}.7"


def localizer(ds: Dataset) -> None:
    """Make it a localizer of another series."""
    of_other_series(ds)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]


def directory(ds: Dataset) -> None:
    """Make it a DICOMDIR: it lists images and holds none."""
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage


FINDER = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X" + bytes(100)

BESIDE: dict[str, tuple[Callable[[Path], object], str]] = {
    "notes": (lambda f: (f / "README.txt").write_text("Doe, Jane"), "1 x file that is no DICOM"),
    "thumbnails": (lambda f: (f / ".DS_Store").write_bytes(bytes(300)), "1 x file that is no"),
    "empty": (lambda f: (f / "9.dcm").touch(), "1 x empty file (0 bytes); if it was a slice"),
    "empty without a name": (lambda f: (f / "IM0009").touch(), "1 x empty file (0 bytes)"),
    "Finder": (lambda f: (f / "._0.dcm").write_bytes(FINDER), "1 x note of a Mac's Finder"),
    "NRRD": (lambda f: (f / "mask.nrrd").write_bytes(b"NRRD0004\n"), "1 x NRRD file"),
    "directory": (lambda f: add(f, "DICOMDIR", directory), ""),
    "secondary capture": (lambda f: add(f, "sc", capture), "1 x Secondary Capture Image Storage"),
    "localizer": (lambda f: add(f, "loc", localizer), "1 x localizer"),
    "copy": (
        lambda f: (f / "copy.dcm").write_bytes((f / "0.dcm").read_bytes()),
        "1 x copy of an instance",
    ),
}


@pytest.mark.parametrize("name", BESIDE)
def test_what_lies_beside_a_series_is_left_out_and_told(name: str, tmp_path: Path) -> None:
    """A note in the folder once made its scan unreadable."""
    slices = write_ct(tmp_path)
    write, told = BESIDE[name]
    write(tmp_path)

    chosen = choose_series(tmp_path)

    assert chosen.paths == tuple(slices)
    assert told in "; ".join(chosen.left_out)
    assert "Doe" not in "; ".join(chosen.left_out)


def test_of_several_series_one_must_be_named(tmp_path: Path) -> None:
    """They are listed by UID; a volume of two series would be a chimera."""
    slices = write_ct(tmp_path)
    add(tmp_path, "other.dcm", of_other_series)

    with pytest.raises(UnusableVolumeError, match=r"several series.*--series") as refused:
        choose_series(tmp_path)
    chosen = choose_series(tmp_path, SERIES)

    assert f"{SERIES} (CT, {SHAPE[0]} instances), {SERIES}.7 (CT, 1 instances)" in str(
        refused.value
    )
    assert chosen.paths == tuple(slices)
    assert "1 x instance of other series" in chosen.left_out[0]
    with pytest.raises(UnusableVolumeError, match=r"no series 1\.2\.3"):
        choose_series(tmp_path, "1.2.3")


def test_two_files_of_one_uid_that_differ_both_stay(tmp_path: Path) -> None:
    """Which of them is right is not ours to say: the volume is refused later."""
    write_ct(tmp_path)
    add(tmp_path, "7.dcm", lambda ds: setattr(ds, "SOPInstanceUID", f"{SERIES}.1"))

    assert len(choose_series(tmp_path).paths) == SHAPE[0] + 1


@pytest.mark.parametrize("content", [b"no DICOM", bytes(128) + b"DICM" + b"\2\0\0\0UL"])
def test_a_slice_that_cannot_be_read_is_not_left_out(content: bytes, tmp_path: Path) -> None:
    """It may be the one with the tumour."""
    write_ct(tmp_path)
    (tmp_path / "3.dcm").write_bytes(content)

    with pytest.raises(UnusableVolumeError, match=r"3\.dcm: cannot be read|several series"):
        choose_series(tmp_path)


def test_a_folder_without_images_is_told(tmp_path: Path) -> None:
    """Empty, or of other things."""
    (tmp_path / "notes.txt").write_text("nothing")

    with pytest.raises(UnusableVolumeError, match="no DICOM images among 1 files"):
        choose_series(tmp_path)


def analyze(path: Path) -> None:
    """Write an Analyze 7.5 image."""
    nib.save(nib.AnalyzeImage(np.zeros((4, 4, 4), np.int16), np.eye(4)), path.with_suffix(".hdr"))


def pair(path: Path) -> None:
    """Write a NIfTI pair."""
    nib.save(nib.Nifti1Pair(np.zeros((4, 4, 4), np.int16), np.eye(4)), path.with_suffix(".hdr"))


def free_surfer(path: Path) -> None:
    """Write a FreeSurfer volume."""
    nib.save(nib.MGHImage(np.zeros((4, 4, 4), np.float32), np.eye(4)), path)


def of(content: bytes) -> Callable[[Path], object]:
    """Return what writes `content`."""
    return lambda path: path.write_bytes(content)


FOREIGN: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "empty": ("a.dcm", of(b""), r"empty file \(0 bytes\); it was not copied whole"),
    "analyze": ("a.hdr", analyze, "Analyze 7.5 file; it does not say how the patient lies"),
    "analyze voxels": ("a.img", analyze, "Analyze 7.5 file"),
    "mgz": ("a.mgz", free_surfer, "FreeSurfer volume .MGH.; convert it: mri_convert"),
    "mgh": ("a.mgh", free_surfer, "FreeSurfer volume"),
    "mgh by content": ("brain", of(b"\0\0\0\1\0\0\0\4" + bytes(300)), "FreeSurfer volume"),
    "nrrd": ("nrrd", of(b"NRRD0004\ntype: short\n"), "NRRD file; give the file itself.*nhdr"),
    "mha": ("mha", of(b"ObjectType = Image\nNDims = 3\n"), "MetaImage file; give the file.*mhd"),
    "mhd": ("a.mhd", of(b"NDims = 3\n"), "MetaImage file"),
    "zip": ("a.zip", of(b"PK\x03\x04" + bytes(60)), "ZIP archive; unpack it"),
    "picture": ("a.png", of(b"\x89PNG\r\n\x1a\n"), "PNG picture"),
}


@pytest.mark.parametrize(("name", "write", "told"), FOREIGN.values(), ids=FOREIGN.keys())
def test_another_format_is_called_by_its_name_with_what_to_do(
    name: str, write: Callable[[Path], object], told: str, tmp_path: Path
) -> None:
    """Given by itself, or in a folder that holds nothing else."""
    write(tmp_path / name)

    with pytest.raises(UnusableVolumeError, match=told):
        choose_series(tmp_path / name)
    with pytest.raises(UnusableVolumeError, match=r"no DICOM images among \d files; .*"):
        choose_series(tmp_path)


def test_a_folder_of_nifti_says_to_give_the_file(tmp_path: Path) -> None:
    """A pair or a single file."""
    pair(tmp_path / "a.hdr")

    with pytest.raises(UnusableVolumeError, match=r"2 x NIfTI pair .*; give the file itself"):
        choose_series(tmp_path)


def test_a_dicomdir_by_itself_says_to_give_its_folder(tmp_path: Path) -> None:
    """It lists images and holds none."""
    write_ct(tmp_path / "ct")
    add(tmp_path / "ct", "DICOMDIR", directory)

    with pytest.raises(UnusableVolumeError, match=r"DICOMDIR.*give their folder"):
        choose_series(tmp_path / "ct" / "DICOMDIR")


def test_dicom_is_dicom_whatever_it_is_called(tmp_path: Path) -> None:
    """Old discs call their images .img, and a lone file may have any name."""
    slices = write_ct(tmp_path)
    for path in slices:
        path.rename(path.with_suffix(".img"))

    assert len(choose_series(tmp_path).paths) == SHAPE[0]
    assert len(choose_series(tmp_path / "0.img").paths) == 1
