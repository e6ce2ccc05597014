"""What every section of the settings is made of: a frozen table, and kinds of values."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, HttpUrl, model_validator
from pydantic_core import PydanticCustomError
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

LITERAL_SECRET: Final = "literal_secret"  # noqa: S105 - the name of an error
"""Type of the error whose input must not be shown."""

SECRET_KEYS: Final = frozenset({"password", "passphrase", "token", "secret", "api_key"})


def _application_entity(title: str) -> str:
    """Check a title against VR AE (PS3.5 Section 6.2)."""
    stripped = title.strip(" ")
    if not 1 <= len(stripped) <= 16 or "\\" in stripped or not stripped.isascii():
        raise ValueError("an AE title has 1 to 16 ASCII characters and no backslash")
    if not stripped.isprintable():
        raise ValueError("an AE title has no control characters")
    return stripped


_DNS_NAME: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")


def certificate_name(name: str) -> str:
    """Return a DNS name or an IP address in the form in which two are compared.

    Parameters
    ----------
    name : str
        As it stands in the settings or in a certificate.

    Returns
    -------
    str
        A DNS name in lower case, or an IP address in its shortest form.

    Raises
    ------
    ValueError
        If it is neither: no Subject Alternative Name can be equal to it (RFC 9525 Section 6.3).
    """
    try:
        return str(ip_address(name))
    except ValueError:
        plain = name.lower()
    if not _DNS_NAME.fullmatch(plain):
        raise ValueError(
            f"{name!r} is no DNS name or IP address as a certificate has them among its Subject "
            "Alternative Names (RFC 9525: the common name does not count, nor does a wildcard; "
            "letters beyond ASCII are written xn--...)"
        )
    return plain


_Url = TypeVar("_Url", str, HttpUrl)


def _without_password(url: _Url) -> _Url:
    """Refuse a URL that carries a password: the settings are read by many, and backed up."""
    if urlsplit(str(url)).password:
        raise PydanticCustomError(
            LITERAL_SECRET,
            "a password does not stand in a URL of the settings; for PostgreSQL write "
            "?passfile=/run/secrets/pgpass behind it, for a destination set password_file",
        )
    return url


def _database(url: str) -> str:
    """Refuse what we have no driver for, and what every process would have one of its own of."""
    expected = "expected sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME"
    try:
        parsed = make_url(url) if url else None
    except ArgumentError:
        raise ValueError(expected) from None
    if parsed is not None and parsed.drivername not in ("sqlite", "postgresql+psycopg"):
        raise ValueError(expected)
    if parsed is not None and parsed.database in (None, "", ":memory:"):
        raise ValueError(f"it names no database; {expected}")
    return url


AETitle = Annotated[str, AfterValidator(_application_entity)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(ge=0)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
CertificateName = Annotated[str, AfterValidator(certificate_name)]
Host = Annotated[str, Field(min_length=1, max_length=255)]
TimeoutSeconds = Annotated[float, Field(gt=0, le=86400)]
"""Seconds that a socket may wait."""
DatabaseUrl = Annotated[str, AfterValidator(_without_password), AfterValidator(_database)]
ServiceUrl = Annotated[HttpUrl, AfterValidator(_without_password)]


class Section(BaseModel):
    """A table of the settings: frozen, and a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_literal_secret(cls, table: Any) -> Any:
        if isinstance(table, dict) and (found := sorted(SECRET_KEYS.intersection(table))):
            key = found[0]
            raise PydanticCustomError(
                LITERAL_SECRET,
                "{key}: a secret does not stand in the settings, which many can read and which "
                'is backed up; write {key}_file = "/run/secrets/…" or {key}_env = "VARIABLE"',
                {"key": key},
            )
        return table

    def rooted(self, base: Path) -> Self:
        """Return this with relative paths, of the tables in it too, resolved against `base`."""
        return self.model_copy(update={name: _rooted(value, base) for name, value in self})


def _rooted(value: Any, base: Path) -> Any:
    if isinstance(value, Path):
        return base / value
    if isinstance(value, Section):
        return value.rooted(base)
    return tuple(_rooted(part, base) for part in value) if isinstance(value, tuple) else value
