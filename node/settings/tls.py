"""The one place where TLS is set up: the BCP 195 profile of DICOM.

TLS 1.2 and 1.3 only; of TLS 1.2 only suites with ephemeral elliptic-curve keys and authenticated
encryption; no compression, no renegotiation (PS3.15 Section B.12, BCP 195: RFC 8996 forbids TLS
1.0 and 1.1, RFC 9325 Section 4.2 recommends the suites).
"""

import ssl
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import structlog

from node.errors import ConfigError

log = structlog.get_logger()

SUITES: Final = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
"""Suites of TLS 1.2 by their OpenSSL names; those of TLS 1.3 are all of this kind."""

ClientCertificate = Literal["none", "optional", "required"]


@dataclass(frozen=True)
class KeyPair:
    """A certificate (with those of the authorities between it and the root) and its key, PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class ClientTls:
    """How a server is trusted, and who we say we are.

    Attributes
    ----------
    ca : Path or None
        Authorities that vouch for the server; None: those the operating system trusts.
    own : KeyPair or None
        Our certificate, for a server that asks for one.
    server_name : str or None
        The name its certificate must hold, where it is another than the host's.
    check_name : bool
        False: any name will do, as long as an authority of `ca` has signed it.
    """

    ca: Path | None = None
    own: KeyPair | None = None
    server_name: str | None = None
    check_name: bool = True


class ClientContext(ssl.SSLContext):
    """A context that remembers why a handshake failed: pynetdicom only logs it."""

    failure: str = ""


class _Telling(ssl.SSLSocket):
    # pynetdicom does not close a socket that cannot be connected or shut down in good order.
    def connect(self, addr: Any) -> None:
        try:
            super().connect(addr)
        except OSError:
            self.close()
            raise

    def shutdown(self, how: int) -> None:
        try:
            super().shutdown(how)
        except OSError:
            self.close()
            raise

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError as error:
            self._tell(error)
            raise

    def read(self, len: int = 1024, buffer: Any = None) -> Any:  # noqa: A002
        """Read; in TLS 1.3 the server says only here that it refuses our certificate."""
        try:
            return super().read(len, buffer)
        except ssl.SSLError as error:
            self._tell(error)
            raise

    def _tell(self, error: OSError) -> None:
        if isinstance(self.context, ClientContext):
            self.context.failure = tls_failure(error)


def tls_failure(error: OSError) -> str:
    """Return why TLS failed, in a few words.

    Parameters
    ----------
    error : OSError
        As a connection or a handshake raised it.

    Returns
    -------
    str
        Without anything that the peer chose, but the reason for which its certificate was refused.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "the handshake failed").replace("_", " ").lower()
    return error.strerror or type(error).__name__


def server_context(
    own: KeyPair, ca: Path | None, client_certificate: ClientCertificate
) -> ssl.SSLContext:
    """Return what a listener wraps its connections in.

    Parameters
    ----------
    own : KeyPair
        What we show.
    ca : Path or None
        Authorities that sign the certificates of clients; needed unless none is asked for.
    client_certificate : {"none", "optional", "required"}
        With "optional", a client may have none, but not a bad one.

    Raises
    ------
    ConfigError
        If a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    _identify(context, own)
    if client_certificate != "none":
        if ca is None:
            raise ConfigError("client certificates are asked for, but no ca_file vouches for them")
        _trust(context, ca)
        context.verify_mode = (
            ssl.CERT_REQUIRED if client_certificate == "required" else ssl.CERT_OPTIONAL
        )
    return context


class Renewed:
    """A listener's context, made anew when its files change.

    Certificates are renewed while the node runs. Where the new files cannot be used (yet), the
    old context goes on serving.

    Parameters
    ----------
    own, ca, client_certificate
        As of `server_context`.

    Raises
    ------
    ConfigError
        If a file cannot be used at the start.
    """

    def __init__(
        self, own: KeyPair, ca: Path | None, client_certificate: ClientCertificate
    ) -> None:
        self._make = partial(server_context, own, ca, client_certificate)
        self._files = [path for path in (own.certificate, own.key, ca) if path is not None]
        self._seen = self._stamps()
        self._context = self._make()

    def __call__(self) -> ssl.SSLContext:
        """Return the context for a new connection."""
        seen = self._stamps()
        if seen != self._seen:
            try:
                self._context = self._make()
                log.info("certificate renewed")
            except ConfigError as error:
                log.warning("certificate not renewed", because=str(error))
            self._seen = seen
        return self._context

    def _stamps(self) -> list[tuple[int, ...]]:
        stats = [path.stat() if path.exists() else None for path in self._files]
        return [(stat.st_mtime_ns, stat.st_size, stat.st_ino) if stat else () for stat in stats]


def client_context(wanted: ClientTls) -> ClientContext:
    """Return what a connection to a server is wrapped in; the server is always verified.

    Made for each connection, so that a renewed certificate counts without a restart.

    Parameters
    ----------
    wanted : ClientTls
        Whom to trust, who we say we are, and which name to expect.

    Returns
    -------
    ClientContext
        TLS 1.2 and 1.3 of BCP 195 only.

    Raises
    ------
    ConfigError
        If a file cannot be used.
    """
    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = _Telling
    _harden(context)
    context.check_hostname = wanted.check_name
    context.hostname_checks_common_name = False  # RFC 9525 Section 2: it does not count
    if wanted.ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _trust(context, wanted.ca)
    if wanted.own is not None:
        _identify(context, wanted.own)
    return context


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= (
        ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    )
    context.set_ciphers(":".join(SUITES))


def _identify(context: ssl.SSLContext, own: KeyPair) -> None:
    try:
        # A callback instead of a prompt: nobody sits at the terminal of a service.
        context.load_cert_chain(own.certificate, own.key, password=lambda: b"")
    except OSError as error:
        raise ConfigError(
            f"certificate {own.certificate} and key {own.key} cannot be used: {tls_failure(error)}"
        ) from error


def _trust(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(ca)
    except OSError as error:
        raise ConfigError(f"authorities {ca} cannot be used: {tls_failure(error)}") from error
