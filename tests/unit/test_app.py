"""A process that cannot have its place says so, and does no harm to the one that has it."""

import socket
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node import app
from node.cli import radnode
from node.errors import ConfigError, InUseError
from node.settings import NodeSection, Settings
from node.store.locks import executor_lock
from node.store.tables import association


def settings(data: Path, port: int = 0) -> Settings:
    """Return the settings of a node on loopback."""
    return Settings(node=NodeSection(bind="127.0.0.1", port=port, data=data))


def test_a_second_receiver_ends_and_leaves_alone_what_the_first_is_receiving(
    tmp_path: Path,
) -> None:
    """Started twice by mistake, it would remove half-written files and end associations."""
    storage = app.open_storage(settings(tmp_path))
    part = storage.files.part(b"half")
    storage.catalog.access.open("CT1", "RADNODE", "10.0.0.1", 1.0)
    stop = threading.Event()
    stop.set()

    with (
        executor_lock(tmp_path / "run" / "receiver.lock"),
        pytest.raises(InUseError, match=rf"another process .*{tmp_path}.*stop"),
    ):
        app.receive(settings(tmp_path), stop)

    assert part.path.exists()
    part.discard()
    with storage.catalog.engine.connect() as connection:
        assert connection.execute(association.select()).one().closed_at is None
    storage.catalog.close()
    app.receive(settings(tmp_path), stop)  # the lock is free again


def test_a_port_that_is_taken_is_named_by_its_key(tmp_path: Path) -> None:
    """And not by a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{port}.*node\.port"):
            app.receive(settings(tmp_path, port), threading.Event())


@pytest.mark.parametrize(
    "command", ["status", "sources", "prove 1.2.3", "deliveries list", "quarantine list"]
)
def test_a_data_folder_that_cannot_be_used_is_told(tmp_path: Path, command: str) -> None:
    """Each command ends with a message that names the key."""
    config = tmp_path / "node.toml"
    config.write_text('[node]\ndata = "node.toml"\n', "utf-8")

    done = CliRunner().invoke(radnode, [*command.split(), "--config", str(config)])

    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit), done.exception
    assert "node.data" in done.output
