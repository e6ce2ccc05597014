"""When a result is made, as its row keeps it and as its bytes say it."""

from datetime import UTC, datetime, timedelta, timezone, tzinfo

from node.derived.edition import Edition
from node.store.studies.results import Making


def making(at: float, zone: tzinfo | None) -> Making:
    """Return a moment as a row keeps it.

    Parameters
    ----------
    at : float
        Seconds since the epoch.
    zone : datetime.tzinfo or None
        In which results are dated; None is that of this machine.

    Returns
    -------
    Making
    """
    offset = datetime.fromtimestamp(at, UTC).astimezone(zone).utcoffset()
    return Making(at, int(offset.total_seconds()) if offset else 0)


def edition_of(revision: int, made: Making, series_made: Making, number: int) -> Edition:
    """Return what sets a result apart from others of the same source, from its row.

    Parameters
    ----------
    revision : int
        Of the source, from 1 on.
    made, series_made : Making
        When it was made first, and when the first of its series was.
    number : int
        How often its UIDs were found taken.

    Returns
    -------
    Edition
    """
    return Edition(revision, _moment(made), _moment(series_made), number)


def _moment(made: Making) -> datetime:
    return datetime.fromtimestamp(made.at, timezone(timedelta(seconds=made.utc_offset_s)))
