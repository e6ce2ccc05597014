"""A worker whose networks must be made first sends meanwhile, and recognises afterwards."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time

import highdicom as hd
import pytest

from node import worker
from node.app import Storage, open_storage
from node.model.states import WorkState
from node.model.work import WorkKind
from node.networks import Networks
from node.settings import FolderDestination, NodeSection, Settings
from node.settings.sections import SeriesSection
from radnet.inference.classifier import Prediction
from radnet.inference.models import Making
from tests.bench import RULES, slices
from tests.made_ct import SERIES
from tests.made_networks import AbdomenClassifier, SwitchableModel
from tests.node_process import wait_for
from tests.receiver import take_in


class Maker:
    """Stands for what makes and loads the networks: as long as a test wants.

    Attributes
    ----------
    begun
        Set: it is at it.
    may_end
        Set by the test: it ends.
    """

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self.classifier = AbdomenClassifier()

    def load(self, making: Making) -> Networks:
        """Make both, and say how far it is all the time."""
        making("classifier", 0.0)
        self.begun.set()
        while not self.may_end.wait(0.01):
            making("classifier", 0.5)
        return Networks(self.classifier, SwitchableModel())


@pytest.fixture
def maker(monkeypatch: pytest.MonkeyPatch) -> Maker:
    """Let a worker load its networks as the test wants."""
    made = Maker()

    class Loader:
        def __init__(self, _settings: Settings, making: Making) -> None:
            self._making = making

        def networks(self) -> Networks:
            """Load both."""
            return made.load(self._making)

    monkeypatch.setattr(worker, "NetworkLoader", Loader)
    return made


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return the settings of a node that sends to a folder."""
    return Settings(
        node=NodeSection(data=tmp_path / "data"),
        series=SeriesSection(settle_s=0.1, quiet_s=0.1),
        destinations=(FolderDestination(name="pacs", kind="folder", path=tmp_path / "pacs"),),
        rules=RULES,
    )


@contextmanager
def working(settings: Settings) -> Iterator[None]:
    """Run a worker; tell it to end, and wait until it has."""
    stop = threading.Event()
    thread = threading.Thread(target=worker.work, args=(settings, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def receive(storage: Storage) -> list[str]:
    """Take a series in; return the UIDs of its instances."""
    made = slices(*range(6))
    take_in(storage.catalog, storage.files, time, *made)
    return [str(ds.SOPInstanceUID) for ds in made]


def test_deliveries_go_out_while_the_networks_are_made(
    settings: Settings, maker: Maker, tmp_path: Path
) -> None:
    """Making takes minutes; a study that was routed before an upgrade must not wait for it."""
    storage = open_storage(settings)
    catalog, uids = storage.catalog, receive(storage)
    catalog.deliveries.add(f"source/{SERIES}/1", "pacs", uids[:1], time())
    sent = tmp_path / "pacs"

    with working(settings):
        wait_for(lambda: len(list(sent.rglob("*.dcm"))) == 1, "the delivery", 60)
        wait_for(lambda: catalog.work.open(WorkKind.RECOGNISE, "") != [], "the series", 60)
        assert maker.begun.is_set()
        (waits,) = catalog.work.open(WorkKind.RECOGNISE, "")
        assert (waits.state, waits.serial, waits.begins) == (WorkState.WAITING, 0, 0)
        maker.may_end.set()
        wait_for(
            lambda: [row.state for row in catalog.revisions.of_series(SERIES)] == ["done"],
            "recognition and segmentation", 120,
        )  # fmt: skip
        wait_for(lambda: len(list(sent.rglob("*.dcm"))) == 8, "images, SEG and SR", 60)
    catalog.close()


class SlowClassifier(AbdomenClassifier):
    """Recognises when a test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Semaphore(0)
        self.may_go_on = threading.Event()

    def classify(self, volume: hd.Volume, modality: str) -> Prediction:
        """Wait, and answer."""
        self.begun.release()
        self.may_go_on.wait()
        return super().classify(volume, modality)


def test_what_was_begun_before_waits_for_the_networks_and_is_done_once(
    settings: Settings, maker: Maker
) -> None:
    """What the engine resumes before finds itself stale: it would count as dead while it waits."""
    storage = open_storage(settings)
    catalog, slow = storage.catalog, SlowClassifier()
    receive(storage)
    maker.classifier = slow
    maker.may_end.set()
    with working(settings):
        assert slow.begun.acquire(timeout=60)
    maker.may_end.clear()
    maker.begun.clear()

    with working(settings):
        assert maker.begun.wait(60)
        wait_for(
            lambda: [one.state for one in catalog.work.open(WorkKind.RECOGNISE, "")]
            == [WorkState.WAITING],
            "its turn for whoever is ready", 60,
        )  # fmt: skip
        assert not slow.begun.acquire(blocking=False)
        slow.may_go_on.set()
        maker.may_end.set()
        wait_for(
            lambda: [row.state for row in catalog.revisions.of_series(SERIES)] == ["done"],
            "recognition and segmentation", 120,
        )  # fmt: skip
    assert slow.begun.acquire(blocking=False)
    assert not slow.begun.acquire(blocking=False)
    catalog.close()


def test_a_worker_that_makes_networks_ends_when_it_is_told_to(
    settings: Settings, maker: Maker
) -> None:
    """The process that makes them is ended too; nobody waits for minutes."""
    with working(settings):
        assert maker.begun.wait(60)
