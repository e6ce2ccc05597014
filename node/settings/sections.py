"""`Settings`, the whole of the one file, and its sections: frozen, checked, no unknown keys."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from node.settings.destinations import DestinationSettings
from node.settings.fields import (
    AETitle,
    DatabaseUrl,
    Host,
    Name,
    Seconds,
    Section,
    TimeoutSeconds,
)
from node.settings.trust import AuditSection, Source, TlsSection


class NodeSection(Section):
    """`[node]`: who we are, where we listen, where everything is kept."""

    ae_title: AETitle = "RADNODE"
    """Our AE title: what scanners call."""
    bind: Host = "0.0.0.0"  # noqa: S104 - a DICOM node listens to the scanners' network
    """Address to listen on; the shipped file says `127.0.0.1`, which other machines cannot
    reach."""
    port: Annotated[int, Field(ge=0, le=65535)] = 11112
    """DICOM port; 0: any that is free."""
    data: Path = Path("var")
    """Folder of instances, databases and results; relative to the settings file, as every path."""
    catalog_url: DatabaseUrl = ""
    """Our tables; empty: SQLite in `data`. `postgresql+psycopg://…` to share them."""
    pipeline_url: DatabaseUrl = ""
    """The durable pipeline; empty: SQLite in `data`."""

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
    """Associations at once; further ones are rejected."""
    maximum_pdu_size: Annotated[int, Field(ge=4096, le=1 << 20)] = 131072
    """The largest PDU that peers are told to send."""
    negotiation_timeout_s: TimeoutSeconds = 30.0
    """A TLS handshake and an association request may each take so long."""
    network_timeout_s: TimeoutSeconds = 60.0
    """An idle peer is cut off after this, and one PDU may take so long."""
    warn_below_free_mib: Annotated[int, Field(ge=0)] = 10240
    """Less free disk than this is logged as a warning."""
    refuse_below_free_mib: Annotated[int, Field(ge=0)] = 1024
    """Less than this: A700, out of resources; unsent data is never removed."""
    accept_unlisted: bool = False
    """Let in whom `sources` do not list; `radnode sources` makes the list of them."""
    maximum_instance_mib: Annotated[int, Field(ge=1, le=1 << 20)] = 4096
    """A larger instance is answered A700; instances go to disk while they come in."""
    memory_mib: Annotated[int, Field(ge=1, le=1 << 16)] = 64
    """Small instances on their way, all together; beyond it they use the disk."""

    @model_validator(mode="after")
    def _warned_before_refused(self) -> Self:
        if self.warn_below_free_mib < self.refuse_below_free_mib:
            raise ValueError("warn_below_free_mib must not be less than refuse_below_free_mib")
        return self


class SeriesSection(Section):
    """`[series]`: when a series counts as whole."""

    settle_s: Seconds = 2.0
    """A gapless series is whole this long after its association was released."""
    quiet_s: Seconds = 60.0
    """After an abort, or with slices missing, wait this long for more."""


class RetentionSection(Section):
    """`[retention]`: whether and when files leave that everybody else has, and when rows do."""

    delete: bool = False
    """Remove files that every destination has taken, and committed to where `commitment =
    true`."""
    keep_days: Annotated[float, Field(ge=0)] = 30.0
    """Not before this long after the last thing that happened to the series."""
    # At least as long as the pipeline keeps jobs: a batch that is replayed after its row has gone
    # begins with the number of its first job again.
    records_days: Annotated[float, Field(ge=31)] = 400.0
    """Rows of associations and of storage commitment that are over; also where `delete` is off."""
    batches_days: Annotated[float, Field(ge=31)] = 60.0
    """Rows that say when batches were tried, once those are through."""


class ModelsSection(Section):
    """`[models]`: weights files (empty: the shipped ones) and arithmetic."""

    classifier: Path | None = None
    """Weights file (safetensors); absent: the shipped ones."""
    liver: Path | None = None
    """Weights file (safetensors); absent: the shipped ones."""
    precision: Literal["auto", "f32", "bf16"] = "auto"
    """Arithmetic of the networks; `auto`: bf16 where the processor has it."""
    unknown_below: Annotated[float, Field(ge=0, le=1)] = 0.6
    """A finding less probable than this is "unknown"."""


class Rule(Section):
    """One `[[rules]]` entry: a CEL condition and what follows from it."""

    name: Name
    """How `radnode status` and the log call it."""
    when: str
    """A CEL condition; what it may ask: `deploy/RULES.md`."""
    deliver: tuple[Name, ...] = ()
    """Destinations of the images."""
    segment: tuple[Literal["liver"], ...] = ()
    """What to segment."""
    results_to: tuple[Name, ...] = ()
    """Destinations of what is made of them."""
    summary: bool = True
    """`results_to` gets the report of what was recognised of the whole study, too."""
    urgent: bool = False
    """What it sends overtakes the rest and waits for no window."""
    stop: bool = False
    """No rule below it is asked where it matches."""


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
    destinations: tuple[DestinationSettings, ...] = ()
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
