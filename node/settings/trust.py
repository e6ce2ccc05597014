"""Sections of the settings about whom we trust, and how we prove who we are."""

from collections.abc import Sequence
from datetime import datetime
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from node.settings import certificates, tls
from node.settings.fields import AETitle, CertificateName, Host, Name, Port, Section

Network = IPv4Network | IPv6Network


class TlsSection(Section):
    """`[tls]`: DICOM over TLS into the node; absent: the plain port only."""

    port: Annotated[int, Field(ge=0, le=65535)] = 2762  # IANA: dicom-tls
    """DICOM port over TLS."""
    certificate_file: Path
    """Our certificate, PEM, with what vouches for it behind it."""
    key_file: Path
    """Its private key, PEM, not encrypted."""
    ca_file: Path | None = None
    """Authorities that vouch for certificates of clients."""
    client_certificate: tls.ClientCertificate = "required"
    """Whether a client has to show a certificate; `none`: it is not asked for one."""
    plain_port: bool = True
    """Listen on `node.port` too."""

    @model_validator(mode="after")
    def _somebody_vouches(self) -> Self:
        if self.client_certificate != "none" and self.ca_file is None:
            raise ValueError(
                "ca_file is missing: who vouches for the certificates of clients? "
                'client_certificate = "none" asks for none'
            )
        return self

    @property
    def own(self) -> tls.KeyPair:
        """What we show to a client."""
        return tls.KeyPair(self.certificate_file, self.key_file)

    def examine(self, now: datetime) -> None:
        """Look at the files; see `node.settings.certificates.examine`."""
        certificates.examine(self.own, self.ca_file, now)


class ClientTlsTable(Section):
    """Table `tls` of a destination: how its server is trusted, and who we say we are."""

    ca_file: Path | None = None
    """Authorities that vouch for the server; absent: those of the operating system."""
    certificate_file: Path | None = None
    """What we show to it."""
    key_file: Path | None = None
    """The private key of that."""
    server_name: str | None = None
    """Name its certificate has, where that is not `host`."""
    check_server_name: bool = True
    """Whether its certificate has to be for its name."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together")
        if self.server_name and not self.check_server_name:
            raise ValueError("server_name is given, but check_server_name = false ignores it")
        return self

    @property
    def client(self) -> tls.ClientTls:
        """What connections are made with."""
        own = None
        if self.certificate_file and self.key_file:
            own = tls.KeyPair(self.certificate_file, self.key_file)
        return tls.ClientTls(self.ca_file, own, self.server_name, self.check_server_name)

    def examine(self, now: datetime) -> None:
        """Look at the files; see `node.settings.certificates.examine`."""
        certificates.examine(self.client.own, self.ca_file, now)


class AuditSection(Section):
    """`[audit]`: where audit messages go (PS3.15 Section A.5 and A.6); absent: nowhere."""

    host: Host
    """The syslog server."""
    port: Port | None = None
    """Its port; absent: 6514 for `tls`, else 514."""
    transport: Literal["tls", "tcp", "udp"] = "tls"
    """How it is reached; over `udp` nobody can know whether it took a message."""
    tls: ClientTlsTable = ClientTlsTable()
    """How it is trusted over `tls`, keys as of a destination."""
    source_id: Name | None = None
    """Audit Source ID; absent: `node.ae_title`."""
    site: str = ""
    """Audit Enterprise Site ID."""

    @property
    def well_known_port(self) -> int:
        """The port, or the one of the transport (RFC 5425, RFC 5426)."""
        return self.port or (6514 if self.transport == "tls" else 514)


class Source(Section):
    """One `[[sources]]` entry: who may send, from where, and where our reports to it go."""

    ae_title: AETitle
    """Its calling AE title."""
    called_ae: AETitle | None = None
    """What it must call; absent: `node.ae_title`."""
    networks: tuple[Network, ...] = ()
    """Where it may come from; empty: anywhere."""
    certificate: CertificateName | None = None
    """A DNS name or IP address among the Subject Alternative Names of its certificate (RFC
    9525); with it, it is let in over TLS only."""
    maximum_associations: Annotated[int, Field(ge=1)] | None = None
    """Of this one at once; absent: as many as the node takes."""
    host: Host | None = None
    """Where it listens for our storage commitment reports (PS3.4 Annex J)."""
    port: Port | None = None
    """Its port there."""
    tls: ClientTlsTable | None = None
    """How it is trusted there; absent: it listens unencrypted."""

    @model_validator(mode="after")
    def _whole_address(self) -> Self:
        if (self.host is None) != (self.port is None):
            raise ValueError("host and port go together")
        if self.tls is not None and self.host is None:
            raise ValueError("tls is how host is reached; host and port are missing")
        return self


def within_one(address: str, networks: Sequence[Network]) -> bool:
    """Tell whether an address is in one of the networks; IPv4 counts as such inside IPv6.

    Parameters
    ----------
    address : str
        IPv4 or IPv6; what is neither is in none.
    networks : sequence of IPv4Network or IPv6Network
        None: in none.

    Returns
    -------
    bool
    """
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in network for network in networks)
