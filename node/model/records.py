"""What the catalog holds, as plain values. Times are seconds since the epoch (UTC)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from node.model.failures import FailureKind, HoldKind
from node.model.findings import FindingValue
from node.model.keys import HoldKey
from node.model.states import (
    CircuitState,
    CommitmentState,
    DeliveryState,
    HoldState,
    Origin,
    RevisionState,
)


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """One SOP Instance on disk.

    `path` is relative to the storage root. `sha256` is that of the data set as encoded, without
    preamble and File Meta Information: the same instance sent twice, by whomever, has it equal.
    `series_instance_uid` is the catalog's key of its series: the Series Instance UID, or, where
    another study had that before, a UID of its own; see `node.store.studies.series`.
    `deleted_at` is set on a tombstone: delivered everywhere, and its file has gone.
    `head_sha256` is that of what stands before the data set in its file, known while it is being
    recorded: the ledger keeps it.
    """

    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    path: Path
    size: int
    sha256: str
    calling_ae: str
    association_id: int | None
    origin: Origin
    received_at: float
    deleted_at: float | None = None
    head_sha256: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was recognised about a series; `node.model.findings` knows them all.

    `value` is of the type that the registry says, or None: unknown. `model_sha256` is the digest
    of the weights that spoke for it, '' where only the header did.
    """

    name: str
    value: FindingValue
    probability: float
    source: Literal["header", "pixels", "fused"]
    evidence: dict[str, Any] = field(default_factory=dict)
    model_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """Since when an instance is wanted at a destination.

    `at` is when that was asked for; `revision` is the first one of its series that holds the
    instance, None before there is one.
    """

    at: float
    revision: int | None


@dataclass(frozen=True, slots=True)
class Coerced:
    """What was changed in the copy of an instance that a destination was sent.

    `sha256` is that of the copy's data set, encoded as the stored one; `attributes` are the
    keywords of what was filled.
    """

    sha256: str
    attributes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where one instance stands at one destination.

    `commitment` is None where it was not asked for; `deleted`: it is not here any more.
    """

    sop_instance_uid: str
    destination: str
    batch: str
    state: DeliveryState
    attempts: int
    reason: str
    commitment: CommitmentState | None = None
    series_instance_uid: str = ""
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Circuit:
    """What lately became of talking to a destination; `node.deliver.breaker` decides.

    `failures` are attempts that failed in a row, `openings` how often the circuit opened since
    the destination last took anything. When it is probed next is a piece of work.
    """

    state: CircuitState = CircuitState.CLOSED
    failures: int = 0
    openings: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Outlet:
    """What holds deliveries to a destination up, or nothing."""

    paused: bool = False
    circuit: Circuit = Circuit()


@dataclass(frozen=True, slots=True)
class SeriesProgress:
    """How a series that holds instances newer than its last revision is coming in.

    `revision` is the last one settled, 0 for none. `instance_count` counts every received
    instance; the times and the associations are those of the new instances only.
    """

    series_instance_uid: str
    study_instance_uid: str
    revision: int
    instance_count: int
    first_instance_at: float
    last_instance_at: float
    open_associations: int
    last_released_at: float | None
    aborted: bool


@dataclass(frozen=True, slots=True)
class Revision:
    """One verdict that a series was whole, and what became of it.

    `rounds` counts how often an operator had it run again; with `send_again`, what it delivered
    before is sent again in this round. `failure_kind` is None where nothing went wrong.
    `summary_to` are the destinations of the study's summary that the rules named because of it,
    and whether that is urgent.
    """

    series_instance_uid: str
    revision: int
    state: RevisionState
    reason: str
    evidence: dict[str, Any]
    completed_at: float
    instance_count: int
    rounds: int = 0
    send_again: bool = False
    failure_kind: FailureKind | None = None
    summary_to: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FailedRevision:
    """A revision that went wrong."""

    study_instance_uid: str
    series_instance_uid: str
    revision: int
    failure_kind: FailureKind
    reason: str


@dataclass(frozen=True, slots=True)
class SeriesSummary:
    """One series for a person; `state` is "receiving" while new instances are unsettled.

    `received_uid` is set where another study has a series of the same UID: it is that UID.
    """

    series_instance_uid: str
    study_instance_uid: str
    instance_count: int
    revision: int
    state: RevisionState | Literal["receiving"]
    reason: str
    last_instance_at: float
    received_uid: str | None = None


@dataclass(frozen=True, slots=True)
class Conflict:
    """An instance that came with a known UID and different bytes, kept apart at `path`."""

    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    path: Path
    size: int
    sha256: str
    calling_ae: str
    received_at: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Something that could not be processed, and why."""

    kind: HoldKind
    study_instance_uid: str
    series_instance_uid: str
    key: HoldKey
    reason: str

    @property
    def id(self) -> str:
        """A short name to be typed; the same thing held twice has the same."""
        text = "/".join((self.kind, self.series_instance_uid, str(self.key)))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def folder(self) -> Path:
        """Where it stands, relative to the storage root."""
        parts = (self.kind, self.study_instance_uid, self.series_instance_uid, str(self.key))
        return Path("quarantine").joinpath(*parts)


@dataclass(frozen=True, slots=True)
class Held:
    """A hold as the catalog has it; `rounds` counts how often it was run again."""

    hold: Hold
    state: HoldState
    rounds: int
    held_at: float
