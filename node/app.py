"""The wiring of parts: settings in, running processes out. Nothing is decided here.

The worker is wired in `node.worker`, which imports the networks (six seconds, 0.6 GB): the
receiver, the supervisor and the commands must not wait for them.
"""

import datetime
import threading
import time
from dataclasses import dataclass

from node.receive import storage_scp
from node.settings import Settings
from node.store.catalog import Catalog
from node.store.instances import InstanceFiles
<<<<<<< HEAD
from node.store.locks import executor_lock
=======
from node.watch.reporting import audited, auditor_of
from radnet.inference.classifier import Classifier
from radnet.inference.segmenter import LiverSegmenter
from radnet.volume.series import read_headers

log = structlog.get_logger()

AUDIT_S: Final = 5.0
SWEEP_S: Final = 0.5
RESCUE_S: Final = 10.0
COMMIT_S: Final = 2.0
>>>>>>> ec8f27f (Audit messages from the ledger to syslog, kept until they are taken)


@dataclass(frozen=True)
class Storage:
    """Rows and bytes of one node."""

    catalog: Catalog
    files: InstanceFiles


def open_storage(settings: Settings) -> Storage:
    """Open rows and bytes, creating or migrating them where needed.

    Raises
    ------
    StoreError
        If the database or the folder cannot be used.
    """
    settings.node.data.mkdir(parents=True, exist_ok=True)
    with executor_lock(settings.node.data / "run" / "migrate.lock"):
        catalog = Catalog(settings.node.catalog)
        catalog.upgrade()
    return Storage(catalog, InstanceFiles(settings.node.data))


def receive(settings: Settings, stop: threading.Event) -> None:
    """Run the Storage SCP until `stop` is set."""
    storage = open_storage(settings)
    with audited(settings, storage.catalog, "receiver"):
        storage_scp.serve(settings, storage.catalog, storage.files, time.time, stop)


def local_time() -> datetime.time:
    """Return the time of day where the node stands."""
    return datetime.datetime.now(datetime.UTC).astimezone().time()
<<<<<<< HEAD
=======


def _delivering(settings: Settings, storage: Storage, stages: Stages) -> Delivering:
    return Delivering(
        catalog=storage.catalog,
        files=storage.files,
        destinations={d.name: build(d, settings.node.ae_title) for d in settings.destinations},
        terms={d.name: terms_of(d) for d in settings.destinations},
        tag=stages.tag,
        clock=time.time,
        local_time=local_time,
        random=random.SystemRandom().random,
    )


def _commitments(settings: Settings, storage: Storage) -> Commitments:
    listed = {source.ae_title for source in settings.sources}
    asked = {
        one.name: Committing(
            peer_of(one, settings.node.ae_title), one.commitment_timeout_s, one.commitment_wait_s
        )
        for one in settings.destinations
        if isinstance(one, DimseDestination) and one.commitment
    }
    for name, committing in asked.items():
        if listed and committing.peer.ae_title not in listed:
            log.warning("not in [[sources]]: may report while we wait only", destination=name)
    return Commitments(storage.catalog, asked, time.time, random.SystemRandom().random)


def work(settings: Settings, stop: threading.Event) -> None:
    """Run recognition, routing, segmentation and delivery until `stop` is set."""
    storage = open_storage(settings)
    with executor_lock(settings.node.data / "run" / "worker.lock"):
        stages = _stages(settings, storage)
        engine = Engine(settings.node.pipeline, f"{socket.gethostname()}:worker")
        delivering = _delivering(settings, storage, stages)
        dispatcher = Dispatcher(storage.catalog, delivering.terms, time.time, local_time)
        pipeline = workflows.register(engine, stages, delivering)
        committed = _commitments(settings, storage)
        committed.register(engine)
        queues = workflows.queues(AT_ONCE + len(delivering.destinations))
        engine.launch([*queues, *commitments.QUEUES])
        policy = Policy(settings.series.settle_s, settings.series.quiet_s)
        sweep = Sweep(storage.catalog, storage.files, policy, read_headers, time.time)

        quarantine = Quarantine(storage.catalog, storage.files, time.time)

        def settle_and_queue() -> None:
            sweep.settle()
            sweep.queue(pipeline)

        def rescue_and_hold() -> None:
            sweep.rescue(engine, pipeline)
            quarantine.look()

        scheduler = BackgroundScheduler(timezone="UTC")
        for job, seconds in (
            (settle_and_queue, SWEEP_S),
            (rescue_and_hold, RESCUE_S),
            (lambda: dispatcher.look(pipeline), SWEEP_S),
            (lambda: dispatcher.mend(engine, delivering), RESCUE_S),
            (committed.tick, COMMIT_S),
        ):
            scheduler.add_job(job, "interval", seconds=seconds, coalesce=True, max_instances=1)
        auditor = auditor_of(settings, storage.catalog)
        if auditor is not None:
            scheduler.add_job(
                auditor.tick, "interval", seconds=AUDIT_S, coalesce=True, max_instances=1
            )
        with audited(settings, storage.catalog, "worker"):
            scheduler.start()
            log.info("worker ready")
            stop.wait()
            scheduler.shutdown(wait=True)
            engine.close()
        if auditor is not None:
            auditor.tick()
>>>>>>> ec8f27f (Audit messages from the ledger to syslog, kept until they are taken)
