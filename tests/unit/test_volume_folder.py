"""A folder as people have it: the series that is meant, among other things."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import UID, SecondaryCaptureImageStorage

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


BESIDE: dict[str, tuple[Callable[[Path], object], str]] = {
    "notes": (lambda f: (f / "README.txt").write_text("Doe, Jane"), "1 x file that is no DICOM"),
    "thumbnails": (lambda f: (f / ".DS_Store").write_bytes(bytes(300)), "1 x file that is no"),
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
