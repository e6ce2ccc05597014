"""Moments as people type them: ``7d`` ago, or a date."""

import re
from datetime import datetime, timedelta
from typing import Final

from node.cli.shown import WRONG, fail

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
EXPECTED: Final = "expected 30m, 12h, 7d, 2w, or a local time such as 2026-11-30T08:00"


def moment(option: str, text: str, now: datetime) -> float:
    """Return a moment in the past, in seconds since the epoch; end with 2 where it is none.

    Parameters
    ----------
    text
        A number with ``m``, ``h``, ``d`` or ``w``: so long ago. Or ISO 8601; without an offset it
        is local time.
    now
        With its time zone.
    """
    found = re.fullmatch(r"([0-9]{1,6})([mhdw])", text)
    try:
        if found:
            at = now - timedelta(**{_UNITS[found[2]]: int(found[1])})
        else:
            at = datetime.fromisoformat(text)
            at = at if at.tzinfo else at.replace(tzinfo=now.tzinfo)
    except (ValueError, OverflowError):
        fail(f"{option} {text}: {EXPECTED}", WRONG)
    if at > now:
        fail(f"{option} {text}: lies in the future; {EXPECTED}", WRONG)
    return at.timestamp()
