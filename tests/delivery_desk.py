"""Delivery alone: real rows, files and associations; jobs run when the test says, by its clock."""

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import time
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from node.app import Storage
from node.deliver.association import Peer
from node.deliver.destination import Destination
from node.deliver.dimse import DimseSender
from node.deliver.turns import Terms
from node.model.records import Delivery, StoredInstance
from node.model.states import Origin, WorkState
from node.model.work import WorkKind
from node.networks import Networks
from node.pipeline.engine import Engine
from node.settings import FolderDestination, NodeSection, Settings
from node.store.files import InstanceFiles
from node.worker import Outside, Worker, build
from tests.due_time import Moment, note_looks
from tests.inline_jobs import HandEngine
from tests.made_ct import MadeModel
from tests.made_networks import NoClassifier
from tests.outbound import STUDY, ct_slice, written
from tests.store_rows import open_catalog

Job = Callable[[], None]


class Desk:
    """The delivering half of a node.

    Parameters
    ----------
    folder : Path
        Rows and files go here.
    destinations : mapping
        What to send to, by name.
    terms : mapping, optional
    engine : Engine, optional
        That of a test, whose jobs run when the test says, unless another is given.
    """

    def __init__(
        self,
        folder: Path,
        destinations: Mapping[str, Destination],
        terms: Mapping[str, Terms] | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.folder = folder
        self.moment = Moment(1000.0)
        self.catalog = open_catalog(f"sqlite:///{folder / 'catalog.sqlite'}", self.moment)
        self.local = time(12)
        self.destinations = dict(destinations)
        self.terms = {name: (terms or {}).get(name, Terms()) for name in destinations}
        self.engine = engine or HandEngine()
        self.worker = self._built()
        self.worker.launch()

    def _built(self) -> Worker:
        return build(
            Settings(
                node=NodeSection(data=self.folder),
                destinations=tuple(_entry(name, terms) for name, terms in self.terms.items()),
            ),
            Storage(self.catalog, InstanceFiles(self.folder)),
            self.engine,
            Networks(NoClassifier(), MadeModel()),
            Outside(
                clock=self.moment,
                monotonic=lambda: 0.0,
                local_time=lambda: self.local,
                random=lambda: 0.0,
                destination=lambda entry, *_: self.destinations[entry.name],
            ),
        )

    def restart(self) -> None:
        """Let the worker be killed, and start again."""
        self.worker = self._built()
        self.worker.launch()

    @property
    def jobs(self) -> dict[str, Job]:
        """What is queued on the engine of a test."""
        return self._by_hand().jobs

    @property
    def ran(self) -> list[str]:
        """Which jobs of the engine of a test ran."""
        return self._by_hand().ran

    def _by_hand(self) -> HandEngine:
        assert isinstance(self.engine, HandEngine)
        return self.engine

    @property
    def now(self) -> float:
        """The time; to set it is to let it pass."""
        return self.moment.now

    @now.setter
    def now(self, value: float) -> None:
        with self.catalog.write() as connection:
            note_looks(connection, value - self.moment.now)
            self.moment.now = value

    def add(
        self,
        batch: str,
        count: int = 3,
        *,
        destination: str = "pacs",
        syntax: UID = ExplicitVRLittleEndian,
        urgent: bool = False,
        edit: Callable[[Dataset], None] = lambda ds: None,
    ) -> list[str]:
        """Store a series of its own and ask for it at a destination; return its UIDs."""
        series_uid = generate_uid(entropy_srcs=[STUDY, batch])
        uids: list[str] = []
        for number in range(count):
            ds = ct_slice(number, series_uid=series_uid)
            edit(ds)
            item = written(ds, self.folder, syntax)
            stored = StoredInstance(
                item.sop_instance_uid, series_uid, STUDY, item.sop_class_uid,
                item.transfer_syntax_uid, item.path.relative_to(self.folder),
                item.path.stat().st_size, f"{len(uids):064}", "SCANNER", None, Origin.RECEIVED,
                self.now,
            )  # fmt: skip
            self.catalog.studies.record(stored, self.now)
            uids.append(item.sop_instance_uid)
        self.catalog.deliveries.add(batch, destination, uids, self.now, urgent)
        return sorted(uids)

    def look(self, *, run: bool = True) -> int:
        """Let the dispatcher look once, and run what it queued; return how many jobs that was."""
        self.look_once()
        ready = list(self.jobs) if run else []
        for name in ready:
            self.ran.append(name)
            self.jobs.pop(name)()
        return len(ready)

    def look_once(self) -> None:
        """Queue what is due, and run nothing."""
        self.worker.due.look(WorkKind.PROBE)
        self.worker.due.look(WorkKind.DELIVER)

    def look_in_parallel(self) -> None:
        """Look once, and run what was queued in threads, as the engine does."""
        self.look_once()
        threads = [threading.Thread(target=job) for job in self.jobs.values()]
        self.ran.extend(self.jobs)
        self.jobs.clear()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def go_on(self, seconds: float = 0.0, looks: int = 400) -> None:
        """Look until nothing is pending that would ever be tried, skipping the waits."""
        self.now += seconds
        for _ in range(looks):
            if self.look():
                continue
            ahead = [
                job.due_at
                for name in self.terms
                for kind in (WorkKind.DELIVER, WorkKind.PROBE)
                for job in self.catalog.work.open(kind, name)
                if job.state == "waiting"
            ]
            later = [at for at in ahead if at > self.now]
            if not later:
                return
            self.now = min(later)

    @property
    def probe_at(self) -> float:
        """When the destination of a test is probed, whose circuit is open."""
        (probe,) = self.catalog.work.open(WorkKind.PROBE, "pacs")
        return probe.due_at

    def rows(self, uids: Sequence[str]) -> list[Delivery]:
        """Return where instances stand, in the order of their UIDs."""
        rows = self.catalog.delivery_states.of_study(STUDY)
        return [one for one in rows if one.sop_instance_uid in uids]

    def states(self, uids: Sequence[str] | None = None) -> list[str]:
        """Return the states of instances, in the order of their UIDs."""
        rows = self.catalog.delivery_states.of_study(STUDY)
        return [one.state for one in rows if uids is None or one.sop_instance_uid in uids]

    def reasons(self) -> list[str]:
        """Return the reasons of all instances, in the order of their UIDs."""
        return [one.reason for one in self.catalog.delivery_states.of_study(STUDY)]

    def check(self) -> None:
        """Hold every row against the promise: nothing is lost, nothing is parked without a word.

        Delivered; or pending, with its batch waiting for a known time or on the line; or parked,
        paused or cancelled, with the reason.
        """
        for one in self.catalog.delivery_states.of_study(STUDY):
            if one.state == "pending":
                jobs = self.catalog.work.open(WorkKind.DELIVER, one.destination)
                (job,) = [job for job in jobs if job.key == one.batch]
                assert job.state in (WorkState.WAITING, WorkState.CLAIMED)
            elif one.state != "delivered":
                assert one.reason, one
        assert self.catalog.ledger.proof().broken == ""

    def close(self) -> None:
        """End it."""
        self.catalog.close()


def _entry(name: str, terms: Terms) -> FolderDestination:
    """Return what settings say of a destination on these terms; its sender is the test's."""
    hours = "-".join(f"{one:%H:%M}" for one in terms.window or ()) or None
    return FolderDestination(
        kind="folder",
        name=name,
        path=Path(name),
        connections=terms.connections,
        priority=terms.priority,
        window=hours,
        attempts=terms.retries.attempts,
        first_delay_s=terms.retries.first_delay_s,
        longest_delay_s=terms.retries.longest_delay_s,
        break_after=terms.break_after,
        coerce=tuple(map(str, terms.coerce)),
    )


MakeDesk = Callable[..., Desk]


def dimse(
    port: int, response_s: float = 10.0, calling_ae: str = "RADNODE", ae_title: str = "PACS"
) -> DimseSender:
    """Return what sends to a peer on loopback."""
    peer = Peer(ae_title, "127.0.0.1", port, calling_ae, connect_s=5.0, response_s=response_s)
    return DimseSender("pacs", peer)
