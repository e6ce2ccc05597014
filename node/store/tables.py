"""The catalog's tables; `migrations` makes them, this is what the code reads and writes."""

from enum import StrEnum
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    false,
    text,
)

from node.model.failures import FailureKind, HoldKind
from node.model.states import (
    CircuitState,
    CommitmentState,
    DeliveryState,
    HoldState,
    Origin,
    PromiseState,
    RequestState,
    RevisionState,
)

Value = TypeVar("Value", bound=StrEnum)

UID = String(64)  # VR UI, PS3.5 Section 6.2
AE = String(16)  # VR AE
NAME = String(64)


class EnumText(TypeDecorator[Any], Generic[Value]):
    """Text of a vocabulary: members of an enum in Python, their values in the column."""

    impl = String
    cache_ok = True

    def __init__(self, members: type[Value], length: int = 16) -> None:
        super().__init__(length)
        self.members: Final = members

    def process_bind_param(self, value: Any, dialect: object) -> str | None:
        """Return what the column holds."""
        return None if value is None else str(self.members(value))

    def process_result_value(self, value: Any, dialect: object) -> Value | None:
        """Return the member that a column holds."""
        return None if value is None else self.members(value)


metadata = MetaData()

association = Table(
    "association",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("calling_ae", AE, nullable=False),
    Column("called_ae", AE, nullable=False),
    Column("address", String(64), nullable=False),
    Column("opened_at", Float(53), nullable=False),
    Column("closed_at", Float(53)),
    Column("released", Boolean),
)

instance = Table(
    "instance",
    metadata,
    Column("sop_instance_uid", UID, primary_key=True),
    Column("series_instance_uid", UID, nullable=False),
    Column("study_instance_uid", UID, nullable=False),
    Column("sop_class_uid", UID, nullable=False),
    Column("transfer_syntax_uid", UID, nullable=False),
    Column("path", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("calling_ae", AE, nullable=False),
    Column("association_id", Integer),
    Column("origin", EnumText(Origin, 8), nullable=False),
    Column("received_at", Float(53), nullable=False),
    Column("revision", Integer),  # the first revision of its series that holds it
    Column("deleted_at", Float(53)),  # set: the file went, the row stays as a tombstone
    Index("instance_of_series", "series_instance_uid", "revision"),
    Index("instance_of_study", "study_instance_uid"),
)

series = Table(
    "series",
    metadata,
    Column("series_instance_uid", UID, primary_key=True),
    Column("study_instance_uid", UID, nullable=False),
    Column("instance_count", Integer, nullable=False),
    Column("unsettled", Boolean, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("first_instance_at", Float(53), nullable=False),
    Column("last_instance_at", Float(53), nullable=False),
    Column("deleted_at", Float(53)),
    # Where another study had this Series Instance UID before: that UID. The key, which every
    # other table has in its column `series_instance_uid`, is then made of study and series.
    Column("received_uid", UID),
    Index("series_received_uid", "received_uid"),
    Index("series_of_study", "study_instance_uid"),
    Index("series_unsettled", "unsettled"),
    Index("series_age", "deleted_at", "last_instance_at"),
)

revision = Table(
    "revision",
    metadata,
    Column("series_instance_uid", UID, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("state", EnumText(RevisionState), nullable=False),
    Column("reason", Text, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("completed_at", Float(53), nullable=False),
    Column("instance_count", Integer, nullable=False),
    Column("rounds", Integer, nullable=False, server_default="0"),  # run again by an operator
    Column("send_again", Boolean, nullable=False, server_default=false()),
    Column("failure_kind", EnumText(FailureKind)),  # NULL: nothing went wrong
    # Where the rules want the study's summary because of it: by destination, whether it is urgent
    Column("summary_to", JSON, nullable=False, server_default="{}"),
    Index("revision_state", "state"),
)

series_header = (
    Table(  # see `node.store.studies.snapshots`, which says what of it names the patient
        "series_header",
        metadata,
        Column("series_instance_uid", UID, primary_key=True),
        Column("study_instance_uid", UID, nullable=False),
        Column("revision", Integer, nullable=False),  # of the series, that it was taken for
        Column("taken_at", Float(53), nullable=False),
        Column("header_count", Integer, nullable=False),
        Column("own_output", Boolean, nullable=False),
        Column("differing", JSON, nullable=False),
        Column("patient_id", String(256)),
        Column("issuer_of_patient_id", String(256)),
        Column("patient_name", String(256)),
        Column("patient_name_folded", String(1024)),
        Column("patient_birth_date", String(8)),
        Column("patient_sex", String(16)),
        Column("accession_number", String(64)),
        Column("study_id", String(64)),
        Column("study_date", String(8)),
        Column("study_time", String(16)),
        Column("study_description", String(256)),
        Column("modality", String(16)),
        Column("series_number", Integer),
        Column("series_date", String(8)),
        Column("series_time", String(16)),
        Column("series_description", String(256)),
        Column("body_part_examined", String(16)),
        Column("protocol_name", String(256)),
        Column("descriptions_folded", String(2048)),
        Column("station_name", String(64)),
        Column("manufacturer", String(256)),
        Column("manufacturer_model_name", String(256)),
        Index("series_header_of_study", "study_instance_uid"),
        Index("series_header_patient", "patient_id"),
        Index("series_header_accession", "accession_number"),
        Index("series_header_date", "study_date"),
    )
)

conflict = Table(
    "conflict",
    metadata,
    Column("sop_instance_uid", UID, primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("series_instance_uid", UID, nullable=False),
    Column("study_instance_uid", UID, nullable=False),
    Column("path", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("calling_ae", AE, nullable=False),
    Column("received_at", Float(53), nullable=False),
    Index("conflict_of_study", "study_instance_uid"),
)

finding = Table(
    "finding",
    metadata,
    Column("series_instance_uid", UID, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("name", NAME, nullable=False),
    Column("source", String(8), nullable=False),
    Column("value", JSON),
    Column("probability", Float(53), nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("model_sha256", String(64), nullable=False, server_default=""),
)

derived = Table(
    "derived",
    metadata,
    Column("source_series_uid", UID, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("kind", NAME, primary_key=True),
    Column("sop_instance_uid", UID, nullable=False),
    Column("created_at", Float(53), nullable=False),
)

result = Table(  # what a result is made of besides the images: a repeat makes the same bytes
    "result",
    metadata,
    Column("series_instance_uid", UID, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("model_sha256", String(64), primary_key=True),
    Column("made_at", Float(53), nullable=False),
    Column("utc_offset_s", Integer, nullable=False),
    Column("edition", Integer, nullable=False),  # how often its UIDs were found taken
)

summary = Table(  # reports of what was recognised of a study; each supersedes the one before
    "summary",
    metadata,
    Column("study_instance_uid", UID, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("content_sha256", String(64), nullable=False),
    Column("made_at", Float(53), nullable=False),
    Column("utc_offset_s", Integer, nullable=False),
    Column("edition", Integer, nullable=False),  # how often its UID was found taken
    Column("sop_instance_uid", UID),  # NULL: not made yet
    Index("summary_instance", "sop_instance_uid"),
)

ledger = Table(
    "ledger",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Float(53), nullable=False),
    Column("event", String(32), nullable=False),
    Column("study_instance_uid", UID, nullable=False),
    Column("subject", UID, nullable=False),
    Column("detail", JSON, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("sha256", String(64), nullable=False),
    Index("ledger_of_study", "study_instance_uid"),
)

delivery = Table(
    "delivery",
    metadata,
    Column("sop_instance_uid", UID, primary_key=True),
    Column("destination", NAME, primary_key=True),
    Column("batch", String(255), nullable=False),
    Column("state", EnumText(DeliveryState), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("added_at", Float(53), nullable=False),
    Column("changed_at", Float(53), nullable=False),
    Column("commitment", EnumText(CommitmentState)),  # NULL: not asked since it was sent
    Column("commitment_due", Float(53)),
    Column("commitment_attempts", Integer, nullable=False, server_default="0"),
    Column("transaction_uid", UID),  # of the request that was made last
    Index("delivery_of_batch", "batch", "destination", "state"),
    Index("delivery_commitment", "destination", "state", "commitment", "commitment_due"),
    Index("delivery_of_destination", "destination", "state"),
    Index(
        "delivery_open",
        "state",
        sqlite_where=text("state <> 'delivered'"),
        postgresql_where=text("state <> 'delivered'"),
    ),
)

commitment_request = Table(  # what we ask of others
    "commitment_request",
    metadata,
    Column("transaction_uid", UID, primary_key=True),
    Column("destination", NAME, nullable=False),
    Column("state", EnumText(RequestState), nullable=False),
    Column("reason", Text, nullable=False),
    Column("asked_at", Float(53), nullable=False),
    Index("commitment_request_state", "state"),
)

commitment_part = Table(
    "commitment_part",
    metadata,
    Column("transaction_uid", UID, primary_key=True),
    Column("sop_instance_uid", UID, primary_key=True),
    Column("answer", String(16), nullable=False),
)

commitment_promise = Table(  # what others ask of us
    "commitment_promise",
    metadata,
    Column("transaction_uid", UID, primary_key=True),
    Column("calling_ae", AE, primary_key=True),
    Column("wanted", JSON, nullable=False),
    Column("state", EnumText(PromiseState), nullable=False),
    Column("reason", Text, nullable=False),
    Column("asked_at", Float(53), nullable=False),  # last
)

deletion = Table(  # files that retention has decided to remove and may not have removed yet
    "deletion",
    metadata,
    Column("path", Text, primary_key=True),
)

outlet = Table(
    "outlet",
    metadata,
    Column("destination", NAME, primary_key=True),
    Column("paused", Boolean, nullable=False),
    Column("circuit", EnumText(CircuitState, 8), nullable=False),
    Column("failures", Integer, nullable=False),
    Column("openings", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("changed_at", Float(53), nullable=False),
)

rejection = Table(
    "rejection",
    metadata,
    Column("calling_ae", AE, primary_key=True),
    Column("called_ae", AE, primary_key=True),
    Column("address", String(64), primary_key=True),
    Column("reason", String(200), primary_key=True),
    Column("times", BigInteger, nullable=False),
    Column("audited", BigInteger, nullable=False),  # of them, how many an audit message told
    Column("first_at", Float(53), nullable=False),
    Column("last_at", Float(53), nullable=False),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("kind", EnumText(HoldKind), nullable=False),
    Column("study_instance_uid", UID, nullable=False),
    Column("series_instance_uid", UID, nullable=False),
    Column("revision", Integer),  # these four: see `node.model.keys.HoldKey`
    Column("sop_instance_uid", UID),
    Column("sha256", String(64)),
    Column("destination", NAME),
    Column("reason", Text, nullable=False),
    Column("folder", Text, nullable=False),
    Column("state", EnumText(HoldState), nullable=False),
    Column("rounds", Integer, nullable=False),
    Column("held_at", Float(53), nullable=False),
    Column("changed_at", Float(53), nullable=False),
    Index("quarantine_state", "state"),
    Index("quarantine_of_series", "series_instance_uid"),
)

audit_event = Table(  # what the ledger does not tell: begins and ends of processes, logins
    "audit_event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("at", Float(53), nullable=False),
    Column("detail", JSON, nullable=False),
)

audit_cursor = Table(  # the last entry of the ledger that an audit message told
    "audit_cursor",
    metadata,
    Column("name", NAME, primary_key=True),
    Column("number", BigInteger, nullable=False),
)

work = Table(  # what is due; see `node.store.work`
    "work",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("lane", NAME, primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("state", String(8), nullable=False),
    Column("serial", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("begins", Integer, nullable=False),
    Column("urgent", Boolean, nullable=False),
    Column("due_at", Float(53), nullable=False),
    Column("lease_until", Float(53)),
    Column("holder", String(255), nullable=False, server_default=""),
    Column("reason", Text, nullable=False),
    Column("detail", JSON, nullable=False),
    Column("changed_at", Float(53), nullable=False),
    Index("work_due", "kind", "state", "lane", "urgent", "due_at", "key"),
    Index("work_lease", "state", "lease_until"),
)

due_clock = Table(  # when somebody last looked for work, by the database's clock; one row
    "due_clock",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("seen_at", Float(53), nullable=False),
)
