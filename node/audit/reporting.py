"""The auditor of a node, made from its settings."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from node.audit.auditor import AuditedDestination, Auditor, MessageWriter
from node.audit.syslog import Collector
from node.settings import (
    DestinationSettings,
    DicomwebDestination,
    DimseDestination,
    FolderDestination,
    OrthancDestination,
    Settings,
)
from node.store.catalog import Catalog
from node.store.outbox import AuditKind


def auditor_of(settings: Settings, catalog: Catalog) -> Auditor | None:
    """Return what tells the audit collector, or None where the settings name none.

    Parameters
    ----------
    settings : Settings
        Whether there is `[audit]`, and how this node is called.
    catalog : Catalog
        The outbox of what is to be told is in it.

    Returns
    -------
    Auditor or None
    """
    wanted = settings.audit
    collector = collector_of(settings)
    if wanted is None or collector is None:
        return None
    writer = MessageWriter(
        ae_title=settings.node.ae_title,
        process="radnode",
        host=socket.gethostname(),
        places={destination.name: place_of(destination) for destination in settings.destinations},
    )
    source = (wanted.source_id or settings.node.ae_title, wanted.site)
    return Auditor(catalog.outbox, writer, collector, source, os.getpid())


def collector_of(settings: Settings) -> Collector | None:
    """Return where audit messages go, or None where the settings name no place.

    Parameters
    ----------
    settings : Settings
        Their section `[audit]`.

    Returns
    -------
    Collector or None
        It is not connected yet.
    """
    wanted = settings.audit
    if wanted is None:
        return None
    return Collector(wanted.host, wanted.well_known_port, wanted.transport, wanted.tls.client)


def place_of(entry: DestinationSettings) -> AuditedDestination:
    """Return how an audit message names a destination."""
    match entry:
        case DimseDestination():
            return AuditedDestination(entry.ae_title, entry.host)
        case DicomwebDestination() | OrthancDestination():
            return AuditedDestination(str(entry.url), entry.url.host or "")
        case FolderDestination():
            return AuditedDestination(entry.name, medium=True)


@contextmanager
def audited(settings: Settings, catalog: Catalog, role: str) -> Iterator[None]:
    """Note the begin and the end of a process; a begin without an end was a crash.

    Parameters
    ----------
    settings : Settings
        Without `[audit]` nothing is noted.
    catalog : Catalog
        Where it is noted until the collector took it.
    role : str
        ``receive``, ``work`` or ``audit``.

    Yields
    ------
    None
    """

    def note(kind: AuditKind) -> None:
        if settings.audit is not None:
            detail = {"role": role, "process": str(os.getpid())}
            catalog.outbox.note(kind, detail, time.time())

    note("start")
    yield
    note("stop")
