"""Large instances: on disk while they come in, memory flat, and no more disk than there is."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from node.receive.statuses import StoreStatus
from tests.node_process import MIB, ReceiverProcess, running_receiver_process, wait_for
from tests.outbound import ct_slice
from tests.receiver import encoded
from tests.wire import P_DATA_TF, Wire, pdu, pdv, store_rq

FRAGMENT = bytes(range(256)) * 400  # 100 KiB


def large(number: int, octets: int) -> tuple[Dataset, Iterator[bytes]]:
    """Return an instance without its pixels, and all of it in fragments, made as they go."""
    ds = ct_slice(number)
    ds.PixelData = b"\0\0"
    head = encoded(ds)[:-6]
    count = octets // len(FRAGMENT)
    length = (count * len(FRAGMENT)).to_bytes(4, "little")

    def fragments() -> Iterator[bytes]:
        yield head + length
        for _ in range(count):
            yield FRAGMENT

    return ds, fragments()


def told(line: str) -> None:
    """Show a figure (with pytest -rP)."""
    sys.stdout.write(f"{line}\n")


def sent(receiver: ReceiverProcess, number: int, octets: int) -> int:
    """Send one large instance over an association of its own."""
    ds, fragments = large(number, octets)
    with Wire(receiver.port) as wire:
        status = wire.associate().store(ds.SOPInstanceUID, fragments)
        wire.release()
    return status


def parts(receiver: ReceiverProcess) -> list[Path]:
    """Return what lies under incoming."""
    return list((receiver.data / "incoming").glob("*"))


def test_memory_is_flat_with_the_size_of_instances(tmp_path: Path) -> None:
    """150 MB take no more memory than 3 MB do; every byte arrives, hashed on its way."""
    with running_receiver_process(tmp_path) as receiver:
        assert sent(receiver, 1, 3 * MIB) == StoreStatus.SUCCESS
        receiver.forget_peak()
        before = receiver.peak
        assert sent(receiver, 2, 150 * MIB) == StoreStatus.SUCCESS
        grown = receiver.peak - before
        told(f"150 MiB instance: peak RSS {receiver.peak // MIB} MiB, grown by {grown >> 10} KiB")
        assert grown < 8 * MIB

        ds, fragments = large(2, 150 * MIB)
        kept = receiver.catalog.instances.get(ds.SOPInstanceUID)
        assert kept is not None
        path = receiver.data / kept.path
        whole, digest = 0, hashlib.sha256()
        for one in fragments:
            whole += len(one)
            digest.update(one)
        assert (kept.size, kept.sha256) == (whole, digest.hexdigest())
        assert dcmread(path, stop_before_pixels=True).SOPInstanceUID == ds.SOPInstanceUID
        with path.open("rb") as file:
            file.seek(-whole, os.SEEK_END)
            assert hashlib.file_digest(file, "sha256").hexdigest() == kept.sha256
        assert not parts(receiver)


def test_memory_is_flat_with_the_number_of_associations(tmp_path: Path) -> None:
    """20 associations in the middle of an instance hold no more than the budget."""
    with running_receiver_process(tmp_path, receive="memory_mib = 2") as receiver:
        assert sent(receiver, 0, 3 * MIB) == StoreStatus.SUCCESS
        receiver.forget_peak()
        before = receiver.peak
        wires = [Wire(receiver.port).associate() for _ in range(20)]
        for number, wire in enumerate(wires):
            ds, fragments = large(number + 1, 5 * MIB)
            wire.send(pdu(P_DATA_TF, pdv(1, 3, store_rq(ds.SOPClassUID, ds.SOPInstanceUID))))
            for one in fragments:
                wire.send(pdu(P_DATA_TF, pdv(1, 0, one)))
        wait_for(lambda: len(parts(receiver)) == 20, "twenty unfinished files")
        grown = receiver.peak - before
        told(f"20 associations of 5 MiB each: grown by {grown >> 10} KiB")
        assert grown < 30 * MIB

        for wire in wires[:10]:
            wire.send(pdu(P_DATA_TF, pdv(1, 2, b"")))
            assert wire.status() == StoreStatus.SUCCESS
        for wire in wires:
            wire.socket.close()
        wait_for(lambda: not parts(receiver), "unfinished files to go")


def test_an_instance_beyond_the_limit_is_refused_and_the_next_taken(tmp_path: Path) -> None:
    """A700 on an association that goes on; nothing of it stays."""
    with (
        running_receiver_process(tmp_path, receive="maximum_instance_mib = 4") as receiver,
        Wire(receiver.port) as wire,
    ):
        wire.associate()
        ds, fragments = large(1, 40 * MIB)
        assert wire.store(ds.SOPInstanceUID, fragments) == StoreStatus.OUT_OF_RESOURCES
        assert not parts(receiver)
        ds, fragments = large(2, 3 * MIB)
        assert wire.store(ds.SOPInstanceUID, fragments) == StoreStatus.SUCCESS
        wire.release()


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path]:
    """Mount a file system of so many MiB."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "radnode-test", str(folder)]
    made = subprocess.run(mount, capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"this needs to mount a tmpfs, as root: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def whole(receiver: ReceiverProcess, number: int) -> bool:
    """Tell whether an instance of 3 MiB is recorded, and its file holds every byte of it."""
    ds, fragments = large(number, 3 * MIB)
    kept = receiver.catalog.instances.get(ds.SOPInstanceUID)
    if kept is None:
        return False
    return (receiver.data / kept.path).read_bytes().endswith(b"".join(fragments))


@contextmanager
def receiver_on(folder: Path, mib: int, watermark: int) -> Iterator[ReceiverProcess]:
    """Run a receiver whose data are on a disk of so many MiB."""
    settings = folder / "settings"
    settings.mkdir()
    limits = f"refuse_below_free_mib = {watermark}\nwarn_below_free_mib = {watermark}"
    with (
        small_disk(folder / "disk", mib) as disk,
        running_receiver_process(settings, disk, limits) as receiver,
    ):
        yield receiver


@pytest.mark.parametrize("watermark", [0, 6], ids=["to the last octet", "to the watermark"])
def test_a_disk_that_fills_up_loses_nothing(tmp_path: Path, watermark: int) -> None:
    """Refusals are A700; what was acknowledged is there; freed, the peer's retry succeeds."""
    with receiver_on(tmp_path, 48, watermark) as receiver:
        ballast = receiver.data / "ballast"
        ballast.write_bytes(bytes(8 * MIB))
        statuses = [sent(receiver, number, 3 * MIB) for number in range(12)]
        acknowledged = [n for n, status in enumerate(statuses) if status == StoreStatus.SUCCESS]
        told(f"48 MiB disk: {len(acknowledged)} of 12 acknowledged, others {set(statuses)}")
        assert 0 < len(acknowledged) < 12
        assert set(statuses) == {StoreStatus.SUCCESS, StoreStatus.OUT_OF_RESOURCES}
        assert not parts(receiver)

        ballast.unlink()
        refused = [number for number in range(12) if number not in acknowledged]
        assert sent(receiver, refused[0], 3 * MIB) == StoreStatus.SUCCESS
        assert all(whole(receiver, number) for number in [*acknowledged, refused[0]])


def fill_up(ballast: Path) -> None:
    """Take the last octets of a disk that others write to as well."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass


def test_a_disk_that_fills_up_in_the_middle_leaves_no_partial_file(tmp_path: Path) -> None:
    """Somebody else takes the last octets while an instance comes in: ENOSPC, told as A700."""
    with receiver_on(tmp_path, 48, 0) as receiver:
        assert sent(receiver, 1, 3 * MIB) == StoreStatus.SUCCESS
        ballast = receiver.data / "ballast"
        ds, fragments = large(2, 12 * MIB)
        with Wire(receiver.port) as wire:
            wire.associate()
            wire.send(pdu(P_DATA_TF, pdv(1, 3, store_rq(ds.SOPClassUID, ds.SOPInstanceUID))))
            for number, one in enumerate(fragments):
                wire.send(pdu(P_DATA_TF, pdv(1, 0, one)))
                if number == 30:
                    wait_for(lambda: bool(parts(receiver)), "a file to be begun")
                    fill_up(ballast)
            wire.send(pdu(P_DATA_TF, pdv(1, 2, b"")))
            assert wire.status() == StoreStatus.OUT_OF_RESOURCES
            assert "No space left on device" in receiver.log()
            assert not parts(receiver)
            ballast.unlink()
            ds, fragments = large(3, 3 * MIB)
            assert wire.store(ds.SOPInstanceUID, fragments) == StoreStatus.SUCCESS
            wire.release()
        assert whole(receiver, 1)
        assert whole(receiver, 3)


def test_a_connection_that_breaks_leaves_no_file(tmp_path: Path) -> None:
    """In the middle of a large instance, by a reset."""
    with running_receiver_process(tmp_path) as receiver:
        ds, fragments = large(1, 5 * MIB)
        with Wire(receiver.port) as wire:
            wire.associate()
            wire.send(pdu(P_DATA_TF, pdv(1, 3, store_rq(ds.SOPClassUID, ds.SOPInstanceUID))))
            for one in fragments:
                wire.send(pdu(P_DATA_TF, pdv(1, 0, one)))
            wait_for(lambda: bool(parts(receiver)), "a file to be begun")
        wait_for(lambda: not parts(receiver), "the file to go")
        assert receiver.answers()
