"""Where connections come in: plain or TLS, and no peer can keep others out.

pynetdicom shakes hands for TLS in the thread that accepts, so that one silent client would keep
everybody out; here it is done in the connection's own thread, in bounded time. Connections that
have not yet asked for an association are counted, in all and by address.
"""

import socket
import ssl
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, cast

import structlog
from pynetdicom import _config, evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.transport import ThreadedAssociationServer

from node.settings.fields import certificate_name
from node.settings.tls import tls_failure

log = structlog.get_logger()

POLL_S: Final = 0.2  # how soon it is noticed that the node ends
_TOO_MANY: Final = "too many connections wait"


@dataclass(frozen=True)
class Endpoint:
    """One address that is listened on.

    Attributes
    ----------
    address : tuple of str and int
        Port 0 takes any free one.
    secure : callable or None
        Makes the TLS context of a connection; None: unencrypted.
    handshake_s : float
        How long a TLS handshake may take, in seconds.
    pending, pending_of_one : int
        How many connections may be open without an association, in all and from one address.
    refused : callable
        Takes the address and the reason when a connection is not taken, or cannot be secured.
    """

    address: tuple[str, int]
    secure: Callable[[], ssl.SSLContext] | None
    handshake_s: float
    pending: int
    pending_of_one: int
    refused: Callable[[str, str], None]


def without_default_handlers() -> None:
    """Keep pynetdicom from formatting every PDU for its log, with the names of patients."""
    _config.LOG_HANDLER_LEVEL = "none"


class Listener(ThreadedAssociationServer):
    """An association server that takes no harm from peers that say nothing."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        ae: ApplicationEntity,
        endpoint: Endpoint,
        handlers: Sequence[evt.EventHandlerType],
    ) -> None:
        self._endpoint = endpoint
        # Weak: what pynetdicom has dropped without closing it is not pending any more.
        self._waiting: weakref.WeakKeyDictionary[socket.socket, str] = weakref.WeakKeyDictionary()
        self._refusing: set[str] = set()
        self._lock = threading.Lock()
        super().__init__(
            ae, endpoint.address, ae.ae_title, ae.supported_contexts, evt_handlers=list(handlers)
        )
        ae._servers.append(self)  # as `AE.start_server` does; `shutdown` takes it off again
        self._thread = threading.Thread(
            target=self.serve_forever, args=(POLL_S,), name="listener", daemon=True
        )
        self._thread.start()

    @property
    def bound(self) -> tuple[str, int]:
        """The address and port that is listened on."""
        host, port = self.server_address[:2]
        return str(host), int(port)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Take a connection, unless too many wait already.

        Parameters
        ----------
        request : socket
            The connection, before TLS.
        client_address : tuple
            Address and port.

        Returns
        -------
        bool
        """
        address = str(client_address[0])
        with self._lock:
            waiting = Counter(
                where for pending, where in self._waiting.items() if pending.fileno() != -1
            )
            if (
                waiting.total() >= self._endpoint.pending
                or waiting[address] >= self._endpoint.pending_of_one
            ):
                full = True
            else:
                full = False
                self._waiting[request] = address
                self._refusing.discard(address)
        if full:
            self._refuse(address)
        return not full

    def _refuse(self, address: str) -> None:
        """Report a flood once, and again when somebody from there was let in meanwhile.

        Each time would let the flood keep the thread that accepts busy with writing.
        """
        log.warning("connection refused", address=address, because=_TOO_MANY)
        if address not in self._refusing:
            self._refusing.add(address)
            self._endpoint.refused(address, _TOO_MANY)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands where TLS is spoken, and start the association's threads.

        Parameters
        ----------
        request : socket
            The connection, before TLS.
        client_address : tuple
            Address and port.
        """
        if self._endpoint.secure is not None:
            secured = self._shake_hands(request, str(client_address[0]), self._endpoint.secure)
            if secured is None:
                return
            request = secured
        super().finish_request(request, client_address)

    def _shake_hands(
        self, plain: socket.socket, address: str, secure: Callable[[], ssl.SSLContext]
    ) -> ssl.SSLSocket | None:
        wrapped: socket.socket = plain
        try:
            # Of the whole handshake, not of each read.
            plain.settimeout(self._endpoint.handshake_s)
            wrapped = secured = secure().wrap_socket(
                plain, server_side=True, do_handshake_on_connect=False
            )
            with self._lock:
                self._waiting[secured] = address
            secured.do_handshake()
        except OSError as error:
            wrapped.close()
            self._endpoint.refused(address, f"TLS: {tls_failure(error)}")
            return None
        return secured

    def requested(self, assoc: Association) -> None:
        """Note that a connection has asked for an association.

        Parameters
        ----------
        assoc : Association
            Of a connection that this listener took.
        """
        wrapped = assoc.dul.socket
        if wrapped is not None and wrapped.socket is not None:
            with self._lock:
                self._waiting.pop(wrapped.socket, None)

    def stop(self) -> None:
        """Stop listening and abort what is still associated: its sender will try again."""
        self.shutdown()
        for assoc in self.active_associations:
            assoc.abort()


def note_request(assoc: Association) -> None:
    """Note that a connection has asked for an association: it is not pending any more.

    Parameters
    ----------
    assoc : Association
        Of a connection that a `Listener` took.
    """
    cast("Listener", assoc._server).requested(assoc)


def peer_certificate(assoc: Association) -> frozenset[str]:
    """Return the names in the verified certificate of a peer, if it has one.

    Parameters
    ----------
    assoc : Association
        As acceptor, over TLS or not.

    Returns
    -------
    frozenset of str
        DNS names and IP addresses, as `node.settings.fields.certificate_name` writes them (RFC
        9525); none without TLS or without a certificate.
    """
    wrapped = assoc.dul.socket
    wire = wrapped.socket if wrapped is not None else None
    if not isinstance(wire, ssl.SSLSocket):
        return frozenset()
    return certified_names(cast("dict[str, Any]", wire.getpeercert() or {}))


def certified_names(certificate: dict[str, Any]) -> frozenset[str]:
    """Return whom a certificate speaks for: the DNS names and IP addresses of its extension.

    The common name does not count (RFC 9525 Section 2): an authority need not check it. Other
    kinds (mail, URI) and wildcards name no single machine and are left out.

    Parameters
    ----------
    certificate
        As `ssl.SSLSocket.getpeercert` returns it.
    """
    names = set()
    for kind, value in certificate.get("subjectAltName", ()):
        if kind in ("DNS", "IP Address"):
            with suppress(ValueError):
                names.add(certificate_name(value))
    return frozenset(names)
