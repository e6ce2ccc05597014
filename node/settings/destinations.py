"""The kinds of destinations: what a `[[destinations]]` entry says of each.

A new kind is an entry here and in `DestinationSettings`, a file in `node/deliver` that sends
(the protocol is in `destination.py`), the case in `node/deliver/build.py` that leads from the one
to the other, and how an audit message names it (`place_of` in `node/audit/reporting.py`).
"""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from node.settings.fields import AETitle, Host, Name, Port, Section, ServiceUrl
from node.settings.secret import Credentials, Secret
from node.settings.trust import ClientTlsTable

Window = Annotated[
    str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$")
]
"""Hours of the day in local time, such as ``22:00-06:00``."""


class _Outbound(Section):
    """What every kind of destination has: how much at once, when, and how often again."""

    name: Name
    """How rules and commands call it."""
    connections: Annotated[int, Field(ge=1, le=16)] = 2
    """Batches (a series, its results) sent to it at once, each over one association."""
    priority: Literal["high", "normal", "low"] = "normal"
    """Who is served first when the node is busy."""
    window: Window | None = None
    """Send at these hours only, local time; urgent deliveries do not wait."""
    attempts: Annotated[int, Field(ge=1, le=1000)] = 45
    """Failed attempts after which an instance is parked, about a week; requests for commitment,
    too."""
    first_delay_s: Annotated[float, Field(ge=1, le=3600)] = 30.0
    """The wait before the second attempt; it doubles, half of it at random."""
    longest_delay_s: Annotated[float, Field(ge=1, le=7 * 86400)] = 6 * 3600.0
    """The longest wait between two attempts."""
    summary: bool = True
    """Where a rule's `results_to` names it, it gets the report of what was recognised of a study,
    too."""
    capture: bool = False
    """Where a rule's `results_to` names it, it gets the contours of a segmentation and the volume
    as a picture (Secondary Capture), too: for what shows neither SEG nor SR."""
    break_after: Annotated[int, Field(ge=1, le=1000)] = 5
    """Failed attempts in a row that open the circuit: then it is only probed until it answers."""
    coerce: tuple[Literal["BodyPartExamined", "SeriesDescription"], ...] = ()
    """Attributes of images that are filled from the findings on their way there where they are
    empty, and traced in Original Attributes Sequence; what was received stays as it is."""

    @model_validator(mode="after")
    def _delays_grow(self) -> Self:
        if self.longest_delay_s < self.first_delay_s:
            raise ValueError("longest_delay_s must not be less than first_delay_s")
        return self

    def examine(self, now: datetime) -> None:
        """Look at the certificates, keys and secrets it names; a kind that has none names none.

        Raises
        ------
        ConfigError
            If one of them cannot be used.
        """


class DimseDestination(_Outbound):
    """A Storage SCP reached by C-STORE."""

    kind: Literal["dimse"]
    """C-STORE to a Storage SCP."""
    ae_title: AETitle
    """What it is called."""
    host: Host
    """Name or address."""
    port: Port
    """DICOM port."""
    calling_ae: AETitle | None = None
    """What we call ourselves; absent: `node.ae_title`."""
    tls: ClientTlsTable | None = None
    """DICOM over TLS; absent: unencrypted."""
    commitment: bool = False
    """Ask it to commit to what it took; what it did not keep is sent again."""
    commitment_timeout_s: Annotated[float, Field(ge=1)] = 3600.0
    """No report after this: it is asked again."""
    commitment_wait_s: Annotated[float, Field(ge=0, le=100)] = 5.0
    """Stay associated so long for a report on the same association."""
    connect_s: Annotated[float, Field(gt=0, le=600)] = 15.0
    """Time to connect and to negotiate."""
    response_s: Annotated[float, Field(gt=0, le=3600)] = 120.0
    """Time to answer one instance."""

    def examine(self, now: datetime) -> None:
        """Look at the certificates of its TLS.

        Parameters
        ----------
        now : datetime
            With its time zone.

        Raises
        ------
        ConfigError
            If one of them cannot be used.
        """
        if self.tls is not None:
            self.tls.examine(now)


class HttpDestination(_Outbound):
    """What `dicomweb` and `orthanc` have in common: a server, and how it knows us."""

    url: ServiceUrl
    """Of the service; never with a password in it."""
    username: str | None = None
    """Goes with `password_file` or `password_env`."""
    password_file: Path | None = None
    """File that holds the password; it is read for each use."""
    password_env: str | None = None
    """Environment variable that holds it."""
    token_file: Path | None = None
    """File that holds a bearer token."""
    token_env: str | None = None
    """Environment variable that holds it."""
    tls: ClientTlsTable | None = None
    """How its certificate is trusted, and who we say we are."""

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        secrets = {
            name: getattr(self, name)
            for name in ("password_file", "password_env", "token_file", "token_env")
        }
        given = [name for name, value in secrets.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)}: one of them is enough")
        if (self.username is not None) != bool(given and given[0].startswith("password")):
            raise ValueError("username goes with password_file or password_env, and they with it")
        if self.tls is not None and self.url.scheme != "https":
            raise ValueError("tls is given, but url is not https")
        return self

    @property
    def credentials(self) -> Credentials | None:
        """What we present to the server, if anything."""
        what = f"credentials of {self.url.host}"
        if self.password_file or self.password_env:
            return Credentials(self.username, Secret(what, self.password_file, self.password_env))
        if self.token_file or self.token_env:
            return Credentials(None, Secret(what, self.token_file, self.token_env))
        return None

    def examine(self, now: datetime) -> None:
        """Look at the certificates of its TLS, and read the secret.

        Parameters
        ----------
        now : datetime
            With its time zone.

        Raises
        ------
        ConfigError
            If one of them cannot be used.
        """
        if self.tls is not None:
            self.tls.examine(now)
        if self.credentials is not None:
            self.credentials.secret.read()


class DicomwebDestination(HttpDestination):
    """A STOW-RS service (PS3.18 Section 10.5)."""

    kind: Literal["dicomweb"]
    """STOW-RS (PS3.18 Section 10.5)."""


class OrthancDestination(HttpDestination):
    """An Orthanc reached by its REST API: instances, labels, metadata."""

    kind: Literal["orthanc"]
    """REST of an Orthanc: instances, labels, metadata."""
    label_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{0,32}$")] = "radnet-"
    """What labels begin with there: letters, digits, `-` and `_`, or nothing."""


class FolderDestination(_Outbound):
    """A folder that gets one file per instance."""

    kind: Literal["folder"]
    """A file for each instance."""
    path: Path
    """The folder; made if it is not there."""


DestinationSettings = Annotated[
    DimseDestination | DicomwebDestination | OrthancDestination | FolderDestination,
    Field(discriminator="kind"),
]
