"""When to try again, and what statuses mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.deliver.attempts import (
    FIRST_DELAY_S,
    LONGEST_DELAY_S,
    MAXIMUM_ATTEMPTS,
    Retries,
    next_delay,
)
from node.deliver.http import meaning
from node.deliver.peer_statuses import verdict

FRACTION = st.floats(0, 1, exclude_max=True)


@given(attempt=st.integers(1, MAXIMUM_ATTEMPTS - 1), fraction=FRACTION)
def test_delays_stay_between_the_first_and_the_longest(attempt: int, fraction: float) -> None:
    """Never at once, and never so late that a destination waits a night for nothing."""
    delay = next_delay(attempt, lambda: fraction)

    assert delay is not None
    assert FIRST_DELAY_S <= delay <= LONGEST_DELAY_S


@given(attempt=st.integers(1, MAXIMUM_ATTEMPTS - 2), fraction=FRACTION)
def test_delays_never_shrink(attempt: int, fraction: float) -> None:
    """The longer a destination is down, the less it is asked."""
    earlier, later = (
        next_delay(attempt, lambda: fraction),
        next_delay(attempt + 1, lambda: fraction),
    )

    assert earlier is not None
    assert later is not None
    assert earlier <= later


def test_the_last_attempt_is_followed_by_parking() -> None:
    """A person must get to see what cannot be delivered."""
    assert next_delay(MAXIMUM_ATTEMPTS - 1, lambda: 0.0) is not None
    assert next_delay(MAXIMUM_ATTEMPTS, lambda: 0.0) is None
    assert next_delay(10**6, lambda: 0.0) is None


def test_attempts_last_about_a_week() -> None:
    """A destination may be down over a long weekend without anything being parked."""
    delays = [next_delay(attempt, lambda: 0.5) or 0.0 for attempt in range(1, MAXIMUM_ATTEMPTS)]

    assert sum(delays) / 86400 == pytest.approx(7, abs=1)


def test_jitter_draws_apart_what_failed_together() -> None:
    """A destination that comes back must not get everything in the same second."""
    assert next_delay(5, lambda: 0.0) != next_delay(5, lambda: 0.9)


@pytest.mark.parametrize(
    ("status", "state", "word"),
    [
        (0x0000, "delivered", ""),
        (0xB000, "delivered", "coerced data elements"),
        (0xB006, "delivered", "discarded elements"),
        (0xB007, "delivered", "does not match"),
        (0xB123, "delivered", "warning"),
        (0x0107, "delivered", "attribute list error"),
        (0x0111, "delivered", "already"),
        (0xA700, "retry", "out of resources"),
        (0x0110, "retry", "processing failure"),
        (0x0124, "retry", "not authorised"),
        (0xFE00, "retry", "unknown status"),
        (0x0122, "refused", "SOP Class not supported"),
        (0x0117, "refused", "invalid SOP Instance"),
        (0xA900, "refused", "does not match"),
        (0xA901, "refused", "does not match"),
        (0xC000, "refused", "cannot understand"),
        (0xC123, "refused", "cannot understand"),
    ],
    ids=lambda value: f"{value:04X}" if isinstance(value, int) else None,
)
def test_a_status_is_delivered_retry_or_refused(status: int, state: str, word: str) -> None:
    """PS3.4 Table B.2-1: warnings mean stored; a full disk passes, a bad data set does not."""
    found, reason = verdict(status)

    assert found == state
    assert word in reason


@pytest.mark.parametrize(
    ("status", "state"),
    [
        *[(200, "delivered"), (202, "delivered"), (400, "refused"), (415, "refused")],
        *[(401, "retry"), (403, "retry"), (404, "retry"), (429, "retry"), (503, "retry")],
    ],
)
def test_an_http_status_is_delivered_retry_or_refused(status: int, state: str) -> None:
    """What is about us, our password or this moment may pass; what is about the object not."""
    assert meaning(status) == state


def test_delays_double_from_the_first_to_the_longest() -> None:
    """Half of each is certain and half is drawn; never less than the first."""
    terms = Retries(attempts=99, first_delay_s=10.0, longest_delay_s=300.0)

    least = [next_delay(attempt, lambda: 0.0, terms) for attempt in range(1, 8)]
    middle = [next_delay(attempt, lambda: 0.5, terms) for attempt in range(1, 8)]

    assert least == [10.0, 20.0, 40.0, 80.0, 150.0, 150.0, 150.0]
    assert middle == [15.0, 30.0, 60.0, 120.0, 225.0, 225.0, 225.0]


def test_a_destination_has_terms_of_its_own() -> None:
    """Its settings count, not what others have."""
    terms = Retries(attempts=3, first_delay_s=5.0, longest_delay_s=6.0)

    assert next_delay(2, lambda: 0.0, terms) == 5.0
    assert next_delay(3, lambda: 0.0, terms) is None


def test_after_years_of_trying_the_delay_is_the_longest() -> None:
    """No number grows without bound on the way."""
    forever = Retries(attempts=10**9)

    assert next_delay(10**8, lambda: 0.0, forever) == LONGEST_DELAY_S / 2


def test_without_settings_a_destination_is_tried_for_a_week_up_to_every_six_hours() -> None:
    """What the reference of settings promises."""
    assert Retries() == Retries(attempts=45, first_delay_s=30.0, longest_delay_s=21_600.0)
