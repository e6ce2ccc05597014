"""Commands: exit codes 0 done, 1 failed, 2 wrong usage or input; messages that help."""

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from node.app import open_storage
from node.cli import radnode
from node.cli.shown import usable
from node.receive.encoded import file_head
from node.settings import load
from node.store.catalog import Catalog
from node.store.files import InstanceFiles
from tests.store_rows import STUDY, stored

runner = CliRunner()


def config(folder: Path, text: str = "") -> str:
    """Write a settings file and return its path."""
    path = folder / "node.toml"
    path.write_text(f'[node]\ndata = "data"\n{text}', encoding="utf-8")
    return str(path)


def test_check_of_a_node_without_destinations_is_done(tmp_path: Path) -> None:
    """Exit code 0."""
    result = runner.invoke(radnode, ["check", "--config", config(tmp_path)])

    assert result.exit_code == 0
    assert "settings valid" in result.output


def test_check_and_a_role_name_a_renamed_key(tmp_path: Path) -> None:
    """The settings of an earlier version work; whoever looks is told what to write now."""
    file = config(tmp_path, "[receive]\nlearning = true\n")
    told = "receive.learning (line 4) is called receive.accept_unlisted now"

    result = runner.invoke(radnode, ["check", "--config", file])
    assert result.exit_code == 0
    assert told in result.output
    with capture_logs() as logged:
        assert usable(Path(file)).receive.accept_unlisted
    assert [one["log_level"] for one in logged if told in one.get("renamed", "")] == ["warning"]


def test_check_names_every_destination_that_does_not_answer(tmp_path: Path) -> None:
    """Exit code 1, and the reachable one is still reported."""
    (tmp_path / "out").mkdir()
    text = (
        '[[destinations]]\nname = "outbox"\nkind = "folder"\npath = "out"\n'
        '[[destinations]]\nname = "pacs"\nkind = "dimse"\nae_title = "PACS"\n'
        'host = "127.0.0.1"\nport = 1\n'
    )

    result = runner.invoke(radnode, ["check", "--config", config(tmp_path, text)])

    assert result.exit_code == 1
    assert "outbox: ok" in result.output
    assert "pacs: PACS@127.0.0.1:1: no connection" in result.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["check", "--config", "nowhere.toml"], "cannot read settings"),
        (["send", "nowhere", "--to", "A@b:1"], "does not exist"),
        (["--log-level", "loud", "status"], "expected debug, info, warning or error"),
    ],
    ids=["no settings", "no files", "log level"],
)
def test_wrong_input_is_exit_code_2(arguments: list[str], told: str) -> None:
    """The message says what was found and what was expected."""
    result = runner.invoke(radnode, arguments)

    assert result.exit_code == 2
    assert told in result.output


@pytest.mark.parametrize("to", ["RADNODE", "RADNODE@host", "@host:1", "A@host:x", "A@h:99999"])
def test_a_malformed_address_is_explained(to: str, tmp_path: Path) -> None:
    """AE@host:port, and an example."""
    result = runner.invoke(radnode, ["send", str(tmp_path), "--to", to])

    assert result.exit_code == 2
    assert to in result.output


def test_a_rule_that_is_no_cel_stops_the_node(tmp_path: Path) -> None:
    """Found at start, not at the first study."""
    text = '[[rules]]\nname = "broken"\nwhen = "findings.sequence.value =="\n'

    result = runner.invoke(radnode, ["check", "--config", config(tmp_path, text)])

    assert result.exit_code == 2
    assert "broken" in result.output


def test_status_of_an_empty_node_and_of_an_unknown_study(tmp_path: Path) -> None:
    """Nothing is not an error; asking for what is not there is."""
    path = config(tmp_path)

    assert runner.invoke(radnode, ["status", "--config", path]).exit_code == 0
    unknown = runner.invoke(radnode, ["status", "1.2.3", "--config", path])
    assert unknown.exit_code == 2
    assert "1.2.3" in unknown.output


def test_prove_shows_the_history_and_finds_a_changed_file(tmp_path: Path) -> None:
    """Exit code 0 while chain and files hold; 1 with the instance named once they do not."""
    path = config(tmp_path)
    catalog = open_storage(load(Path(path))).catalog
    content = b"the bytes that came in"
    kept = replace(stored(1), sha256=hashlib.sha256(content).hexdigest())
    file = tmp_path / "data" / kept.path
    file.parent.mkdir(parents=True)
    head = file_head(kept.sop_class_uid, kept.sop_instance_uid, kept.transfer_syntax_uid)
    file.write_bytes(head + content)
    catalog.studies.record(kept, 100.0)

    whole = runner.invoke(radnode, ["prove", STUDY, "--config", path])
    file.write_bytes(head + b"other bytes")
    changed = runner.invoke(radnode, ["prove", STUDY, "--config", path])
    unknown = runner.invoke(radnode, ["prove", "9.9", "--config", path])

    assert whole.exit_code == 0, whole.output
    assert "received" in whole.output
    assert "chain of 1 entries" in whole.output
    assert changed.exit_code == 1
    assert kept.sop_instance_uid in changed.output
    assert unknown.exit_code == 2


def test_preview_without_a_segmentation_fails(tmp_path: Path) -> None:
    """Exit code 1: there is nothing to draw."""
    result = runner.invoke(radnode, ["preview", "1.2.3", "--config", config(tmp_path)])

    assert result.exit_code == 1
    assert "no segmentation" in result.output


def test_every_command_explains_itself() -> None:
    """`radnode X --help` works for all of them."""
    groups = [*radnode.registered_groups]
    names = [group.name for group in groups if group.name]
    for group in groups:
        if group.typer_instance is not None and not group.name:
            commands = group.typer_instance.registered_commands
            names += [c.name or c.callback.__name__ for c in commands if c.callback is not None]

    assert {"run", "send", "status", "deliveries"} <= set(names)
    for name in names:
        assert runner.invoke(radnode, [name, "--help"]).exit_code == 0


def test_open_storage_can_be_repeated(tmp_path: Path) -> None:
    """Receiver and worker both migrate; the second finds nothing to do."""
    for _ in range(2):
        catalog = Catalog(f"sqlite:///{tmp_path / 'catalog.sqlite'}")
        catalog.upgrade()
        catalog.close()
    assert InstanceFiles(tmp_path).clear_incoming() == 0


def test_receiver_and_commands_do_not_wait_for_the_networks() -> None:
    """Importing torch and MONAI takes seconds and 0.6 GB; only the worker pays for it."""
    asked = (
        "import sys, node.app; print(sorted({'torch', 'monai', 'openvino'} & set(sys.modules)))"
    )

    told = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=120
    )

    assert told.stdout.strip() == "[]"
