"""What the node keeps of patients is read by its own user, whatever the umask says."""

import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.app import open_storage
from node.cli import main, radnode
from node.deliver.destination import OutboundInstance
from node.deliver.folder import FolderSender
from node.errors import StoreError
from node.pipeline.engine import Engine
from node.settings import NodeSection, Settings
from node.store.private import tighten
from tests.store_rows import stored


@pytest.fixture(autouse=True)
def generous() -> Iterator[None]:
    """Run as under the umask that lets everybody do everything."""
    before = os.umask(0)
    yield
    os.umask(before)


def settings(data: Path) -> Settings:
    """Return the settings of a node with its data there."""
    return Settings(node=NodeSection(data=data))


def open_to_others(folder: Path) -> dict[str, str]:
    """Return the mode of whatever group or others may do something with."""
    found = {one: one.lstat().st_mode for one in (folder, *folder.rglob("*"))}
    return {
        str(path.relative_to(folder)): stat.filemode(mode)
        for path, mode in found.items()
        if mode & 0o077 and not stat.S_ISLNK(mode)
    }


def test_what_a_new_node_makes_is_its_own(tmp_path: Path) -> None:
    """Folder, catalog with WAL and SHM, instances, locks."""
    data = tmp_path / "data"

    storage = open_storage(settings(data))
    storage.catalog.studies.record(stored(1), 1.0)
    storage.files.write(stored(1).path, b"bytes")
    storage.files.write_new(stored(2).path, b"bytes").wait()
    part = storage.files.part(b"half")

    assert (data / "catalog.sqlite-wal").exists()
    assert open_to_others(data) == {}
    part.discard()
    storage.catalog.close()


def test_what_an_older_node_left_open_is_closed_and_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever updates has years of instances that everybody on the machine can read."""
    data = tmp_path / "data"
    storage = open_storage(settings(data))
    storage.files.write(stored(1).path, b"bytes")
    storage.catalog.close()
    for one in (data, *data.rglob("*")):
        one.chmod(0o755 if one.is_dir() else 0o644)
    capsys.readouterr()

    open_storage(settings(data)).catalog.close()
    told = capsys.readouterr().out
    open_storage(settings(data)).catalog.close()

    assert open_to_others(data) == {}
    assert "permissions" in told
    assert "permissions" not in capsys.readouterr().out


def test_links_are_not_followed_out_of_the_data_folder(tmp_path: Path) -> None:
    """Only where instances were moved to another disk: that is still ours."""
    data, other, disk = (tmp_path / name for name in ("data", "other", "disk"))
    for one in (data / "run", other, disk / "1.2"):
        one.mkdir(parents=True)
    (other / "theirs").write_text("x")
    (disk / "1.2" / "3.dcm").write_text("x")
    (data / "run" / "link").symlink_to(other / "theirs")
    (data / "instances").symlink_to(disk)

    tighten(data)

    assert open_to_others(other) != {}
    assert open_to_others(disk) == {}
    assert open_to_others(data) == {}


def test_a_folder_of_another_user_goes_on_working(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A volume in Kubernetes belongs to root, and only its group is ours."""
    data = tmp_path / "data"
    data.mkdir(mode=0o770)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    open_storage(settings(data)).catalog.close()

    assert "another user" in capsys.readouterr().out


def test_a_delivered_file_is_as_open_as_its_folder(tmp_path: Path) -> None:
    """Who may read there was decided by whoever made the folder; a new one is our own."""
    source = tmp_path / "1.dcm"
    source.write_bytes(b"x")
    source.chmod(0o600)
    for mode, expected in ((0o700, 0o600), (0o750, 0o644), (0o755, 0o644)):
        folder = tmp_path / oct(mode)
        folder.mkdir(mode=mode)
        [outcome] = FolderSender("out", folder).send([OutboundInstance("1.2.3", "1", "1", source)])

        assert outcome.state == "delivered"
        assert (folder / "1.2.3.dcm").stat().st_mode & 0o777 == expected

    new = tmp_path / "new"
    list(FolderSender("out", new).send([OutboundInstance("1.2.3", "1", "1", source)]))
    assert open_to_others(new) == {}


def config(folder: Path, text: str = "") -> str:
    """Write settings and return their path."""
    path = folder / "node.toml"
    path.write_text(f'[node]\ndata = "data"\n{text}', "utf-8")
    return str(path)


@pytest.mark.parametrize("command", [["status"], ["check"], ["prove", "1.2"], ["receive"]])
def test_a_database_of_a_newer_version_is_refused_in_words(
    command: list[str], tmp_path: Path
) -> None:
    """After a downgrade, or with two versions on one folder."""
    open_storage(settings(tmp_path / "data")).catalog.close()
    with sqlite3.connect(tmp_path / "data" / "catalog.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()

    done = CliRunner().invoke(radnode, [*command, "--config", config(tmp_path)])

    assert done.exit_code == 1, done.exception
    for word in ("catalog.sqlite", "9999", "expected", "newer"):
        assert word in done.output


@pytest.mark.parametrize("content", [b"no database at all, but long enough" * 9, None])
def test_what_is_no_database_is_refused_in_words(content: bytes | None, tmp_path: Path) -> None:
    """A file that is not SQLite's; a folder in its place."""
    place = tmp_path / "data" / "catalog.sqlite"
    place.parent.mkdir()
    if content is None:
        place.mkdir()
    else:
        place.write_bytes(content)

    for command in ("status", "check"):
        done = CliRunner().invoke(radnode, [command, "--config", config(tmp_path)])

        assert done.exit_code == 1, done.exception
        assert "catalog.sqlite" in done.output


@pytest.mark.parametrize("key", ["catalog_url", "pipeline_url"])
def test_check_does_not_call_a_dead_server_valid(key: str, tmp_path: Path) -> None:
    """The node would not start."""
    url = f'{key} = "postgresql+psycopg://radnode@127.0.0.1:1/radnode"\n'

    done = CliRunner().invoke(radnode, ["check", "--config", config(tmp_path, url)])

    assert done.exit_code == 1
    assert "127.0.0.1:1" in done.output
    assert "cannot be used" in done.output


def test_check_makes_no_database(tmp_path: Path) -> None:
    """It only looks; the first start makes them."""
    done = CliRunner().invoke(radnode, ["check", "--config", config(tmp_path)])

    assert done.exit_code == 0, done.output
    assert "catalog: none yet" in done.output
    assert not (tmp_path / "data").exists()


def test_check_tells_of_a_folder_that_everybody_can_read(tmp_path: Path) -> None:
    """Allowed, since it may be meant; said, since it may not."""
    (tmp_path / "out").mkdir(mode=0o755)
    text = '[[destinations]]\nname = "out"\nkind = "folder"\npath = "out"\n'

    done = CliRunner().invoke(radnode, ["check", "--config", config(tmp_path, text)])

    assert done.exit_code == 0, done.output
    assert "everybody on this machine" in done.output


@pytest.mark.parametrize("url", ["postgresql+psycopg://radnode@127.0.0.1:1/radnode", None])
def test_a_pipeline_that_cannot_be_used_is_told_in_words(url: str | None, tmp_path: Path) -> None:
    """DBOS ends in a traceback."""
    with pytest.raises(StoreError, match="cannot be used"):
        Engine(url or f"sqlite:///{tmp_path}", "host:worker")


def test_the_pipelines_database_is_our_own(tmp_path: Path) -> None:
    """Arguments of jobs name studies."""
    engine = Engine(f"sqlite:///{tmp_path / 'pipeline.sqlite'}", "host:worker")
    engine.launch()
    engine.close()

    assert {one.name for one in tmp_path.iterdir()} >= {"pipeline.sqlite"}
    assert all(not one.stat().st_mode & 0o077 for one in tmp_path.iterdir())


def test_main_gives_away_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a library writes without asking us for the mode is private too."""
    monkeypatch.setattr("sys.argv", ["radnode", "--version"])
    with pytest.raises(SystemExit):
        main()

    assert os.umask(0) == 0o077
