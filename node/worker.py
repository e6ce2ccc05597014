"""The wiring of the worker: recognition, routing, segmentation, delivery, retention."""

import random
import socket
import threading
import time
from functools import partial
from hashlib import sha256
from typing import Final

import structlog

from node.app import Storage, local_time, open_storage
from node.audit.reporting import audited
from node.deliver.build import build, peer_of, terms_of
from node.deliver.origin import Origins
from node.pipeline import workflows
from node.pipeline.commitments import CommitmentRequests, Committing
from node.pipeline.delivering import Delivering
from node.pipeline.dispatch import AT_ONCE, Dispatcher
from node.pipeline.due import DueWork
from node.pipeline.engine import Engine
from node.pipeline.owed import OwedReports
from node.pipeline.stages import Stages
from node.pipeline.sweep import Sweep
from node.pipeline.ticker import Job, Ticker
from node.route.rules import compile_rules
from node.series.completeness import Policy
from node.settings import DimseDestination, Settings
from node.store.locks import executor_id
from node.upkeep.clockwatch import ClockWatch
from node.upkeep.pruning import PruningJob
from node.upkeep.quarantine import Quarantine
from node.upkeep.retention import RetentionJob
from node.upkeep.snapshots import SnapshotFiller
from radnet.inference.classifier import Classifier
from radnet.inference.segmenter import LiverSegmenter
from radnet.volume.headers import readable_headers

log = structlog.get_logger()

SWEEP_S: Final = 0.5
RESCUE_S: Final = 10.0
COMMIT_S: Final = 2.0
MEND_S: Final = 60.0
RETAIN_S: Final = 600.0
PRUNE_S: Final = 3600.0
FILL_S: Final = 20.0
JOBS_KEPT_S: Final = 30 * 86400.0


def _stages(settings: Settings, storage: Storage) -> Stages:
    classifier = Classifier.load(settings.models.classifier, settings.models.precision)
    return Stages(
        catalog=storage.catalog,
        files=storage.files,
        classifier=classifier,
        liver=LiverSegmenter.load(settings.models.liver, classifier, settings.models.precision),
        rules=compile_rules(settings.rules),
        unknown_below=settings.models.unknown_below,
        clock=time.time,
        origins=_origins(settings),
    )


def _origins(settings: Settings) -> Origins:
    title = settings.node.ae_title
    dimse = [
        destination
        for destination in settings.destinations
        if isinstance(destination, DimseDestination)
    ]
    return Origins({destination.name: peer_of(destination, title) for destination in dimse})


def _delivering(settings: Settings, storage: Storage, stages: Stages, name: str) -> Delivering:
    title = settings.node.ae_title
    # The data folder besides the name: two nodes may deliver to one share.
    owner = sha256(f"{name} {settings.node.data.resolve()}".encode()).hexdigest()[:12]
    return Delivering(
        catalog=storage.catalog,
        files=storage.files,
        destinations={d.name: build(d, title, owner) for d in settings.destinations},
        terms={d.name: terms_of(d) for d in settings.destinations},
        tag=stages.tag,
        clock=time.time,
        local_time=local_time,
        random=random.SystemRandom().random,
    )


def _retention(settings: Settings, storage: Storage) -> RetentionJob:
    committing = {
        destination.name
        for destination in settings.destinations
        if isinstance(destination, DimseDestination) and destination.commitment
    }
    days = settings.retention.keep_days
    return RetentionJob(storage.catalog, storage.files, days, committing, time.time)


def _pruning(settings: Settings, storage: Storage) -> PruningJob:
    kept = settings.retention
    return PruningJob(storage.catalog, kept.records_days, kept.batches_days, time.time)


def _commitments(settings: Settings, storage: Storage) -> CommitmentRequests:
    listed = {source.ae_title for source in settings.sources}
    asked = {
        destination.name: Committing(
            peer_of(destination, settings.node.ae_title),
            destination.commitment_timeout_s,
            destination.commitment_wait_s,
            terms_of(destination).retries,
        )
        for destination in settings.destinations
        if isinstance(destination, DimseDestination) and destination.commitment
    }
    for name, committing in asked.items():
        if listed and committing.peer.ae_title not in listed:
            log.warning("not in [[sources]]: may report while we wait only", destination=name)
    return CommitmentRequests(storage.catalog, asked, time.time, random.SystemRandom().random)


def _owed(settings: Settings, storage: Storage) -> OwedReports:
    title = settings.node.ae_title
    sources = {
        source.ae_title: peer_of(source, title) for source in settings.sources if source.host
    }
    draw = random.SystemRandom().random
    return OwedReports(storage.catalog, storage.files, sources, time.time, draw)


def work(settings: Settings, stop: threading.Event) -> None:
    """Run recognition, routing, segmentation and delivery until `stop` is set.

    The caller holds the lock of the worker's executor id (`node.store.locks`).
    """
    storage = open_storage(settings)
    stages = _stages(settings, storage)
    name = executor_id(storage.files, socket.gethostname())
    engine = Engine(settings.node.pipeline, name)
    delivering = _delivering(settings, storage, stages, name)
    dispatcher = Dispatcher(storage.catalog, delivering.terms, time.time, local_time)
    pipeline = workflows.register(engine, stages, delivering)
    committed = _commitments(settings, storage)
    due = DueWork(engine, storage.catalog.work, name)
    due.add(workflows.due_kinds(engine, committed, _owed(settings, storage)))
    queues = workflows.queues(AT_ONCE + len(delivering.destinations))
    dispatcher.adopt()
    engine.launch([*queues, *due.queues])
    due.resume()
    policy = Policy(settings.series.settle_s, settings.series.quiet_s)
    sweep = Sweep(
        storage.catalog, storage.files, policy, readable_headers, time.time, time.monotonic
    )

    watch = ClockWatch(storage.catalog, time.time, time.monotonic)
    quarantine = Quarantine(storage.catalog, storage.files, time.time)

    filler = SnapshotFiller(storage.catalog, storage.files, time.time, time.monotonic)

    def settle_and_queue() -> None:
        sweep.settle()
        sweep.queue(pipeline)

    def rescue_and_hold() -> None:
        sweep.rescue(engine, pipeline)
        quarantine.look()
        engine.forget(time.time() - JOBS_KEPT_S)  # after the rescue: that looks at dead ones

    jobs: list[tuple[Job, float]] = [
        (settle_and_queue, SWEEP_S),
        (rescue_and_hold, RESCUE_S),
        (lambda: dispatcher.look(pipeline), SWEEP_S),
        (lambda: dispatcher.mend(engine, delivering), RESCUE_S),
        (lambda: sweep.mend(engine), MEND_S),
        (committed.tick, COMMIT_S),
        *((partial(due.look, kind), SWEEP_S) for kind in due.kinds),
        (watch.look, SWEEP_S),
        (_pruning(settings, storage).tick, PRUNE_S),
        (filler.tick, FILL_S),
    ]
    if settings.retention.delete:
        jobs.append((_retention(settings, storage).tick, RETAIN_S))
    with audited(settings, storage.catalog, "worker"), Ticker(jobs):
        log.info("worker ready")
        stop.wait()
    engine.close()
