"""A data set on its way: memory while it is small, one file then, and nothing left behind."""

import hashlib
from pathlib import Path
from unittest.mock import Mock

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.receive.disk_space import MIB, DiskSpace
from node.receive.encoded import file_head
from node.receive.spool import Intake, MemoryBudget, Spool
from node.receive.statuses import StoreStatus
from node.store.files import InstanceFiles

PIECE = bytes(range(256)) * 256  # 64 KiB


class Disk:
    """An intake on a disk of a chosen size."""

    def __init__(self, folder: Path, budget: int = 8 * MIB, largest: int = 64 * MIB) -> None:
        self.free = 1000 * MIB
        self.room = DiskSpace(lambda: self.free, 20, 10)
        self.budget = MemoryBudget(budget)
        self.files = InstanceFiles(folder)
        self.intake = Intake(self.files, self.room, self.budget, largest)

    def begin(self) -> Spool:
        """Begin a data set."""
        return self.intake.begin(CTImageStorage, "1.2.3", ExplicitVRLittleEndian)

    def parts(self) -> list[Path]:
        """Return the unnamed files."""
        return list((self.files.root / "incoming").glob("*"))

    def untouched(self) -> bool:
        """Tell whether nothing is held: no file, no room, no memory."""
        self.free = 1000 * MIB
        spare = self.free - 10 * MIB  # what may be taken where nothing is reserved
        room = self.room.reserve(spare) and not self.room.reserve(1)
        self.room.release(spare)
        return not self.parts() and room and self.budget.take(8 * MIB) and not self.budget.take(1)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """Return an intake with room."""
    return Disk(tmp_path)


def fill(spool: Spool, pieces: int) -> bytes:
    """Write so many pieces; return the whole."""
    for _ in range(pieces):
        spool.write(memoryview(PIECE))
    return PIECE * pieces


@pytest.mark.parametrize(("pieces", "files"), [(0, 0), (16, 0), (17, 1), (200, 1)])
def test_a_data_set_is_whole_in_memory_or_in_its_file(disk: Disk, pieces: int, files: int) -> None:
    """1 MiB stays in memory; digest, size and bytes are the same either way."""
    spool = disk.begin()
    whole = fill(spool, pieces)
    assert len(disk.parts()) == files

    assert spool.settle()
    assert spool.size == len(whole)
    assert spool.sha256 == hashlib.sha256(whole).hexdigest()
    with spool.opened() as file:
        assert file.read(len(whole) + 1) == whole
    disk.files.name(spool.part(), Path("instances/x"))
    assert disk.files.absolute(Path("instances/x")).read_bytes() == spool.head + whole
    spool.discard()
    spool.discard()
    assert disk.untouched()


def test_without_memory_a_small_one_goes_to_its_file(tmp_path: Path) -> None:
    """Nobody waits for somebody else's memory, so nobody can wait for ever."""
    disk = Disk(tmp_path, budget=2 * len(PIECE))
    first, second, third = disk.begin(), disk.begin(), disk.begin()
    fill(first, 2)
    whole = fill(second, 3)
    assert len(disk.parts()) == 1
    with second.opened() as file:
        assert file.read(len(whole) + 1) == whole

    first.discard()
    fill(third, 2)
    assert len(disk.parts()) == 1

    second.discard()
    third.discard()
    assert not disk.parts()


@pytest.mark.parametrize("pieces", [3, 16, 17, 40])
@pytest.mark.parametrize("start", [0, 78])
def test_what_was_found_is_what_is_kept(disk: Disk, pieces: int, start: int) -> None:
    """Another encoding, and octets in front that are no part of the data set."""
    spool = disk.begin()
    whole = fill(spool, pieces)
    assert spool.settle()

    assert spool.relabel(ImplicitVRLittleEndian, start)

    kept = whole[start:]
    head = file_head(CTImageStorage, "1.2.3", ImplicitVRLittleEndian, whole[:start])
    with spool.part() as part:
        assert part.path.read_bytes() == head + kept
    assert (spool.size, spool.sha256) == (len(kept), hashlib.sha256(kept).hexdigest())
    spool.discard()
    assert disk.untouched()


def test_what_cannot_be_written_anew_is_refused(disk: Disk) -> None:
    """There was room for one file, and there is none for another."""
    spool = disk.begin()
    fill(spool, 40)
    disk.free = 9 * MIB

    assert spool.settle()
    assert not spool.relabel(ImplicitVRLittleEndian, 0)

    assert spool.refused == StoreStatus.OUT_OF_RESOURCES
    assert disk.untouched()


def test_a_disk_that_fails_meanwhile_leaves_nothing(
    disk: Disk, full: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told to the peer; no file stays."""
    spool = disk.begin()
    fill(spool, 40)
    with monkeypatch.context() as patched:
        patched.setattr("os.write", full)
        with pytest.raises(OSError, match="No space"):
            spool.relabel(ImplicitVRLittleEndian, 78)
    spool.discard()

    assert disk.untouched()


def test_too_large_is_refused_and_the_rest_dropped(tmp_path: Path) -> None:
    """A700, and neither memory nor disk is held for what still comes."""
    disk = Disk(tmp_path, largest=4 * MIB)
    spool = disk.begin()
    fill(spool, 65)
    assert spool.refused == StoreStatus.OUT_OF_RESOURCES
    fill(spool, 100)

    assert spool.size == 165 * len(PIECE)
    assert not spool.settle()
    assert disk.untouched()


@pytest.mark.parametrize("at", [1, 17, 30])
def test_a_write_that_fails_is_refused(
    disk: Disk, at: int, full: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENOSPC in the middle, though there seemed to be room: no partial file stays."""
    spool = disk.begin()
    fill(spool, at)

    with monkeypatch.context() as patched:
        patched.setattr("os.write", full)
        fill(spool, 20)

    assert spool.refused == StoreStatus.OUT_OF_RESOURCES
    assert disk.untouched()


@pytest.mark.parametrize("pieces", [5, 40])
def test_below_the_watermark_nothing_is_kept(disk: Disk, pieces: int) -> None:
    """A700 before damage, whether it would have gone through memory or not."""
    disk.free = 10 * MIB
    spool = disk.begin()
    fill(spool, pieces)

    assert not spool.settle()
    assert spool.refused == StoreStatus.OUT_OF_RESOURCES
    assert disk.untouched()


def test_the_watermark_is_looked_at_all_the_way(disk: Disk) -> None:
    """A data set that began with room and outgrows it."""
    spool = disk.begin()
    fill(spool, 20)
    assert disk.parts()
    disk.free = 9 * MIB
    fill(spool, 256)

    assert spool.refused == StoreStatus.OUT_OF_RESOURCES
    assert disk.untouched()


def test_what_is_in_flight_counts(disk: Disk) -> None:
    """Two associations are not both promised the last octets."""
    disk.free = 11 * MIB
    one, other = disk.begin(), disk.begin()
    fill(one, 10)
    fill(other, 10)

    assert one.settle()
    assert not other.settle()
    one.discard()
    other.discard()
    assert disk.untouched()
