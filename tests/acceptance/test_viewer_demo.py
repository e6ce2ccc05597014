"""What `make run` shows beside `make pacs`: the page of its study, which hangs by itself."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.node_process import models_made
from tests.peers import ROOT, RunningOrthanc, free_port
from tests.viewer_page import opened, running_viewer

DEMO = [sys.executable, "-m", "node.cli", "demo", "--once"]


@pytest.mark.slow
@pytest.mark.orthanc
@pytest.mark.viewer
def test_the_demo_names_a_page_that_shows_its_liver(
    orthanc: RunningOrthanc, tmp_path: Path
) -> None:
    """Its settings are the shipped ones, but for addresses and folders."""
    shipped = (ROOT / "deploy/pacs.toml").read_text("utf-8")
    ours = shipped.replace("http://127.0.0.1:8042", orthanc.url).replace("../var", str(tmp_path))
    ours = ours.replace("[node]", f"[node]\nport = {free_port()}")
    (tmp_path / "pacs.toml").write_text(ours, "utf-8")
    models_made()

    with running_viewer(orthanc.url, tmp_path / "viewer.log") as viewer:
        settings = ["--viewer", viewer, "--viewer-config", str(tmp_path / "pacs.toml")]
        shown = subprocess.run(
            [*DEMO, *settings], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout

        (address,) = re.findall(r"in the viewer: (\S+)", shown)
        at, _, study = address.partition("/viewer?StudyInstanceUIDs=")
        assert at == viewer
        with opened(at, study) as page:
            page.wait_for_overlay("ct+seg")
            assert [view["id"] for view in page.shown()] == ["ct", "ct+seg"]
            page.keep_picture("demo")
            assert page.errors == []
            assert page.foreign == []
