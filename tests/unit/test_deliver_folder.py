"""A folder gets whole files or none."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from node.deliver.destination import OutboundInstance
from node.deliver.folder import FolderSender
from node.errors import TransientDeliveryError
from node.store.paths import Identity
from tests.node_process import wait_for
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
    tmp_path: Path, full: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader of the folder must never see half a file under its final name."""
    sent = series(tmp_path / "in", 1)

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


OWNER, OTHER = "0a" * 6, "0b" * 6

WRITES = """
import pathlib, sys
from node.deliver.folder import FolderSender
from node.deliver.destination import OutboundInstance
folder, source, uid = sys.argv[1:]
item = OutboundInstance(uid, "1.2", "1.2.840.10008.1.2.1", pathlib.Path(source))
list(FolderSender("out", pathlib.Path(folder), "%s").send([item]))
"""


@contextmanager
def _writing(folder: Path, uid: str, owner: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run a worker that stands in the middle of a file; give it, and the file."""
    source = folder.parent / "source"
    os.mkfifo(source)
    argv = [sys.executable, "-c", WRITES % owner, str(folder), str(source), uid]
    with subprocess.Popen(argv) as worker, source.open("wb") as pipe:
        pipe.write(bytes(3 << 20))
        wait_for(lambda: any(p.stat().st_size for p in folder.glob(".*")), "half a file", 60)
        (part,) = folder.glob(".*.part")
        yield worker, part
        worker.kill()


def test_what_a_killed_worker_left_is_removed_and_what_a_living_one_writes_is_not(
    tmp_path: Path,
) -> None:
    """Kill -9 leaves half a file that no reader sees and nobody would ever remove."""
    (item,) = series(tmp_path / "in", 1)
    out = tmp_path / "out"
    with _writing(out, item.sop_instance_uid, OWNER) as (worker, part):
        list(FolderSender("out", out, OWNER).send([item]))
        assert part.exists()
        worker.kill()
        worker.wait()
        list(FolderSender("out", out, OTHER).send([item]))
        list(FolderSender("out", out).send([item]))
        assert part.exists()

        list(FolderSender("out", out, OWNER).send([item]))

        assert _names(out) == [f"{item.sop_instance_uid}.dcm"]


def test_only_our_own_leftovers_are_removed(tmp_path: Path) -> None:
    """The folder is not ours alone, and what is hidden in it even less."""
    (item,) = series(tmp_path / "in", 1)
    out = tmp_path / "out"
    out.mkdir()
    ours, fresh = f".1.2.{OWNER}-01234567-1.part", ".1.3.77-88.part"
    removed = [ours, f".check.{OWNER}-01234567-9.part", ".1.2.77-88.part"]
    kept = [
        fresh,
        f".1.2.{OTHER}-01234567-1.part",
        f"1.2.{OWNER}-01234567-1.part",
        f".notes.{OWNER}-01234567-1.part",
        ".1.2.part",
        ".hidden",
        "1.2.3.dcm",
    ]
    for name in removed + kept:
        (out / name).write_bytes(b"x")
        os.utime(out / name, (0, 0))
    os.utime(out / fresh)
    folder, link = f".1.2.{OWNER}-01234567-2.part", f".1.2.{OWNER}-01234567-3.part"
    (out / folder).mkdir()
    (out / link).symlink_to(item.path)

    sender = FolderSender("out", out, OWNER)
    assert [one.state for one in sender.send([item, item])] == ["delivered"] * 2

    assert _names(out) == sorted([*kept, folder, link, f"{item.sop_instance_uid}.dcm"])
    assert item.path.exists()


def test_a_folder_that_cannot_be_listed_is_delivered_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tidying up is no reason to keep images back."""

    def refuse(_path: Path) -> list[str]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("node.deliver.folder.os.listdir", refuse)

    (outcome,) = FolderSender("out", tmp_path / "out", OWNER).send(series(tmp_path / "in", 1))

    assert outcome.state == "delivered"
