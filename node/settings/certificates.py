"""Looks at certificates and keys before they are needed: whole, matching, in date."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from node.errors import ConfigError
from node.settings.tls import KeyPair

_PKCS8: Final = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def examine(own: KeyPair | None, ca: Path | None, now: datetime) -> None:
    """Look at files before they are needed, and say what is wrong with them.

    Parameters
    ----------
    own : KeyPair or None
        Must be readable, belong together, and not have expired.
    ca : Path or None
        Must hold an authority that has not expired.
    now : datetime
        With its time zone.

    Raises
    ------
    ConfigError
        With the file, what was found, and what to do.
    """
    if own is not None:
        certificate = _certificates(own.certificate)[0]
        _matching(own, certificate)
        if reason := _out_of_date(certificate, now):
            raise ConfigError(f"certificate {own.certificate} {reason}")
    if ca is not None:
        reasons = [_out_of_date(authority, now) for authority in _certificates(ca)]
        if all(reasons):
            raise ConfigError(f"authorities {ca}: {reasons[0]}")


def valid_until(certificate: Path) -> datetime:
    """Return when a certificate expires.

    Parameters
    ----------
    certificate : Path
        PEM; of several in it the first counts.

    Returns
    -------
    datetime
        In UTC, with its time zone.

    Raises
    ------
    ConfigError
        If the file cannot be used.
    """
    return _certificates(certificate)[0].not_valid_after_utc


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error


def _certificates(path: Path) -> Sequence[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(path))
    except ValueError:
        raise ConfigError(f"{path} holds no certificate in PEM form") from None


def _matching(own: KeyPair, certificate: x509.Certificate) -> None:
    try:
        key: Any = serialization.load_pem_private_key(_read(own.key), password=None)
    except TypeError:
        raise ConfigError(
            f"key {own.key} is encrypted: nobody could enter its passphrase when the node starts; "
            "store it decrypted, readable by the node's user only"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{own.key} holds no private key in PEM form") from None
    if key.public_key().public_bytes(*_PKCS8) != certificate.public_key().public_bytes(*_PKCS8):
        raise ConfigError(f"key {own.key} does not belong to certificate {own.certificate}")


def _out_of_date(certificate: x509.Certificate, now: datetime) -> str:
    if now > certificate.not_valid_after_utc:
        return f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}: renew it"
    if now < certificate.not_valid_before_utc:
        return (
            f"is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC: "
            "look at this machine's clock"
        )
    return ""
