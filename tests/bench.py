"""A node on the bench: real rows, files and engine; network, models and time are made up."""

import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import time
from functools import cache, partial
from pathlib import Path

import pydicom
from dbos import DBOS
from pydicom import Dataset
from pydicom.errors import InvalidDicomError

from node.app import Storage
from node.deliver.destination import OutboundInstance, Outcome, Wanted, everything
from node.model.keys import RevisionKey
from node.model.records import Revision
from node.model.states import WorkState
from node.model.work import SegmentationPlan, Task, WorkKind, segmentation_of
from node.networks import Networks
from node.pipeline.engine import APPLICATION_VERSION, LIVE_STATES, Engine
from node.pipeline.ticker import Ticker
from node.settings import FolderDestination, NodeSection, Rule, Settings
from node.store.files import InstanceFiles
from node.store.paths import DERIVED
from node.worker import Outside, build
from tests.due_time import Moment, note_looks, task_claimed
from tests.made_ct import SERIES, STUDY, made_slice
from tests.made_networks import AbdomenClassifier, SwitchableModel
from tests.receiver import take_in
from tests.store_rows import open_catalog

RULES = (
    Rule(name="all", when="true", deliver=("pacs",)),
    Rule(
        name="liver",
        when='"liver" in findings.coverage.value',
        segment=("liver",),
        results_to=("pacs",),
        summary=False,
    ),
)


@cache
def _empty_pipeline() -> bytes:
    """Return a database of the engine without jobs; its steps from version to version are slow."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.sqlite"
        DBOS.migrate(f"sqlite:///{path}")
        return path.read_bytes()


class RecordingDestination:
    """A destination that remembers; while `down`, it takes nothing."""

    name = "pacs"

    def __init__(self) -> None:
        self.sent: list[Dataset] = []
        self.down = False

    def send(
        self, instances: Sequence[OutboundInstance], wanted: Wanted = everything
    ) -> Iterator[Outcome]:
        """Take every instance, or none."""
        for one in instances:
            if not wanted(one.sop_instance_uid):
                continue
            if self.down:
                yield Outcome(one.sop_instance_uid, "retry", "nobody there")
                continue
            try:
                with one.file() as path:
                    self.sent.append(pydicom.dcmread(path))
            except InvalidDicomError:
                yield Outcome(one.sop_instance_uid, "retry", "cannot be read")
            else:
                yield Outcome(one.sop_instance_uid, "delivered")

    def check(self) -> str:
        """Answer that all is well."""
        return "here"


class Bench:
    """A node without its network: instances in by hand, time by hand."""

    def __init__(self, folder: Path, rules: Sequence[Rule] = RULES, capture: bool = False) -> None:
        self.moment = Moment(1000.0)
        self.catalog = open_catalog(f"sqlite:///{folder / 'catalog.sqlite'}", self.moment)
        self.files = InstanceFiles(folder)
        self.steadily = 0.0
        self.classifier = AbdomenClassifier()
        self.liver = SwitchableModel()
        self.pacs = RecordingDestination()
        pipeline = folder / "pipeline.sqlite"
        if not pipeline.exists():
            pipeline.write_bytes(_empty_pipeline())
        self.engine = Engine(f"sqlite:///{pipeline}", "test:worker")
        self.worker = build(
            Settings(
                node=NodeSection(data=folder),
                destinations=(
                    FolderDestination(name="pacs", kind="folder", path=folder, capture=capture),
                ),
                rules=tuple(rules),
            ),
            Storage(self.catalog, self.files),
            self.engine,
            Networks(self.classifier, self.liver),
            Outside(
                clock=self.clock,
                monotonic=lambda: self.steadily,
                local_time=lambda: time(12),
                random=lambda: 0.0,
                destination=lambda *_: self.pacs,
            ),
        )
        self.stages, self.sweep = self.worker.stages, self.worker.sweep
        self.worker.launch()
        self._by_hand: set[WorkKind] = set()
        self._looking = threading.Lock()
        self._looks = ExitStack()
        self._looks.enter_context(Ticker([(self._look, 0.1)]))

    @property
    def now(self) -> float:
        """The time; to set it is to let it pass."""
        return self.moment.now

    @now.setter
    def now(self, value: float) -> None:
        with self.catalog.write() as connection:
            note_looks(connection, value - self.moment.now)
            self.moment.now = value

    def _look(self) -> None:
        for kind in (
            WorkKind.RECOGNISE,
            WorkKind.SEGMENT,
            WorkKind.SUMMARISE,
            WorkKind.DELIVER,
            WorkKind.PROBE,
        ):
            with self._looking:
                if kind not in self._by_hand:
                    self.worker.due.look(kind)

    def close(self) -> None:
        """End it."""
        self._looks.close()
        self.engine.close()
        self.catalog.close()

    def clock(self) -> float:
        """Return the made-up time."""
        return self.now

    def receive(self, *slices: Dataset) -> None:
        """Take instances over one association that is released at the end."""
        take_in(self.catalog, self.files, self.clock, *slices)

    def tick(self, seconds: float) -> None:
        """Let time pass, and look once."""
        self.now += seconds
        self.sweep.settle()

    def set_clock(self, seconds: float) -> None:
        """Set the clock, and let the worker notice that."""
        self.moment.now += seconds
        self.worker.due.look(WorkKind.DELIVER)

    def last(self) -> Revision | None:
        """Return the newest revision of the made-up series."""
        rows = self.catalog.revisions.of_series(SERIES)
        return rows[-1] if rows else None

    def by_hand(self, *others: WorkKind) -> None:
        """Let the test do itself what is due of a series, and of other kinds."""
        with self._looking:
            self._by_hand |= {WorkKind.RECOGNISE, WorkKind.SEGMENT, *others}

    def take_in(self, *instances: Dataset) -> Task:
        """Let a series come in; return its recognition, for the test to do."""
        self.by_hand()
        self.receive(*instances)
        self.tick(3)
        series = str(instances[0].SeriesInstanceUID)
        return task_claimed(self.catalog, WorkKind.RECOGNISE, f"{series}/")

    def segmentation(self, *results_to: str) -> Task:
        """Return a segmentation of the made-up series that is due anew, for the test to do."""
        self.by_hand()
        of = segmentation_of(RevisionKey(SERIES, 1))
        with self.catalog.write() as connection:
            self.catalog.work.empty(connection, of)
            plan = SegmentationPlan(results_to).as_json()
            self.catalog.work.add(connection, of, detail=plan)
        return task_claimed(self.catalog, WorkKind.SEGMENT)

    def ends(self, state: str) -> Callable[[], bool]:
        """Return a condition: the newest revision is in this state."""

        def ended() -> bool:
            row = self.last()
            return row is not None and row.state == state

        return ended

    def sent(self, sop_class: str) -> list[Dataset]:
        """Return what arrived of a SOP class."""
        return [ds for ds in self.pacs.sent if ds.SOPClassUID == sop_class]

    def derived_files(self) -> list[Path]:
        """Return the files that the node made."""
        return sorted(self.files.root.glob(f"instances/**/2.25.*{DERIVED}"))

    def at_rest(self) -> bool:
        """Tell whether nothing happens any more until time passes: no job lives, none is due.

        Jobs are asked for first: what one of them had to queue next stands in a row by then.
        """
        mine = partial(DBOS.list_workflows, app_version=APPLICATION_VERSION)
        if mine(status=list(LIVE_STATES), load_input=False, load_output=False):
            return False
        lanes = (
            (WorkKind.RECOGNISE, ""),
            (WorkKind.SEGMENT, ""),
            (WorkKind.SUMMARISE, ""),
            (WorkKind.DELIVER, "pacs"),
        )
        return all(
            task.state is WorkState.WAITING and task.due_at > self.now
            for kind, lane in lanes
            for task in self.catalog.work.open(kind, lane)
        )

    def nothing_pending(self) -> bool:
        """Tell whether every job has ended and every delivery is through."""
        return self.at_rest() and self.all_delivered()

    def all_delivered(self) -> bool:
        """Tell whether every delivery that there is so far is through."""
        return all(one.state != "pending" for one in self.catalog.delivery_states.of_study(STUDY))


def slices(*indices: int) -> list[Dataset]:
    """Return these slices of the made-up CT."""
    return [made_slice(index) for index in indices]
