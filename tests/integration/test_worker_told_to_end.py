"""A worker process that is told to end amid a segmentation ends soon, and has died of nothing."""

import subprocess
import sys
from pathlib import Path
from time import time

import pydicom
import pytest
from pydicom import Dataset

from node.app import open_storage
from node.model.states import RevisionState, WorkState
from node.model.work import Task, WorkKind
from node.settings import load
from radnet.phantom.study import write_phantom_study
from tests.bench import slices
from tests.node_process import models_made, wait_for
from tests.peers import ROOT
from tests.receiver import take_in

SETTINGS = """
data = "data"
[series]
settle_s = 0.1
quiet_s = 0.1
[[destinations]]
name = "pacs"
kind = "folder"
path = "pacs"
[[rules]]
name = "liver"
when = "true"
deliver = ["pacs"]
segment = ["liver"]
results_to = ["pacs"]
summary = false
"""


WORKER = """
import sys
from pathlib import Path
from node import networks, worker
from node.cli import main
from node.networks import Networks

folder = Path(sys.argv[1])
{networks}
worker.NetworkLoader = Loader
sys.argv = ["radnode", "work", "--config", str(folder / "node.toml")]
main()
"""

MADE = """
import threading
from tests.made_networks import AbdomenClassifier, SwitchableModel

class Endless(SwitchableModel):
    def segment(self, volume, progress=None):
        if not (folder / "may end").exists():
            (folder / "begun").touch()
            threading.Event().wait()
        return super().segment(volume, progress)

class Loader:
    def __init__(self, *_):
        pass
    def networks(self):
        return Networks(AbdomenClassifier(), Endless())
"""

REAL = """
class OverAndOver:
    def __init__(self, liver):
        self._liver = liver
    def __getattr__(self, name):
        return getattr(self._liver, name)
    def segment(self, volume, progress=None):
        while not (folder / "may end").exists():
            self._liver.segment(volume, lambda done: (folder / "begun").touch())
        return self._liver.segment(volume, progress)

class Loader(networks.NetworkLoader):
    def networks(self):
        loaded = super().networks()
        return Networks(loaded.classifier, OverAndOver(loaded.liver))
"""
"""The shipped networks: their own threads are at work when the process ends."""


class Node:
    """A data folder with a series in it, and what became of that."""

    def __init__(self, config: Path, *instances: Dataset) -> None:
        self.series = str(instances[0].SeriesInstanceUID)
        self.study = str(instances[0].StudyInstanceUID)
        storage = open_storage(load(config))
        self.catalog = storage.catalog
        take_in(self.catalog, storage.files, time, *instances)

    def segmentation(self) -> Task | None:
        """Return the segmentation that is due, or at work."""
        found = self.catalog.work.open(WorkKind.SEGMENT, "")
        return found[0] if found else None

    def is_over(self) -> bool:
        """Tell whether the work on the series has ended."""
        rows = self.catalog.revisions.of_series(self.series)
        return bool(rows) and rows[-1].state in (RevisionState.DONE, RevisionState.UNUSABLE)

    def assert_left_to_the_next(self) -> None:
        """Check that the worker which has ended did not die of it, and has made nothing."""
        left = self.segmentation()
        assert left is not None
        assert (left.state, left.begins, left.attempts) == (WorkState.CLAIMED, 0, 0)
        assert self.catalog.results.of_series(self.series, 1) == []

    def assert_done_once(self) -> None:
        """Check that there is one SEG and one report, made once."""
        (row,) = self.catalog.revisions.of_series(self.series)
        assert (row.state, row.reason) == (RevisionState.DONE, "")
        made = [entry.event for entry in self.catalog.ledger.history(self.study)]
        assert made.count("derived") == len(self.catalog.results.of_series(self.series, 1)) == 2
        assert self.segmentation() is None


def launched(folder: Path, networks: str) -> "subprocess.Popen[bytes]":
    """Start a worker whose segmentation ends when the test wants."""
    program = WORKER.format(networks=networks)
    return subprocess.Popen([sys.executable, "-c", program, str(folder)], cwd=ROOT)


def assert_goes_on_at_the_next_start(folder: Path, networks: str, *ct: Dataset) -> None:
    """Tell a worker to end amid a segmentation of this CT, and let the next one do it."""
    config = folder / "node.toml"
    config.write_text(f"[node]{SETTINGS}", encoding="utf-8")
    node = Node(config, *ct)
    worker = launched(folder, networks)
    wait_for((folder / "begun").exists, "the segmentation")
    worker.terminate()
    assert worker.wait(60) == 0
    node.assert_left_to_the_next()

    (folder / "may end").touch()
    worker = launched(folder, networks)
    try:
        wait_for(node.is_over, "the end of the segmentation")
    finally:
        worker.terminate()
        assert worker.wait(60) == 0
    node.assert_done_once()
    node.catalog.close()


def test_a_worker_does_not_wait_for_a_segmentation_when_it_is_told_to_end(
    tmp_path: Path,
) -> None:
    """Python waits for its threads: it stood there for hours, or was killed after 20 s."""
    assert_goes_on_at_the_next_start(tmp_path, MADE, *slices(*range(6)))


@pytest.mark.slow
def test_a_worker_told_to_end_amid_a_segmentation_leaves_it_to_the_next(tmp_path: Path) -> None:
    """An upgrade in the middle of one is no death of it, and the next worker does it once."""
    models_made()
    images = [pydicom.dcmread(path) for path in write_phantom_study(tmp_path / "ct", seed=1)]
    ct = [image for image in images if image.Modality == "CT" and image.SeriesNumber != 1]
    assert_goes_on_at_the_next_start(tmp_path, REAL, *ct)
