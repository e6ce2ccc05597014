"""When to try a destination again: pure arithmetic, no clock."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

FIRST_DELAY_S: Final = 30.0
LONGEST_DELAY_S: Final = 6 * 3600.0
MAXIMUM_ATTEMPTS: Final = 45
"""About a week of trying, at the mean delays of `next_delay`."""


@dataclass(frozen=True)
class Retries:
    """How often a destination is tried, and how far apart."""

    attempts: int = MAXIMUM_ATTEMPTS
    first_delay_s: float = FIRST_DELAY_S
    longest_delay_s: float = LONGEST_DELAY_S


def next_delay(
    attempt: int,
    random: Callable[[], float],
    retries: Retries = Retries(),
) -> float | None:
    """Return how long to wait after a failed attempt, or None when it was the last.

    Doubles from the first delay to the longest. Half of each delay is drawn at random, so that
    the instances of many series do not all come back at the moment a destination does.

    Parameters
    ----------
    attempt : int
        How many attempts have failed, at least 1.
    random : Callable[[], float]
        Draws from [0, 1).

    Returns
    -------
    float or None
        Seconds; None: park the instance.
    """
    if attempt >= retries.attempts:
        return None
    return doubled(attempt, retries.first_delay_s, retries.longest_delay_s, random)


def doubled(times: int, first_s: float, longest_s: float, random: Callable[[], float]) -> float:
    """Return a wait that doubles from `first_s` with each time, at most `longest_s`.

    Half of it is drawn at random; never less than `first_s`.
    """
    doublings = min(times, 20)  # further ones are beyond the longest delay anyway
    ceiling = min(first_s * float(1 << doublings), longest_s)
    return max(first_s, ceiling / 2 + ceiling / 2 * random())
