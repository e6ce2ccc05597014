"""Delivery alone: real rows, files and associations; jobs run when the test says, by its clock."""

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import time
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from node.deliver.association import Peer
from node.deliver.destination import Destination
from node.deliver.dimse import DimseSender
from node.deliver.turns import Terms
from node.model.records import Delivery, StoredInstance
from node.model.states import Origin
from node.pipeline.delivering import Delivering
from node.pipeline.dispatch import Dispatcher
from node.pipeline.workflows import Workflows
from node.store.catalog import Catalog
from node.store.files import InstanceFiles
from tests.outbound import STUDY, ct_slice, written

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
    """

    def __init__(
        self,
        folder: Path,
        destinations: Mapping[str, Destination],
        terms: Mapping[str, Terms] | None = None,
    ) -> None:
        self.folder = folder
        self.catalog = Catalog(f"sqlite:///{folder / 'catalog.sqlite'}")
        self.catalog.upgrade()
        self.now = 1000.0
        self.local = time(12)
        self.terms = {name: (terms or {}).get(name, Terms()) for name in destinations}
        self.jobs: dict[str, Job] = {}
        self.ran: list[str] = []
        self.delivering = Delivering(
            catalog=self.catalog,
            files=InstanceFiles(folder),
            destinations=destinations,
            terms=self.terms,
            tag=lambda _target, _batch: True,
            clock=lambda: self.now,
            local_time=lambda: self.local,
            random=lambda: 0.0,
        )
        self.dispatcher = Dispatcher(
            self.catalog, self.terms, lambda: self.now, lambda: self.local
        )
        self.workflows = Workflows(lambda *_: None, self._queue_batch, self._queue_probe)

    def _queue_batch(self, destination: str, batch: str, serial: int) -> None:
        self._queue(
            f"send/{destination}/{batch}/{serial}",
            lambda: self.delivering.send(destination, batch, serial),
        )

    def _queue_probe(self, destination: str, number: int) -> None:
        self._queue(f"probe/{destination}/{number}", lambda: self.delivering.probe(destination))

    def _queue(self, name: str, job: Job) -> None:
        if name not in self.ran:  # as the engine does: a known id runs once
            self.jobs[name] = job

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
        self.dispatcher.look(self.workflows)
        ready = list(self.jobs) if run else []
        for name in ready:
            self.ran.append(name)
            self.jobs.pop(name)()
        return len(ready)

    def look_in_parallel(self) -> None:
        """Look once, and run what was queued in threads, as the engine does."""
        self.dispatcher.look(self.workflows)
        threads = [threading.Thread(target=job) for job in self.jobs.values()]
        self.ran += list(self.jobs)
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
                job.next_at
                for name in self.terms
                for job in self.catalog.dispatches.of_destination(name)
                if job.state == "waiting"
            ] + [o.circuit.until for o in self.catalog.outlets.all().values() if o.circuit.until]
            later = [at for at in ahead if at > self.now]
            if not later:
                return
            self.now = min(later)

    def rows(self, uids: Sequence[str]) -> list[Delivery]:
        """Return where instances stand, in the order of their UIDs."""
        rows = self.catalog.deliveries.of_study(STUDY)
        return [one for one in rows if one.sop_instance_uid in uids]

    def states(self, uids: Sequence[str] | None = None) -> list[str]:
        """Return the states of instances, in the order of their UIDs."""
        rows = self.catalog.deliveries.of_study(STUDY)
        return [one.state for one in rows if uids is None or one.sop_instance_uid in uids]

    def reasons(self) -> list[str]:
        """Return the reasons of all instances, in the order of their UIDs."""
        return [one.reason for one in self.catalog.deliveries.of_study(STUDY)]

    def check(self) -> None:
        """Hold every row against the promise: nothing is lost, nothing is parked without a word.

        Delivered; or pending, with its batch waiting for a known time or on the line; or parked,
        paused or cancelled, with the reason.
        """
        for one in self.catalog.deliveries.of_study(STUDY):
            if one.state == "pending":
                jobs = self.catalog.dispatches.of_destination(one.destination)
                (job,) = [job for job in jobs if job.batch == one.batch]
                assert job.state in ("waiting", "queued")
            elif one.state != "delivered":
                assert one.reason, one
        assert self.catalog.ledger.proof().broken == ""

    def close(self) -> None:
        """End it."""
        self.catalog.close()


MakeDesk = Callable[..., Desk]


def dimse(
    port: int, response_s: float = 10.0, calling_ae: str = "RADNODE", ae_title: str = "PACS"
) -> DimseSender:
    """Return what sends to a peer on loopback."""
    peer = Peer(ae_title, "127.0.0.1", port, calling_ae, connect_s=5.0, response_s=response_s)
    return DimseSender("pacs", peer)
