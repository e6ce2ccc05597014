"""The Storage SCP: C-ECHO, and C-STORE of every storage SOP class in every transfer syntax.

Nothing is decoded and nothing is transcoded: of the sender's transfer syntaxes the first that
can be walked over is accepted (`negotiation`) and its bytes are kept. The handler stores and
answers; it does not think.
"""

import socket
import threading
from collections.abc import Callable, Sequence
from typing import Final, cast

import structlog
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from node.deliver.build import terms_of
from node.errors import ConfigError, StoreError
from node.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from node.receive.adoption import Adoption, is_another, note_ledger
from node.receive.commitment_scp import CommitmentScp
from node.receive.disk_space import MIB, DiskSpace, free_under
from node.receive.gate import Gate
from node.receive.gatekeeper import Gatekeeper, caller_of
from node.receive.negotiation import negotiate
from node.receive.reception import Arrival, Reception
from node.receive.spool import Intake, MemoryBudget, Spool
from node.receive.tally import AssociationTally
from node.settings import Settings
from node.settings.tls import Renewed
from node.store.catalog import Catalog
from node.store.database import BUSY_TIMEOUT_S
from node.store.database_identity import End
from node.store.files import InstanceFiles
from node.store.locks import executor_id
from node.wire.callbacks import Callbacks
from node.wire.listener import Endpoint, Listener, without_default_handlers
from node.wire.reactor import replace_reactor
from node.wire.sinks import received

log = structlog.get_logger()

NOTED_S: Final = 5.0  # how often it is noted which ledger belongs to the files
_NO_LIMIT: Final = 1 << 20
_PENDING: Final = 4  # connections without an association, for each one that may be open


class StorageScp:
    """A running Storage SCP.

    Parameters
    ----------
    settings : Settings
        AE title, address and limits; port 0 takes any free one.
    catalog, files
        Where rows and bytes go.
    clock : callable
        Seconds since the epoch.

    Attributes
    ----------
    holder : str
        Name of this receiver where it claims work; no other that lives has it.

    Raises
    ------
    ConfigError
        If an address cannot be listened on.
    """

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        files: InstanceFiles,
        clock: Callable[[], float],
    ) -> None:
        self._catalog = catalog
        self._clock = clock
        limits = settings.receive
        disk_space = DiskSpace(
            free_under(files.root), limits.warn_below_free_mib, limits.refuse_below_free_mib
        )
        budget = MemoryBudget(limits.memory_mib * MIB)
        self._intake = Intake(files, disk_space, budget, limits.maximum_instance_mib * MIB)
        self._reception = Reception(catalog, files, clock)
        self.holder = f"{executor_id(files, socket.gethostname())}/receive"
        retries = {
            destination.name: terms_of(destination).retries
            for destination in settings.destinations
        }
        self._commitment = CommitmentScp(catalog, files, self.holder, clock, retries)
        self._open: dict[Association, int] = {}
        self._tallies: dict[Association, AssociationTally] = {}
        gate = Gate(
            settings.sources,
            settings.node.ae_title,
            limits.accept_unlisted,
            limits.maximum_associations,
        )
        self._keeper = Gatekeeper(gate, catalog, clock)
        self._listeners: dict[str, Listener] = {}
        self._start(settings)

    @property
    def server_address(self) -> tuple[str, int]:
        """The address and port of the plain listener, or of the only one."""
        return (self._listeners.get("plain") or self._listeners["tls"]).bound

    @property
    def tls_address(self) -> tuple[str, int]:
        """The address and port of the TLS listener."""
        return self._listeners["tls"].bound

    @property
    def addresses(self) -> dict[str, str]:
        """What is listened on, by kind."""
        return {
            kind: "{}:{}".format(*listener.bound) for kind, listener in self._listeners.items()
        }

    def shutdown(self) -> None:
        """Stop listening and abort what is still associated: its sender will try again."""
        self._commitment.close()
        for listener in self._listeners.values():
            listener.stop()

    def _start(self, settings: Settings) -> None:
        without_default_handlers()
        ae = AE(settings.node.ae_title)
        ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        ae.maximum_associations = _NO_LIMIT  # the gate counts, and not those that only connect
        ae.maximum_pdu_size = settings.receive.maximum_pdu_size
        ae.network_timeout = settings.receive.network_timeout_s
        ae.dimse_timeout = settings.receive.network_timeout_s
        ae.acse_timeout = settings.receive.negotiation_timeout_s
        ae.add_supported_context(Verification)  # pynetdicom wants one; `negotiation` decides
        # An association is recorded in two transactions, each of which may wait for a catalog
        # that others hold.
        callbacks = Callbacks(
            negotiate, self._intake.begin, self._keeper.turned_away, 2 * BUSY_TIMEOUT_S
        )
        handlers: list[evt.EventHandlerType] = [
            (evt.EVT_CONN_OPEN, replace_reactor, [callbacks]),
            (evt.EVT_REQUESTED, self._keeper.requested),
            (evt.EVT_ACCEPTED, self._opened),
            (evt.EVT_ACCEPTED, self._keeper.accepted),
            (evt.EVT_RELEASED, self._released),
            (evt.EVT_CONN_CLOSE, self._closed),
            (evt.EVT_C_STORE, self._store),
            *self._commitment.handlers,
        ]
        secured = settings.tls
        if secured is None or secured.plain_port:
            endpoint = self._endpoint(settings, settings.node.port, None)
            self._listeners["plain"] = _listening(ae, endpoint, handlers, "node.port")
        if secured is not None:
            renewed = Renewed(secured.own, secured.ca_file, secured.client_certificate)
            endpoint = self._endpoint(settings, secured.port, renewed)
            self._listeners["tls"] = _listening(ae, endpoint, handlers, "tls.port")

    def _endpoint(self, settings: Settings, port: int, secure: Renewed | None) -> Endpoint:
        limits = settings.receive
        return Endpoint(
            (settings.node.bind, port),
            secure,
            limits.negotiation_timeout_s,
            pending=_PENDING * limits.maximum_associations,
            pending_of_one=limits.maximum_associations,
            refused=self._keeper.turned_away,
        )

    def _opened(self, event: Event) -> None:
        caller = caller_of(event.assoc)
        address = caller.address
        try:
            self._open[event.assoc] = self._catalog.access.open(
                caller.calling_ae, caller.called_ae, address, self._clock()
            )
        except StoreError as error:
            # Its instances will fail one by one and be sent again; do not answer for them here.
            log.error("association not recorded", because=str(error))  # noqa: TRY400
            return
        self._tallies[event.assoc] = AssociationTally()
        log.info("association opened", calling_ae=caller.calling_ae, address=address)

    def _released(self, event: Event) -> None:
        self._end(event.assoc, released=True)

    def _closed(self, event: Event) -> None:
        self._end(event.assoc, released=False)

    def _end(self, assoc: Association, *, released: bool) -> None:
        """Record the end once: a release is followed by the closing of the connection."""
        association_id = self._open.pop(assoc, None)
        if association_id is None:
            return
        try:
            self._catalog.access.close(association_id, released, self._clock())
        except StoreError as error:
            log.error("end of association not recorded", because=str(error))  # noqa: TRY400
        summary = self._tallies.pop(assoc, AssociationTally()).summary()
        log.info(
            "association ended", calling_ae=assoc.requestor.ae_title, released=released, **summary
        )

    def _store(self, event: Event) -> int:
        return self._reception.take(
            Arrival(
                content=cast("Spool", received(event)),  # what `self._intake` began
                calling_ae=event.assoc.requestor.ae_title,
                association_id=self._open.get(event.assoc),
                tally=self._tallies.get(event.assoc) or AssociationTally(),
            )
        )


def _listening(
    ae: AE, endpoint: Endpoint, handlers: Sequence[evt.EventHandlerType], key: str
) -> Listener:
    try:
        return Listener(ae, endpoint, handlers)
    except OSError as error:
        where = "{}:{}".format(*endpoint.address)
        raise ConfigError(
            f"cannot listen on {where}: {error.strerror}; see node.bind and {key}"
        ) from error


def serve(
    settings: Settings,
    catalog: Catalog,
    files: InstanceFiles,
    clock: Callable[[], float],
    stop: threading.Event,
) -> None:
    """Run the Storage SCP until `stop` is set.

    What an earlier receiver left behind is put in order first: half-written files go, and
    associations that nobody closed count as aborted. Where the catalog is not the one that the
    files were recorded in, those that no row names are taken in before anybody can send others
    under their names.

    Parameters
    ----------
    settings : Settings
        Where to listen, whom to let in, limits.
    catalog : Catalog
        Rows of what is received.
    files : InstanceFiles
        Where the bytes go.
    clock : callable
        Seconds since the epoch.
    stop : threading.Event
        Set: no further association is taken, and open ones end.
    """
    removed = files.clear_incoming()
    catalog.access.close_stale(clock())
    if is_another(catalog, files):
        log.error("the catalog is another or an older one: files without rows are taken in")
        Adoption(catalog, files, clock).adopt()
        note_ledger(files, catalog.ledger.end())
    catalog.reserve_log()
    scp = StorageScp(settings, catalog, files, clock)
    log.info("receiver ready", listening=scp.addresses, half_written_removed=removed)
    noted = None
    while not stop.wait(NOTED_S):
        noted = _note(catalog, files, noted)
    scp.shutdown()
    _note(catalog, files, noted)


def _note(catalog: Catalog, files: InstanceFiles, noted: End | None) -> End | None:
    """Note the last entry of the ledger that is known here, unless that is noted already."""
    end = catalog.ledger.known_end
    if end is not None and end != noted:
        note_ledger(files, end)
    return end
