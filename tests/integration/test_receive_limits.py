"""Watermarks on the disk."""

import errno
import os
from pathlib import Path

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from node.receive.disk_space import MIB, DiskSpace, free_under
from node.receive.statuses import StoreStatus
from node.settings import ReceiveSection
from tests.outbound import ct_slice
from tests.receiver import running_receiver, send

FREE_UNDER = "node.receive.storage_scp.free_under"


def test_full_disk_is_refused_before_damage_and_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A700 while there is no room; nothing kept is removed; then the same instance is taken."""
    free = 2000 * MIB
    watermarks = ReceiveSection(warn_below_free_mib=500, refuse_below_free_mib=100)
    monkeypatch.setattr(FREE_UNDER, lambda _: lambda: free)
    with running_receiver(tmp_path, watermarks) as node:
        assoc = node.associate()
        assert send(assoc, ct_slice(1)) == StoreStatus.SUCCESS
        free = 99 * MIB
        assert send(assoc, ct_slice(2)) == StoreStatus.OUT_OF_RESOURCES
        assert len(node.stored()) == 1
        free = 2000 * MIB
        assert send(assoc, ct_slice(2)) == StoreStatus.SUCCESS
        assoc.release()


@pytest.mark.parametrize("side", [16, 1024])
def test_a_disk_that_cannot_be_asked_for_room_is_out_of_resources(
    tmp_path: Path, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share that went away: the peer tries again, as it would not after C000."""
    gone = True

    def free() -> int:
        if gone:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return free_under(tmp_path)()

    monkeypatch.setattr(FREE_UNDER, lambda _: free)
    with running_receiver(tmp_path) as node:
        assoc = node.associate()
        assert send(assoc, ct_slice(1, side=side)) == StoreStatus.OUT_OF_RESOURCES
        gone = False
        assert send(assoc, ct_slice(1, side=side)) == StoreStatus.SUCCESS
        assoc.release()


def test_each_watermark_is_told_once() -> None:
    """A thousand refusals are one line, and the way back is another."""
    free = [2000, 400, 400, 90, 90, 90, 2000]
    room = DiskSpace(lambda: free.pop(0) * MIB, 500, 100)

    with capture_logs() as logs:
        taken = [room.reserve(1) for _ in range(7)]

    assert taken == [True, True, True, False, False, False, True]
    assert [line["state"] for line in logs] == ["low", "refusing", "enough"]


def test_an_instance_that_does_not_fit_counts_itself() -> None:
    """What is about to be written is part of the sum."""
    room = DiskSpace(lambda: 150 * MIB, 500, 100)

    assert room.reserve(40 * MIB)
    assert not room.reserve(60 * MIB)


def test_free_room_is_measured(tmp_path: Path) -> None:
    """On the disk of the instances."""
    assert free_under(tmp_path)() > 0


def test_watermarks_in_the_wrong_order_are_refused() -> None:
    """A warning after the refusal would be none."""
    with pytest.raises(ValidationError, match="warn_below_free_mib"):
        ReceiveSection(warn_below_free_mib=1, refuse_below_free_mib=2)
