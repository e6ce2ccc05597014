"""Which result of a revision is written, and the day it was made."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from pydicom import Dataset


@dataclass(frozen=True)
class Edition:
    """What sets one result apart from every other of the same series and weights.

    All of it stands in a row before anything is written, so that a step that runs again makes
    the same bytes.

    Attributes
    ----------
    revision : int
        Revision of the source series, counted from 1.
    made : datetime.datetime
        When this result was made first; aware, in the zone of the node.
    series_made : datetime.datetime
        When the first result of the derived series was made; aware.
    number : int
        Counts how often the UIDs of this result were found taken by other bytes.
    """

    revision: int
    made: datetime
    series_made: datetime
    number: int = 0

    def named(self, *parts: str) -> tuple[str, ...]:
        """Return the words that a UID of this edition is made of.

        The moment is one of them: two nodes that measure the same series with the same weights
        make different bytes, and must not give both one UID.

        Parameters
        ----------
        *parts : str
            Such as the source Series Instance UID and the kind of object.

        Returns
        -------
        tuple of str
            For `node.identity.derived_uid`.
        """
        moment = f"{self.made.timestamp():.6f}"
        return (*parts, str(self.revision), moment, str(self.number))


def date_result(result: Dataset, edition: Edition, original: Dataset) -> None:
    """Write when a result was made; in place. Dates of the study stay the study's.

    Times are those of the zone that the source names in Timezone Offset From UTC, which is then
    written too: it is about every DA and TM of an instance, those copied from the source
    included. A source that names none has local times, and so has its result.

    References
    ----------
    DICOM PS3.3 Sections C.12.1 (SOP Common), C.7.3.1 (General Series: when the Series started),
    C.8.20.2 and C.17.2 (Content Date: when the content's creation started)
    """
    offset = _offset(str(original.get("TimezoneOffsetFromUTC") or ""))
    if offset is not None:
        result.TimezoneOffsetFromUTC = str(original.TimezoneOffsetFromUTC)
    for event, moment in (
        ("InstanceCreation", edition.made),
        ("Content", edition.made),
        ("Series", edition.series_made),
    ):
        there = moment if offset is None else moment.astimezone(timezone(offset))
        setattr(result, f"{event}Date", there.strftime("%Y%m%d"))
        setattr(result, f"{event}Time", there.strftime("%H%M%S"))


def _offset(text: str) -> timedelta | None:
    """Return what Timezone Offset From UTC (0008,0201) says, ``&ZZXX``; None where nothing."""
    sign, digits = text[:1], text[1:]
    if sign not in ("+", "-") or len(digits) != 4 or not (digits.isascii() and digits.isdigit()):
        return None
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 14 or minutes > 59:
        return None
    offset = timedelta(hours=hours, minutes=minutes)
    return offset if sign == "+" else -offset
