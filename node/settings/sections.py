"""The one settings file (TOML): frozen, checked whole, unknown keys refused."""

import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from node.errors import ConfigError
from node.settings.fields import (
    LITERAL_SECRET,
    SECRET_KEYS,
    AETitle,
    DatabaseUrl,
    Host,
    Name,
    Patience,
    Port,
    Seconds,
    Section,
)
from node.settings.trust import AuditSection, ClientTlsTable, HttpDestination, Source, TlsSection

Window = Annotated[
    str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$")
]
"""Hours of the day in local time, such as ``22:00-06:00``."""


class NodeSection(Section):
    """`[node]`: who we are, where we listen, where everything is kept."""

    ae_title: AETitle = "RADNODE"
    bind: Host = "0.0.0.0"  # noqa: S104 - a DICOM node listens to the scanners' network
    port: Annotated[int, Field(ge=0, le=65535)] = 11112
    data: Path = Path("var")
    catalog_url: DatabaseUrl = ""
    pipeline_url: DatabaseUrl = ""

    @property
    def catalog(self) -> str:
        """Database URL of our own tables; SQLite under `data` unless set."""
        return self.catalog_url or f"sqlite:///{(self.data / 'catalog.sqlite').resolve()}"

    @property
    def pipeline(self) -> str:
        """Database URL of the durable pipeline; SQLite under `data` unless set."""
        return self.pipeline_url or f"sqlite:///{(self.data / 'pipeline.sqlite').resolve()}"


class ReceiveSection(Section):
    """`[receive]`: limits on what the network may ask of the Storage SCP."""

    maximum_associations: Annotated[int, Field(ge=1, le=1000)] = 25
    maximum_pdu_size: Annotated[int, Field(ge=4096, le=1 << 20)] = 131072
    negotiation_timeout_s: Patience = 30.0
    network_timeout_s: Patience = 60.0
    warn_below_free_mib: Annotated[int, Field(ge=0)] = 10240
    refuse_below_free_mib: Annotated[int, Field(ge=0)] = 1024
    learning: bool = False
    maximum_instance_mib: Annotated[int, Field(ge=1, le=1 << 20)] = 4096
    memory_mib: Annotated[int, Field(ge=1, le=1 << 16)] = 64

    @model_validator(mode="after")
    def _warned_before_refused(self) -> Self:
        if self.warn_below_free_mib < self.refuse_below_free_mib:
            raise ValueError("warn_below_free_mib must not be less than refuse_below_free_mib")
        return self


class SeriesSection(Section):
    """`[series]`: when a series counts as whole."""

    settle_s: Seconds = 2.0
    quiet_s: Seconds = 60.0


class RetentionSection(Section):
    """`[retention]`: whether and when files leave that everybody else has, and when rows do."""

    delete: bool = False
    keep_days: Annotated[float, Field(ge=0)] = 30.0
    # At least as long as the pipeline keeps jobs: a batch that is replayed after its row has gone
    # begins with the number of its first job again.
    records_days: Annotated[float, Field(ge=31)] = 400.0
    turns_days: Annotated[float, Field(ge=31)] = 60.0


class ModelsSection(Section):
    """`[models]`: weights files (empty: the shipped ones) and arithmetic."""

    classifier: Path | None = None
    liver: Path | None = None
    precision: Literal["auto", "f32", "bf16"] = "auto"
    unknown_below: Annotated[float, Field(ge=0, le=1)] = 0.6


class _Outbound(Section):
    """What every kind of destination has: how much at once, when, and how often again."""

    name: Name
    connections: Annotated[int, Field(ge=1, le=16)] = 2
    priority: Literal["high", "normal", "low"] = "normal"
    window: Window | None = None
    attempts: Annotated[int, Field(ge=1, le=1000)] = 45
    first_delay_s: Annotated[float, Field(ge=1, le=3600)] = 30.0
    longest_delay_s: Annotated[float, Field(ge=1, le=7 * 86400)] = 6 * 3600.0
    break_after: Annotated[int, Field(ge=1, le=1000)] = 5

    @model_validator(mode="after")
    def _delays_grow(self) -> Self:
        if self.longest_delay_s < self.first_delay_s:
            raise ValueError("longest_delay_s must not be less than first_delay_s")
        return self


class DimseDestination(_Outbound):
    """A Storage SCP reached by C-STORE."""

    kind: Literal["dimse"]
    ae_title: AETitle
    host: Host
    port: Port
    calling_ae: AETitle | None = None
    tls: ClientTlsTable | None = None
    commitment: bool = False
    commitment_timeout_s: Annotated[float, Field(ge=1)] = 3600.0
    commitment_wait_s: Annotated[float, Field(ge=0, le=100)] = 5.0
    connect_s: Annotated[float, Field(gt=0, le=600)] = 15.0
    response_s: Annotated[float, Field(gt=0, le=3600)] = 120.0


class DicomwebDestination(_Outbound, HttpDestination):
    """A STOW-RS service (PS3.18 Section 10.5)."""

    kind: Literal["dicomweb"]


class OrthancDestination(_Outbound, HttpDestination):
    """An Orthanc reached by its REST API: instances, labels, metadata."""

    kind: Literal["orthanc"]
    label_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{0,32}$")] = "radnet-"


class FolderDestination(_Outbound):
    """A folder that gets one file per instance."""

    kind: Literal["folder"]
    path: Path


Destination = Annotated[
    DimseDestination | DicomwebDestination | OrthancDestination | FolderDestination,
    Field(discriminator="kind"),
]


class Rule(Section):
    """One `[[rules]]` entry: a CEL condition and what follows from it."""

    name: Name
    when: str
    deliver: tuple[Name, ...] = ()
    segment: tuple[Literal["liver"], ...] = ()
    results_to: tuple[Name, ...] = ()
    urgent: bool = False
    stop: bool = False


def _twice(names: Iterable[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


class Settings(Section):
    """Contents of `node.toml`."""

    node: NodeSection = NodeSection()
    receive: ReceiveSection = ReceiveSection()
    tls: TlsSection | None = None
    series: SeriesSection = SeriesSection()
    models: ModelsSection = ModelsSection()
    retention: RetentionSection = RetentionSection()
    audit: AuditSection | None = None
    sources: tuple[Source, ...] = ()
    destinations: tuple[Destination, ...] = ()
    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        known = {destination.name for destination in self.destinations}
        if self.tls and self.tls.plain_port and 0 != self.tls.port == self.node.port:
            raise ValueError(
                f"node.port and tls.port are both {self.tls.port}: one port for each, or "
                "tls.plain_port = false"
            )
        if repeated := _twice(d.name for d in self.destinations):
            raise ValueError(f"destinations named twice: {', '.join(repeated)}")
        if repeated := _twice(rule.name for rule in self.rules):
            raise ValueError(f"rules named twice: {', '.join(repeated)}")
        if repeated := _twice(source.ae_title for source in self.sources):
            raise ValueError(f"sources named twice: {', '.join(repeated)}")
        for rule in self.rules:
            if unknown := sorted({*rule.deliver, *rule.results_to} - known):
                raise ValueError(
                    f"rule {rule.name!r} names destinations that do not exist: "
                    f"{', '.join(unknown)}; there are {', '.join(sorted(known)) or 'none'}"
                )
        return self


def _line_of(text: str, location: tuple[int | str, ...]) -> str:
    """Return ' (line N)' for the key an error is about, or '' where it is not written."""
    keys = [str(part) for part in location if isinstance(part, str)]
    numbers = [part for part in location if isinstance(part, int)]
    key = keys[-1] if keys else ""
    table, start = (keys[0], numbers[0]) if numbers and keys else (key, 0)
    lines = text.splitlines()
    heads = [i for i, line in enumerate(lines) if line.strip() in (f"[{keys[0]}]", f"[[{table}]]")]
    begin = heads[start] if start < len(heads) else 0
    for number, line in enumerate(lines[begin:], begin + 1):
        if line.split("=")[0].strip() == key:
            return f" (line {number})"
    return f" (line {begin + 1})" if heads else ""


def _told(text: str, error: dict[str, Any]) -> str:
    location = tuple(error["loc"])
    where = ".".join(str(part) for part in location) or "the file"
    secret = error["type"] == LITERAL_SECRET or SECRET_KEYS.intersection(location)
    # Nor what stands under a key nobody knows, or is a URL with a name in it: a secret may.
    doubtful = error["type"] == "extra_forbidden" or "@" in str(error["input"])
    shown = not secret and not doubtful and not isinstance(error["input"], dict)
    given = f"; found {error['input']!r}" if shown else ""
    return f"  {where}{_line_of(text, location) if location else ''}: {error['msg']}{given}"


def load(path: Path) -> Settings:
    """Read and check a settings file; relative paths in it start at its folder.

    Raises
    ------
    ConfigError
        If the file is missing, is not TOML, or any key is wrong; every error is named.
    """
    try:
        text = path.read_text(encoding="utf-8")
        settings = Settings.model_validate(tomllib.loads(text))
    except OSError as error:
        raise ConfigError(f"cannot read settings {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        found = [_told(text, dict(item)) for item in error.errors()]
        raise ConfigError(f"{path} has {len(found)} error(s):\n" + "\n".join(found)) from error
    return _rooted(settings, path.parent.resolve())


def _rooted(settings: Settings, base: Path) -> Settings:
    """Return `settings` with every relative path resolved against `base`."""
    models = settings.models
    return settings.model_copy(
        update={
            "node": settings.node.model_copy(update={"data": base / settings.node.data}),
            "models": models.model_copy(
                update={
                    "classifier": base / models.classifier if models.classifier else None,
                    "liver": base / models.liver if models.liver else None,
                }
            ),
            "tls": settings.tls.rooted(base) if settings.tls else None,
            "audit": settings.audit.rooted(base) if settings.audit else None,
            "sources": tuple(source.rooted(base) for source in settings.sources),
            "destinations": tuple(_destination(d, base) for d in settings.destinations),
        }
    )


def _destination(entry: Destination, base: Path) -> Destination:
    match entry:
        case FolderDestination():
            return entry.model_copy(update={"path": base / entry.path})
        case DimseDestination():
            own = entry.tls.rooted(base) if entry.tls else None
            return entry.model_copy(update={"tls": own})
        case _:
            return entry.rooted(base)
