"""Hanging Protocol objects in the eyes of dicom3tools and dcmtk."""

import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.cli import radnode
from node.hanging.files import file_name
from node.hanging.parts import HangingProtocol
from node.hanging.protocols import PROTOCOLS
from tests.peers import tool

pytestmark = pytest.mark.dcmtk


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an export, one pane with more descriptions than ours."""
    folder = tmp_path_factory.mktemp("hanging")
    options = ["--creator", "Radiologie Süd", "--series", "brain/t1=T1 SE ax"]
    done = CliRunner().invoke(radnode, ["hanging", "export", str(folder), *options])
    assert done.exit_code == 0
    return folder


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda one: one.short_name)
def test_objects_are_valid(
    protocol: HangingProtocol, exported: Path, dcmtk: dict[str, str]
) -> None:
    """By the letter of PS3.3 A.44 and C.23, without an error or a warning."""
    path = exported / file_name(protocol)
    checked = subprocess.run(
        [dcmtk["dciodvfy"], str(path)], capture_output=True, text=True, check=True
    )

    lines = (checked.stdout + checked.stderr).splitlines()
    assert "HangingProtocol" in lines
    assert [line for line in lines if line.startswith(("Error", "Warning"))] == []


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda one: one.short_name)
def test_dcmdump_reads_them(protocol: HangingProtocol, exported: Path) -> None:
    """To the last element, with the names that people look for."""
    shown = subprocess.run(
        [tool("dcmdump"), "+L", "+U8", str(exported / file_name(protocol))],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert shown.stderr == ""
    assert "=HangingProtocolStorage" in shown.stdout
    for text in (protocol.name, protocol.description, "Radiologie Süd"):
        assert f"[{text}]" in shown.stdout
    for pane in protocol.panes:
        assert f"[{pane.label}]" in shown.stdout
    assert "PartialDataDisplayHandling" in shown.stdout
