"""The wiring of the worker: recognition, routing, segmentation, delivery, retention."""

import datetime
import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Final

import structlog

from node.app import Storage, local_time, open_storage
from node.audit.reporting import audited
from node.deliver.build import build as build_destination
from node.deliver.build import peer_of, terms_of
from node.deliver.destination import Destination
from node.deliver.origin import Origins
from node.networks import ComingNetworks, NetworkLoader, Networks
from node.pipeline import workflows
from node.pipeline.commitments import CommitmentRequests, Committing
from node.pipeline.delivering import Delivering
from node.pipeline.dispatch import AT_ONCE, Dispatcher
from node.pipeline.due import DueWork
from node.pipeline.engine import Engine
from node.pipeline.giving_up import GivingUp
from node.pipeline.owed import OwedReports
from node.pipeline.probing import Probing
from node.pipeline.stages import ServedNetworks, Stages
from node.pipeline.strays import Strays
from node.pipeline.summarising import Summarising
from node.pipeline.sweep import Sweep
from node.pipeline.ticker import Look, Recurring, Ticker
from node.route.rules import compile_rules
from node.series.completeness import Policy
from node.settings import DestinationSettings, DimseDestination, Settings
from node.store.changes import Changes
from node.store.locks import executor_id
from node.upkeep.pruning import PruningJob
from node.upkeep.quarantine import Quarantine
from node.upkeep.retention import RetentionJob
from node.upkeep.snapshots import SnapshotFiller
from radnet.inference.models import Making
from radnet.volume.headers import readable_headers

log = structlog.get_logger()

HOLD_S: Final = 10.0
FORGET_S: Final = 10.0
COMMIT_S: Final = 2.0
STRAYS_S: Final = 600.0
RETAIN_S: Final = 600.0
PRUNE_S: Final = 3600.0
FILL_S: Final = 20.0
JOBS_KEPT_S: Final = 30 * 86400.0

Clock = Callable[[], float]
"""Seconds since the epoch."""


@dataclass(frozen=True)
class Outside:
    """What the worker finds around it: time, chance, and who is sent to.

    Attributes
    ----------
    clock : callable
        Seconds since the epoch.
    monotonic : callable
        Seconds since any moment; never set back.
    local_time : callable
        Time of day where the node stands.
    random : callable
        Draws from [0, 1).
    destination : callable
        Makes what sends, of an entry of the settings; see `node.deliver.build.build`.
    """

    clock: Clock = time.time
    monotonic: Callable[[], float] = time.monotonic
    local_time: Callable[[], datetime.time] = local_time
    random: Callable[[], float] = random.SystemRandom().random
    destination: Callable[[DestinationSettings, str, str], Destination] = build_destination


@dataclass(frozen=True)
class Worker:
    """The parts of a worker, wired; nothing runs before `launch`.

    Attributes
    ----------
    upkeep : list[tuple[Recurring, float]]
        What is looked after seldom, each with the seconds between two looks.
    """

    outside: Outside
    engine: Engine
    stages: Stages
    delivering: Delivering
    dispatcher: Dispatcher
    commitments: CommitmentRequests
    due: DueWork
    strays: Strays
    sweep: Sweep
    quarantine: Quarantine
    upkeep: list[tuple[Recurring, float]]

    def launch(self) -> None:
        """Start the engine, and go on with what a worker of this name was at when it ended."""
        self.dispatcher.adopt()
        self.due.resume(self.engine.launch)

    def forget(self) -> None:
        """Remove jobs of the engine that ended long ago, and let it rest where it can."""
        self.engine.rest()
        self.engine.forget(self.outside.clock() - JOBS_KEPT_S)

    def jobs(self) -> list[tuple[Recurring, float]]:
        """Return what is done again and again, each with the seconds between two runs."""
        return [
            (self.quarantine.look, HOLD_S),
            (self.forget, FORGET_S),
            (self.commitments.tick, COMMIT_S),
            (self.strays.look, STRAYS_S),
            *self.upkeep,
        ]

    def looks(self) -> list[Look]:
        """Return what is looked at when rows have changed, and when time alone makes it due."""
        return [Look(self.sweep.settle), *self.due.looks()]


def _stages(
    settings: Settings, storage: Storage, networks: ServedNetworks, outside: Outside
) -> Stages:
    return Stages(
        catalog=storage.catalog,
        files=storage.files,
        networks=networks,
        rules=compile_rules(settings.rules),
        unknown_below=settings.models.unknown_below,
        clock=outside.clock,
        origins=_origins(settings),
        unsummarised=frozenset(d.name for d in settings.destinations if not d.summary),
        capturing=frozenset(d.name for d in settings.destinations if d.capture),
    )


def _origins(settings: Settings) -> Origins:
    title = settings.node.ae_title
    dimse = [
        destination
        for destination in settings.destinations
        if isinstance(destination, DimseDestination)
    ]
    return Origins({destination.name: peer_of(destination, title) for destination in dimse})


def _delivering(
    settings: Settings, storage: Storage, stages: Stages, name: str, outside: Outside
) -> Delivering:
    title = settings.node.ae_title
    # The data folder besides the name: two nodes may deliver to one share.
    owner = sha256(f"{name} {settings.node.data.resolve()}".encode()).hexdigest()[:12]
    return Delivering(
        catalog=storage.catalog,
        files=storage.files,
        destinations={d.name: outside.destination(d, title, owner) for d in settings.destinations},
        terms={d.name: terms_of(d) for d in settings.destinations},
        tag=stages.tag,
        clock=outside.clock,
        local_time=outside.local_time,
        random=outside.random,
    )


def _retention(settings: Settings, storage: Storage, clock: Clock) -> RetentionJob:
    committing = {
        destination.name
        for destination in settings.destinations
        if isinstance(destination, DimseDestination) and destination.commitment
    }
    days = settings.retention.keep_days
    return RetentionJob(storage.catalog, storage.files, days, committing, clock)


def _commitments(settings: Settings, storage: Storage, outside: Outside) -> CommitmentRequests:
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
    return CommitmentRequests(storage.catalog, asked, outside.random)


def _owed(settings: Settings, storage: Storage, outside: Outside) -> OwedReports:
    title = settings.node.ae_title
    sources = {
        source.ae_title: peer_of(source, title) for source in settings.sources if source.host
    }
    return OwedReports(storage.catalog, storage.files, sources, outside.clock, outside.random)


def _upkeep(
    settings: Settings, storage: Storage, outside: Outside
) -> list[tuple[Recurring, float]]:
    catalog, files, clock = storage.catalog, storage.files, outside.clock
    kept = settings.retention
    upkeep: list[tuple[Recurring, float]] = [
        (PruningJob(catalog, kept.records_days, kept.batches_days, clock).tick, PRUNE_S),
        (SnapshotFiller(catalog, files, clock, outside.monotonic).tick, FILL_S),
    ]
    if kept.delete:
        upkeep.append((_retention(settings, storage, clock).tick, RETAIN_S))
    return upkeep


def build(
    settings: Settings,
    storage: Storage,
    engine: Engine,
    networks: ServedNetworks,
    outside: Outside = Outside(),
) -> Worker:
    """Wire a worker; its workflows stand on the engine, and nothing runs yet.

    Parameters
    ----------
    engine : Engine
        Not launched; its executor id is the name of the worker.
    outside : Outside
        Time, chance and network as they are, unless a test makes them up.
    """
    catalog, files, name = storage.catalog, storage.files, engine.executor_id
    stages = _stages(settings, storage, networks, outside)
    delivering = _delivering(settings, storage, stages, name, outside)
    probing = Probing(catalog, delivering.destinations, outside.clock, outside.random)
    dispatcher = Dispatcher(catalog, delivering.terms, outside.local_time)
    committed = _commitments(settings, storage, outside)
    due = DueWork(engine, catalog.claims, name, outside.monotonic)
    giving_up = GivingUp(catalog, files)
    due.add([workflows.recognition(engine, stages, giving_up)])
    due.add([workflows.segmentation(engine, stages, giving_up)])
    due.add([workflows.summary(engine, Summarising(catalog, files, outside.clock))])
    at_once = AT_ONCE + len(delivering.destinations)
    due.add([workflows.delivery(engine, delivering, dispatcher.choose, at_once)])
    due.add([workflows.probes(engine, probing)])
    due.add(workflows.storage_commitment(engine, committed, _owed(settings, storage, outside)))
    policy = Policy(settings.series.settle_s, settings.series.quiet_s)
    return Worker(
        outside=outside,
        engine=engine,
        stages=stages,
        delivering=delivering,
        dispatcher=dispatcher,
        commitments=committed,
        due=due,
        strays=Strays(engine, catalog.work),
        sweep=Sweep(catalog, files, policy, readable_headers, outside.clock, outside.monotonic),
        quarantine=Quarantine(catalog, files, outside.clock),
        upkeep=_upkeep(settings, storage, outside),
    )


def work(settings: Settings, stop: threading.Event) -> None:
    """Run recognition, routing, segmentation and delivery until `stop` is set.

    Recognition and segmentation begin when the networks are loaded; nothing else waits for them.
    The caller holds the lock of the worker's executor id (`node.store.locks`).

    Parameters
    ----------
    settings : Settings
    stop : threading.Event
        Set: it ends in good order.
    """
    storage = open_storage(settings)
    engine = Engine(settings.node.pipeline, executor_id(storage.files, socket.gethostname()))
    with ComingNetworks(partial(_loaded, settings)) as networks:
        worker = build(settings, storage, engine, networks)
        worker.launch()
        with (
            audited(settings, storage.catalog, "worker"),
            closing(Changes(storage.catalog)) as changes,
            Ticker(worker.jobs(), worker.looks(), changes.happened),
        ):
            log.info("worker started")
            stop.wait()
        worker.due.close(engine.close)


def _loaded(settings: Settings, making: Making) -> Networks:
    networks = NetworkLoader(settings, making).networks()
    log.info("worker ready")
    return networks
