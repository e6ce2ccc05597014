"""Keys that are made of several values, and their one way into a column of text and back."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias


class BatchKind(StrEnum):
    """What a batch of deliveries holds."""

    SOURCE = "source"
    """Instances of a received series."""
    RESULT = "result"
    """What the node made of one."""
    SUMMARY = "summary"
    """What was recognised of a study; `subject` is the study, `number` that of the report."""
    AGAIN = "again"
    """What a destination took and does not hold; `subject` is a Transaction UID."""


OF_ONE_SERIES: Final = (BatchKind.SOURCE, BatchKind.RESULT)
"""Batches of one revision of a series, and of no other: `subject` is the series."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What is sent to a destination in one job.

    Attributes
    ----------
    subject : str
        The catalog's key of a series, a Study Instance UID, or a Transaction UID.
    number : int
        The revision of the series, the number of a study's report, or how often was asked.
    """

    kind: BatchKind
    subject: str
    number: int

    def __str__(self) -> str:
        return f"{self.kind}/{self.subject}/{self.number}"

    @classmethod
    def parse(cls, text: str) -> "Batch":
        """Return the batch of a key.

        Parameters
        ----------
        text : str
            As ``str`` of a batch writes it: kind/subject/number.

        Returns
        -------
        Batch

        Raises
        ------
        ValueError
            If it is not the key of a batch.
        """
        kind, subject, number = text.split("/")
        return cls(BatchKind(kind), subject, int(number))


def source_batch(series: str, revision: int) -> Batch:
    """Return the batch of a revision's received instances.

    Parameters
    ----------
    series : str
        The key of a series: its UID, or one of its own where two studies share that.
    revision : int
        From 1 on.

    Returns
    -------
    Batch
    """
    return Batch(BatchKind.SOURCE, series, revision)


def result_batch(series: str, revision: int) -> Batch:
    """Return the batch of what was made of a revision.

    Parameters
    ----------
    series : str
        The key of a series: its UID, or one of its own where two studies share that.
    revision : int
        From 1 on.

    Returns
    -------
    Batch
    """
    return Batch(BatchKind.RESULT, series, revision)


def summary_batch(study_instance_uid: str, number: int) -> Batch:
    """Return the batch of one report of what was recognised of a study.

    Parameters
    ----------
    study_instance_uid : str
    number : int
        Of the report, from 1 on.

    Returns
    -------
    Batch
    """
    return Batch(BatchKind.SUMMARY, study_instance_uid, number)


@dataclass(frozen=True, slots=True)
class RevisionKey:
    """One revision of a series.

    Attributes
    ----------
    series : str
        The catalog's key of the series.
    """

    series: str
    number: int

    def __str__(self) -> str:
        return f"{self.series}/{self.number}"

    @classmethod
    def parse(cls, text: str) -> "RevisionKey":
        """Return the revision of a key.

        Parameters
        ----------
        text : str
            As ``str()`` of a revision made it.

        Returns
        -------
        RevisionKey

        Raises
        ------
        ValueError
            If it is not the key of a revision.
        """
        series, number = text.split("/")
        return cls(series, int(number))


@dataclass(frozen=True, slots=True)
class HeldRevision:
    """A revision of a series that is held in the quarantine."""

    revision: int

    def __str__(self) -> str:
        return f"revision-{self.revision}"


@dataclass(frozen=True, slots=True)
class HeldBytes:
    """Other bytes of a known instance."""

    sop_instance_uid: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.sop_instance_uid}.{self.sha256}"


@dataclass(frozen=True, slots=True)
class HeldDeliveries:
    """What is parked of a series at a destination."""

    destination: str

    def __str__(self) -> str:
        return self.destination


HoldKey: TypeAlias = HeldRevision | HeldBytes | HeldDeliveries
"""What of a series is held; as text it is the name of its folder."""
