"""Syslog: RFC 5424 messages over TLS (RFC 5425), TCP (RFC 6587) or UDP (RFC 5426).

Syslog has no answers. Over TLS and TCP a batch counts as taken when the receiver, having been
told that nothing more comes, ends the connection without an error: then it has read everything.
Over UDP nobody knows.
"""

import contextlib
import errno
import fcntl
import os
import socket
import ssl
import struct
import termios
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from node.errors import ConfigError, TransientDeliveryError
from node.settings.tls import ClientTls, client_context, tls_failure

Transport = Literal["tls", "tcp", "udp"]

PRIORITY: Final = 10 * 8 + 5  # facility 10 (security), severity 5 (notice): PS3.15 A.6
MESSAGE_ID: Final = "DICOM+RFC3881"  # PS3.15 A.6
LONGEST_DATAGRAM: Final = 60_000
_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True)
class Collector:
    """Where audit messages go."""

    host: str
    port: int
    transport: Transport
    tls: ClientTls | None = None

    def __str__(self) -> str:
        return f"{self.transport} {self.host}:{self.port}"

    def deliver(self, messages: Sequence[bytes]) -> None:
        """Hand over messages, all or none as far as can be told.

        Raises
        ------
        TransientDeliveryError
            If they must be sent again.
        """
        try:
            if self.transport == "udp":
                self._throw(messages)
            else:
                self._stream(b"".join(framed(message) for message in messages))
        except OSError as error:
            raise TransientDeliveryError(f"{self}: {tls_failure(error)}") from error
        except ConfigError as error:  # a certificate that is being renewed
            raise TransientDeliveryError(f"{self}: {error}") from error

    def _throw(self, messages: Sequence[bytes]) -> None:
        family, _, _, _, address = socket.getaddrinfo(
            self.host, self.port, type=socket.SOCK_DGRAM
        )[0]
        with socket.socket(family, socket.SOCK_DGRAM) as wire:
            wire.connect(address)
            for message in messages:
                if len(message) > LONGEST_DATAGRAM:
                    raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
                wire.send(message)

    def _stream(self, octets: bytes) -> None:
        with socket.create_connection((self.host, self.port), _TIMEOUT_S) as plain:
            if self.transport == "tcp":
                plain.sendall(octets)
                _until_closed(plain)
                return
            trusted = self.tls or ClientTls()
            name = trusted.server_name or self.host
            with client_context(trusted).wrap_socket(plain, server_hostname=name) as secured:
                secured.sendall(octets)
                _until_ended(secured)


def _until_ended(secured: ssl.SSLSocket) -> None:
    """Exchange the close of TLS (RFC 5425 Section 4.4), then that of TCP."""
    try:
        plain = secured.unwrap()
    except ssl.SSLEOFError:
        return  # a receiver that ends TCP without the close of TLS: it has read everything
    except TimeoutError:
        if _unacknowledged(secured):
            raise
        return
    _until_closed(plain)


def _until_closed(wire: socket.socket) -> None:
    """Wait until the receiver ends the connection, or its machine has at least all octets."""
    with contextlib.suppress(OSError):  # it may have ended it already
        wire.shutdown(socket.SHUT_WR)
    try:
        while wire.recv(4096):
            pass
    except TimeoutError:
        if _unacknowledged(wire):
            raise


def _unacknowledged(wire: socket.socket) -> int:
    """Return how many octets the receiver's machine has not confirmed (SIOCOUTQ)."""
    return int(struct.unpack("i", fcntl.ioctl(wire, termios.TIOCOUTQ, bytes(4)))[0])


def framed(message: bytes) -> bytes:
    """Return a message with its length before it (RFC 5425 Section 4.3)."""
    return str(len(message)).encode() + b" " + message


def formatted(xml: bytes, at: float, host: str, process_id: int) -> bytes:
    """Return an RFC 5424 message: header, no structured data, the XML behind a BOM.

    Parameters
    ----------
    at : float
        When the event happened, in seconds since the epoch.
    host : str
        The machine that tells it.
    """
    when = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    header = f"<{PRIORITY}>1 {when} {host[:255] or '-'} radnode {process_id} {MESSAGE_ID} - "
    return header.encode("ascii", "replace") + b"\xef\xbb\xbf" + xml
