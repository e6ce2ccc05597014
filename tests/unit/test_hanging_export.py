"""`radnode hanging export` writes five files, and over nothing that is not its own."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import HangingProtocolStorage
from typer.testing import CliRunner, Result

from node.cli import radnode
from node.hanging.build import build_hanging_protocol
from node.hanging.protocols import PROTOCOLS
from node.identity import contributing_equipment
from tests.made_ct import made_slice

NAMES = [f"radnet-{protocol.short_name}.dcm" for protocol in PROTOCOLS]
MADE = ("--made", "2020-02-03T08:00+00:00")


def _export(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(radnode, ["hanging", "export", str(folder), *options])


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_it_writes_an_object_for_each_protocol(tmp_path: Path) -> None:
    """Into a folder that it makes; what it wrote, in the order of the protocols."""
    folder = tmp_path / "a" / "hanging"

    done = _export(folder, *MADE, "--creator", "Radiologie Süd")

    assert done.exit_code == 0
    assert [line.partition(": ")[0] for line in done.stdout.splitlines()] == [
        str(folder / name) for name in NAMES
    ]
    assert "Brain MR: T1 | T1 + agent | T2 | FLAIR" in done.stdout
    assert sorted(_bytes(folder)) == sorted(NAMES)
    for name in NAMES:
        read = dcmread(folder / name)
        assert read.SOPClassUID == HangingProtocolStorage
        assert read.HangingProtocolCreator == "Radiologie Süd"
        assert read.HangingProtocolCreationDateTime == "20200203080000+0000"


def test_the_same_moment_gives_the_same_bytes(tmp_path: Path) -> None:
    """Its own files are written over; without a moment it is now, which is another."""
    _export(tmp_path, *MADE)
    first = _bytes(tmp_path)

    assert _export(tmp_path, *MADE).exit_code == 0
    assert _bytes(tmp_path) == first
    assert _export(tmp_path).exit_code == 0
    assert all(content != first[name] for name, content in _bytes(tmp_path).items())


def test_descriptions_of_the_site_go_into_their_panes(tmp_path: Path) -> None:
    """Several of one pane, with an equals sign in them too."""
    texts = ("T1 SE tra", "t1=ax")
    series = [word for text in texts for word in ("--series", f"brain/t1= {text} ")]

    assert _export(tmp_path, *series).exit_code == 0

    first, *others = dcmread(tmp_path / "radnet-brain.dcm").ImageSetsSequence
    assert [*first.ImageSetSelectorSequence[2].SelectorLOValue] == [
        "3D-RADNet: T1 axial noncontrast", "3D-RADNet: T1-FLAIR axial noncontrast", *texts,
    ]  # fmt: skip
    assert all(texts[0] not in str(one) for one in others)


def _put_image(path: Path) -> None:
    dcmwrite(path, made_slice(0), enforce_file_format=True)


def _put_image_of_ours(path: Path) -> None:
    image = made_slice(0)
    image.ContributingEquipmentSequence = [contributing_equipment()]
    dcmwrite(path, image, enforce_file_format=True)


def _protocol() -> Dataset:
    return build_hanging_protocol(PROTOCOLS[0], datetime(2020, 2, 3, tzinfo=UTC))


def _put_protocol_of_another_maker(path: Path) -> None:
    made = _protocol()
    del made.ContributingEquipmentSequence
    dcmwrite(path, made, enforce_file_format=True)


def _put_text(path: Path) -> None:
    path.write_text("not DICOM", encoding="utf-8")


def _put_link(path: Path) -> None:
    ours = path.parents[1] / f"{path.parent.name}.dcm"
    dcmwrite(ours, _protocol(), enforce_file_format=True)
    path.symlink_to(ours)


@pytest.mark.parametrize(
    "put",
    [
        _put_image, _put_image_of_ours, _put_protocol_of_another_maker, _put_text, _put_link,
        Path.mkdir,
    ],
)  # fmt: skip
def test_a_foreign_file_stays_and_nothing_is_written(
    put: Callable[[Path], None], tmp_path: Path
) -> None:
    """Neither over it nor beside it."""
    put(tmp_path / NAMES[3])
    before = os.lstat(tmp_path / NAMES[3])

    done = _export(tmp_path)

    assert done.exit_code == 1
    assert NAMES[3] in done.stderr
    after = os.lstat(tmp_path / NAMES[3])
    assert (after.st_ino, after.st_mode, after.st_mtime_ns) == (
        before.st_ino, before.st_mode, before.st_mtime_ns,
    )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == [NAMES[3]]


def test_a_folder_that_cannot_be_written_fails(tmp_path: Path) -> None:
    """It says so; a parent that is a file is no folder for anybody, the superuser too."""
    (tmp_path / "file").write_text("", encoding="utf-8")

    done = _export(tmp_path / "file" / "below")

    assert done.exit_code == 1
    assert "cannot be written: Not a directory" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--series", "brain/t9=T1"), "brain/t1"),
        (("--series", "liver/ct=T1"), "brain/t1"),
        (("--series", "brain/t1"), "PANE=TEXT"),
        (("--series", "brain/t1= "), "PANE=TEXT"),
        (("--series", "brain/t1=T1\\T2"), "no backslash"),
        (("--series", "brain/t1=" + "x" * 65), "64 characters"),
        (("--series", "brain/t1=a\nb"), "64 characters"),
        (("--creator", "a\\b"), "no backslash"),
        (("--made", "tomorrow"), "--made"),
        (tuple(w for n in range(99) for w in ("--series", f"brain/t1={n}")), "more than 100"),
    ],
)
def test_wrong_usage_writes_nothing(options: tuple[str, ...], said: str, tmp_path: Path) -> None:
    """Exit status 2, and what was expected."""
    done = _export(tmp_path / "out", *options)

    assert done.exit_code == 2
    assert said in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    """It is left as it is."""
    (tmp_path / "file").write_text("mine", encoding="utf-8")

    assert _export(tmp_path / "file").exit_code == 2
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"
