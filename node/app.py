"""The wiring of parts: settings in, running processes out. Nothing is decided here.

The worker is wired in `node.worker`, which imports what runs the networks (two seconds): the
receiver, the supervisor and the commands must not wait for them.
"""

import datetime
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from node.audit.reporting import audited, auditor_of
from node.errors import ConfigError, StoreError
from node.receive import storage_scp
from node.settings import Settings
from node.store.catalog import Catalog
from node.store.files import InstanceFiles
from node.store.locks import executor_lock, sole_lock
from node.store.private import private_folder, tighten

log = structlog.get_logger()

AUDIT_S: Final = 5.0


@dataclass(frozen=True)
class Storage:
    """Rows and bytes of one node."""

    catalog: Catalog
    files: InstanceFiles


def open_storage(settings: Settings) -> Storage:
    """Open rows and bytes, creating or migrating them where needed.

    Parameters
    ----------
    settings : Settings

    Returns
    -------
    Storage

    Raises
    ------
    StoreError
        If the database or the folder cannot be used.
    """
    data = settings.node.data
    try:
        private_folder(data)
        with executor_lock(data / "run" / "migrate.lock"):
            _close_to_others(data)
            catalog = Catalog(settings.node.catalog)
            catalog.upgrade()
            catalog.ledger.remember_end()
    except OSError as error:
        raise StoreError(f"node.data: {data} cannot be used: {error.strerror}") from error
    return Storage(catalog, InstanceFiles(settings.node.data))


def _close_to_others(data: Path) -> None:
    found = tighten(data)
    if found.closed:
        log.warning("permissions", closed_to_others=found.closed, folder=str(data))
    if found.refused:
        log.warning(
            "permissions: files or folders belong to another user, who must chmod go= them",
            open_to_others=found.refused,
            folder=str(data),
        )


def receive(settings: Settings, stop: threading.Event) -> None:
    """Run the Storage SCP until `stop` is set.

    Parameters
    ----------
    settings : Settings
    stop : threading.Event
        Set: it ends in good order.

    Raises
    ------
    InUseError
        If another receiver has the data folder. This one would clear away what that one is
        receiving just now, and count its associations as aborted.
    """
    storage = open_storage(settings)
    in_use = (
        f"another process receives into {settings.node.data}: stop it first, or give this node "
        "another node.data"
    )
    with (
        sole_lock(settings.node.data / "run" / "receiver.lock", in_use),
        audited(settings, storage.catalog, "receiver"),
    ):
        storage_scp.serve(settings, storage.catalog, storage.files, time.time, stop)


def audit(settings: Settings, stop: threading.Event) -> None:
    """Send audit messages until `stop` is set, and once more then.

    Parameters
    ----------
    settings : Settings
    stop : threading.Event
        Set: it ends in good order.

    Raises
    ------
    ConfigError
        If the settings name no collector.
    """
    storage = open_storage(settings)
    auditor = auditor_of(settings, storage.catalog)
    if auditor is None:
        raise ConfigError("the settings have no [audit]: there is nobody to tell")
    # One at a time: two would tell everything twice.
    with executor_lock(settings.node.data / "run" / "audit.lock", stop) as held:
        if not held:
            return
        log.info("auditor ready")
        while not stop.wait(AUDIT_S):
            auditor.tick()
        auditor.tick()


def local_time() -> datetime.time:
    """Return the time of day where the node stands."""
    return datetime.datetime.now(datetime.UTC).astimezone().time()
