"""What a coerced image says of its coercion, and how that is read again.

An image of which empty attributes were filled names them in its Original Attributes Sequence with
the values they had: none. So whoever reads it can undo it, and the node does: what a radnet-node
wrote is no evidence of what an image shows.

References
----------
DICOM PS3.3 Sections C.12.1.1.5 (Contributing Equipment) and C.12.1.1.9 (Original Attributes)
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from node.identity import COERCED, MODEL_NAME, contributing_equipment

_LONGEST_AE: Final = 16


@dataclass(frozen=True)
class Stamp:
    """Who coerces, when, and whom the image came from.

    Attributes
    ----------
    at
        Seconds since the epoch, of a row: a repeat says the same.
    source
        AE title of who sent it, '' where not known.
    """

    at: float
    source: str = ""


def original_attributes(filled: Collection[str], stamp: Stamp) -> Dataset:
    """Return the item of Original Attributes Sequence (0400,0561) for attributes that were empty.

    Parameters
    ----------
    filled : collection of str
        Their keywords.
    stamp : Stamp
        When and whose.

    Returns
    -------
    Dataset
        Reason COERCE. An attribute that had no value, or was absent, has none here.
    """
    before = Dataset()
    for keyword in filled:
        setattr(before, keyword, None)
    item = Dataset()
    item.ModifiedAttributesSequence = Sequence([before])
    item.AttributeModificationDateTime = _moment(stamp.at)
    item.ModifyingSystem = MODEL_NAME
    item.SourceOfPreviousValues = _plain(stamp.source)
    item.ReasonForTheAttributeModification = "COERCE"
    return item


def coercing_equipment(stamp: Stamp) -> Dataset:
    """Return the item of Contributing Equipment Sequence (0018,A001) of an image of others.

    Parameters
    ----------
    stamp : Stamp
        When.

    Returns
    -------
    Dataset
        Its description keeps the image from being taken for the node's own output.
    """
    item = contributing_equipment()
    item.ContributionDateTime = _moment(stamp.at)
    item.ContributionDescription = COERCED
    return item


def filled_by_a_node(header: Dataset) -> frozenset[BaseTag]:
    """Return the tags of what a radnet-node filled into an image.

    Parameters
    ----------
    header : Dataset
        Of one instance; it may be damaged.

    Returns
    -------
    frozenset of BaseTag
    """
    items = header.get("OriginalAttributesSequence")
    if not isinstance(items, Sequence):
        return frozenset()
    return frozenset(
        element.tag
        for item in items
        if item.get("ModifyingSystem") == MODEL_NAME
        for before in item.get("ModifiedAttributesSequence") or ()
        for element in before
        if element.is_empty
    )


def _moment(at: float) -> str:
    """Return a DT in UTC (PS3.5 Section 6.2), whatever the zone of the image is."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%d%H%M%S.%f+0000")


def _plain(title: str) -> str:
    """Return an AE title if it is one: a peer may call itself anything."""
    plain = title.isascii() and title.isprintable() and "\\" not in title
    return title.strip() if plain and len(title) <= _LONGEST_AE else ""
