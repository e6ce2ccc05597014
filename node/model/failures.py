"""Why a series has no result, as a kind that is kept in a column and a reason for people.

A localizer is no volume, and that is all right: it has a reason and no kind. A segmentation whose
process died is not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class FailureKind(StrEnum):
    """What went wrong with a revision, so that somebody ought to look."""

    RECOGNITION = "recognition"
    """Recognition died; its images were routed without."""
    ROUTING = "routing"
    """Nobody knows where it has to go."""
    SEGMENTATION = "segmentation"
    CERTIFICATE = "certificate"
    """The segmentation does not agree with its images."""
    UNREADABLE = "unreadable"
    MIXED = "mixed"
    """Images that do not belong together."""


class HoldKind(StrEnum):
    """Why something is held in the quarantine; the name of its folder there."""

    CONFLICT = "conflict"
    UNREADABLE = "unreadable"
    MIXED = "mixed"
    RECOGNITION = "recognition"
    SEGMENTATION = "segmentation"
    CERTIFICATE = "certificate"
    DELIVERY = "delivery"


HELD_AS: Final[Mapping[FailureKind, HoldKind]] = {
    FailureKind.RECOGNITION: HoldKind.RECOGNITION,
    FailureKind.ROUTING: HoldKind.RECOGNITION,
    FailureKind.SEGMENTATION: HoldKind.SEGMENTATION,
    FailureKind.CERTIFICATE: HoldKind.CERTIFICATE,
    FailureKind.UNREADABLE: HoldKind.UNREADABLE,
    FailureKind.MIXED: HoldKind.MIXED,
}

WORDS: Final[Mapping[FailureKind, str]] = {
    FailureKind.RECOGNITION: "recognition died: ",
    FailureKind.ROUTING: "routing died: ",
    FailureKind.SEGMENTATION: "liver not segmented: ",
    FailureKind.CERTIFICATE: "liver segmentation refused: ",
    FailureKind.UNREADABLE: "headers cannot be read: ",
    FailureKind.MIXED: "images that do not belong together: ",
}
"""How the reason of each kind begins, for people; nothing is told from it."""

SEGMENTATION_DIED: Final = "segmentation died: "


@dataclass(frozen=True)
class Failure:
    """Why a series cannot be used, or was not; false where it can.

    Attributes
    ----------
    kind : FailureKind or None
        None where nothing went wrong: the series is what it is.
    """

    reason: str = ""
    kind: FailureKind | None = None

    def __bool__(self) -> bool:
        return bool(self.reason)

    def as_json(self) -> dict[str, str | None]:
        """Return it as a step of the pipeline keeps it."""
        return {"reason": self.reason, "kind": self.kind}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Failure":
        """Return what a step kept.

        Parameters
        ----------
        kept : mapping
            As it was read from JSON.

        Returns
        -------
        Failure
        """
        return cls(kept["reason"], None if kept["kind"] is None else FailureKind(kept["kind"]))


def failure(kind: FailureKind, reason: str) -> Failure:
    """Return what went wrong, in the words of its kind.

    Parameters
    ----------
    kind : FailureKind
        What follows from it.
    reason : str
        The rest of the sentence, without anything that names a patient.

    Returns
    -------
    Failure
    """
    return Failure(f"{WORDS[kind]}{reason}", kind)
