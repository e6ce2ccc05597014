"""Instances as files: durable under their name, or not there; nothing outside the root."""

import os
from pathlib import Path
from unittest.mock import Mock

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import InvalidInstanceError, StoreError
from node.store.files import InstanceFiles
from node.store.paths import Identity, apart
from tests.outbound import ct_slice

HERE = Path("instances/1.2/1.2.3/1.2.3.4.dcm")


@pytest.fixture
def files(tmp_path: Path) -> InstanceFiles:
    """Return an empty storage root."""
    return InstanceFiles(tmp_path)


def put(files: InstanceFiles, write: str, path: Path, *chunks: bytes | memoryview) -> None:
    """Write a file in one of the two ways."""
    if write == "write":
        files.write(path, *chunks)
    else:
        files.write_new(path, *chunks).wait()


def found(files: InstanceFiles) -> list[Path]:
    """Return every file under the root."""
    return [path for path in files.root.rglob("*") if path.is_file()]


@pytest.mark.parametrize("write", ["write", "write_new"])
def test_bytes_are_kept_in_order(files: InstanceFiles, write: str) -> None:
    """In as many pieces as they come; a file of that name is replaced."""
    put(files, write, HERE, b"first")
    put(files, write, HERE, b"head", memoryview(b"data"), b"")

    assert files.absolute(HERE).read_bytes() == b"headdata"
    assert found(files) == [files.absolute(HERE)]


@pytest.mark.parametrize("write", ["write", "write_new"])
def test_the_file_and_every_new_name_are_synced(
    files: InstanceFiles, write: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data, the file's name, and the names of the folders that were missing."""
    synced: list[Path] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        sync(descriptor)

    monkeypatch.setattr("os.fsync", noted)
    put(files, write, HERE, b"data")

    folder = files.absolute(HERE).parent
    assert {folder, folder.parent, folder.parent.parent, files.root} <= set(synced)
    assert any(path.suffix in (".part", ".dcm") for path in synced)


@pytest.mark.parametrize("write", ["write", "write_new"])
@pytest.mark.parametrize("call", ["write", "fsync", "open"])
def test_a_failure_leaves_nothing(
    files: InstanceFiles, write: str, call: str, full: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the disk is full, no part and no file stays behind."""
    put(files, write, Path("instances/1.2/1.2.3/other.dcm"), b"makes the folders")

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.open" if call == "open" else f"os.{call}", full)
        with pytest.raises(OSError, match="No space left"):
            put(files, write, HERE, b"data")

    assert [path.name for path in found(files)] == ["other.dcm"]


def test_a_short_write_goes_on(files: InstanceFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """write(2) may take fewer bytes than it was given."""
    write = os.write
    monkeypatch.setattr("os.write", lambda fd, data: write(fd, bytes(data[:3])))

    files.write(HERE, b"0123456789")

    assert files.absolute(HERE).read_bytes() == b"0123456789"


def test_half_written_files_are_cleared(files: InstanceFiles) -> None:
    """Those of a killed receiver; instances stay."""
    files.write(HERE, b"data")
    (files.root / "incoming" / "left.part").write_bytes(b"da")

    assert files.clear_incoming() == 1

    assert found(files) == [files.absolute(HERE)]
    assert InstanceFiles(files.root / "new").clear_incoming() == 0


def test_other_bytes_get_a_name_of_their_own() -> None:
    """Beside the first, told apart by their digest."""
    assert apart(HERE, "0123456789abcdef" * 4).name == "1.2.3.4.0123456789abcdef.dcm"
    assert apart(HERE, "0" * 64).parent == HERE.parent


@given(
    st.one_of(
        st.text(alphabet="./\\0129a\0 ~", max_size=70),
        st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,20}", fullmatch=True),
    )
)
def test_no_uid_leads_out_of_the_root(uid: str) -> None:
    """Either it is refused, or its path has the parts it should have."""
    try:
        path = Identity(uid, uid, uid, uid).path
    except InvalidInstanceError:
        return
    assert path.parts == ("instances", uid, uid, f"{uid}.dcm")
    assert set(uid) <= set("0123456789.")
    assert len(uid) <= 64


def test_a_derived_object_is_one_file(files: InstanceFiles) -> None:
    """The same object twice is the same file and the same digest."""
    ds = ct_slice(1)
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian

    first = files.write_derived(ds, 100.0)
    second = files.write_derived(ds, 200.0)

    assert first.path == second.path
    assert first.sha256 == second.sha256
    assert first.origin == "derived"
    assert pydicom.dcmread(files.absolute(first.path)).PixelData == ds.PixelData


def test_a_full_disk_for_a_derived_object_is_a_store_error(
    files: InstanceFiles, full: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step fails with a reason and runs again later."""
    ds = ct_slice(1)
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    monkeypatch.setattr("os.fsync", full)

    with pytest.raises(StoreError, match="No space left on device"):
        files.write_derived(ds, 100.0)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("DOE^JANE", "8 characters, 8 of them no digit or dot"),
        ("1.2.840.DOE^JANE", "16 characters, 8 of them no digit or dot"),
        ("", "0 characters"),
        ("1..2", "4 characters"),
    ],
)
def test_a_malformed_uid_is_told_without_what_stands_in_it(value: str, found: str) -> None:
    """It goes into the log, and a broken sender may have put a name there."""
    with pytest.raises(InvalidInstanceError) as raised:
        Identity("1.2", value, "1.2", "1.2")

    assert f"series_instance_uid has {found}" in str(raised.value)
    assert "DOE" not in str(raised.value)
