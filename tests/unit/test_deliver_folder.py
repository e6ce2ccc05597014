"""A folder gets whole files or none."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from node.deliver.destination import OutboundInstance
from node.deliver.folder import FolderSender
from node.errors import TransientDeliveryError
from node.store.instances import Identity
from tests.outbound import series


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_arrive_as_their_own_bytes(tmp_path: Path) -> None:
    """Promise 5: what leaves is what came."""
    sent = series(tmp_path / "in", 3)
    sender = FolderSender("out", tmp_path / "out")

    outcomes = list(sender.send(sent))

    assert [(o.sop_instance_uid, o.state) for o in outcomes] == [
        (item.sop_instance_uid, "delivered") for item in sent
    ]
    for item in sent:
        copy = tmp_path / "out" / f"{item.sop_instance_uid}.dcm"
        assert copy.read_bytes() == item.path.read_bytes()


def test_sending_twice_is_the_same_as_once(tmp_path: Path) -> None:
    """Promise 3: a step that was killed runs again."""
    sent = series(tmp_path / "in", 2)
    sender = FolderSender("out", tmp_path / "out")
    list(sender.send(sent))
    before = _names(tmp_path / "out")

    outcomes = list(sender.send(sent))

    assert {outcome.state for outcome in outcomes} == {"delivered"}
    assert _names(tmp_path / "out") == before


def test_a_full_disk_leaves_nothing_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader of the folder must never see half a file under its final name."""
    sent = series(tmp_path / "in", 1)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("node.deliver.folder.os.fsync", full)

    (outcome,) = FolderSender("out", tmp_path / "out").send(sent)

    assert outcome.state == "retry"
    assert "No space left" in outcome.reason
    assert _names(tmp_path / "out") == []


def test_a_share_that_is_not_mounted_is_tried_again(tmp_path: Path) -> None:
    """Making the whole path would fill the local disk with what belongs on the share."""
    sender = FolderSender("out", tmp_path / "mnt" / "share")

    (outcome,) = sender.send(series(tmp_path / "in", 1))

    assert outcome.state == "retry"
    assert not (tmp_path / "mnt").exists()
    with pytest.raises(TransientDeliveryError, match="No such file"):
        sender.check()


def test_a_missing_source_does_not_stop_the_others(tmp_path: Path) -> None:
    """Trouble with one instance is that instance's outcome."""
    sent = series(tmp_path / "in", 3)
    sent[1].path.unlink()

    outcomes = list(FolderSender("out", tmp_path / "out").send(sent))

    assert [outcome.state for outcome in outcomes] == ["delivered", "retry", "delivered"]


def test_a_uid_that_is_a_path_is_refused(tmp_path: Path) -> None:
    """The UID becomes a file name."""
    (item,) = series(tmp_path / "in", 1)
    evil = OutboundInstance("../../x", item.sop_class_uid, item.transfer_syntax_uid, item.path)

    (outcome,) = FolderSender("out", tmp_path / "out").send([evil])

    assert outcome.state == "refused"
    assert not (tmp_path.parent / "x.dcm").exists()


@pytest.mark.parametrize("uid", ["1.2.03.4", "0.1.2", "1"])
def test_a_uid_that_the_receiver_takes_is_delivered(tmp_path: Path, uid: str) -> None:
    """Scanners send components that begin with 0: what was acknowledged must arrive."""
    (item,) = series(tmp_path / "in", 1)
    assert Identity(uid, uid, uid, uid).path.name == f"{uid}.dcm"

    (outcome,) = FolderSender("out", tmp_path / "out").send([replace(item, sop_instance_uid=uid)])

    assert outcome.state == "delivered"
    assert (tmp_path / "out" / f"{uid}.dcm").exists()


def test_check_leaves_no_file(tmp_path: Path) -> None:
    """`radnode check` runs against production folders."""
    sender = FolderSender("out", tmp_path / "out")

    assert sender.check() == "writable"
    assert _names(tmp_path / "out") == []
