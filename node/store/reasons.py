"""How reasons begin that say something went wrong, and not that a series is what it is.

A localizer is no volume, and that is all right; a segmentation whose process died is not. The
quarantine tells them apart by these words.
"""

from typing import Final, Literal

Kind = Literal[
    "conflict", "unreadable", "mixed", "recognition", "segmentation", "certificate", "delivery"
]
"""Why something is held; the name of its folder in the quarantine."""

RECOGNITION_DIED: Final = "recognition died: "
ROUTING_DIED: Final = "routing died: "
SEGMENTATION_DIED: Final = "segmentation died: "
NOT_SEGMENTED: Final = "liver not segmented: "
CERTIFICATE_REFUSED: Final = "liver segmentation refused: "
UNREADABLE: Final = "headers cannot be read: "
MIXED: Final = "images that do not belong together: "

KINDS: Final[dict[str, Kind]] = {
    RECOGNITION_DIED: "recognition",
    ROUTING_DIED: "recognition",
    SEGMENTATION_DIED: "segmentation",
    NOT_SEGMENTED: "segmentation",
    CERTIFICATE_REFUSED: "certificate",
    UNREADABLE: "unreadable",
    MIXED: "mixed",
}
"""Beginnings of reasons of a revision, and what each is held as."""


def kind_of(reason: str) -> Kind | None:
    """Return what a revision with this reason is held as; None where nothing went wrong."""
    return next((kind for begins, kind in KINDS.items() if reason.startswith(begins)), None)
