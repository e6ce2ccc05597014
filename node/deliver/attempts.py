"""When to try a destination again: pure arithmetic, no clock."""

from collections.abc import Callable
from typing import Final

FIRST_DELAY_S: Final = 30.0
LONGEST_DELAY_S: Final = 6 * 3600.0
MAXIMUM_ATTEMPTS: Final = 45
"""About a week of trying, at the mean delays of `next_delay`."""


def next_delay(attempt: int, random: Callable[[], float]) -> float | None:
    """Return how long to wait after a failed attempt, or None when it was the last.

    Doubles from 30 s to 6 h. Half of each delay is drawn at random, so that the instances
    of many series do not all come back at the moment a destination does.

    Parameters
    ----------
    attempt : int
        How many attempts have failed, at least 1.
    random : Callable[[], float]
        Draws from [0, 1).

    Returns
    -------
    float or None
        Seconds, from 30 to 21600; None: park the instance.
    """
    if attempt >= MAXIMUM_ATTEMPTS:
        return None
    doublings = min(attempt, 20)  # further ones are beyond the longest delay anyway
    ceiling = min(FIRST_DELAY_S * float(1 << doublings), LONGEST_DELAY_S)
    return ceiling / 2 + ceiling / 2 * random()
