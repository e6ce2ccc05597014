"""Certificates of an authority that exists for one test."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from node.settings.tls import KeyPair


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True)
class Authority:
    """Signs certificates; `ca` is its own, as others need it to trust them."""

    folder: Path
    ca: Path
    _key: ec.EllipticCurvePrivateKey
    _certificate: x509.Certificate

    def pair(
        self,
        common: str = "localhost",
        days: int = 2,
        passphrase: bytes | None = None,
        names: Sequence[x509.GeneralName] | None = None,
    ) -> KeyPair:
        """Make a certificate for localhost, 127.0.0.1 and `common`; `days` < 0: it expired.

        With `names`, its Subject Alternative Names are these alone.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        if names is None:
            names = [
                x509.DNSName("localhost"),
                x509.DNSName(common),
                x509.IPAddress(ip_address("127.0.0.1")),
            ]
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(common))
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=400))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage(
                    [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
                ),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        number = certificate.serial_number
        own = KeyPair(self.folder / f"{number}.crt", self.folder / f"{number}.key")
        own.certificate.write_bytes(_pem(certificate))
        hidden: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if passphrase is not None:
            hidden = serialization.BestAvailableEncryption(passphrase)
        own.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden
            )
        )
        return own


def authority(folder: Path, name: str = "made-up authority") -> Authority:
    """Make an authority of our own."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=400))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    ca = folder / "ca.crt"
    ca.write_bytes(_pem(certificate))
    return Authority(folder, ca, key, certificate)
