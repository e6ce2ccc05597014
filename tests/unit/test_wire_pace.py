"""A message must come at a pace; one that is fast, or short, or just begun, is left alone."""

import pytest

from node.wire.sockets import Pace


class Clock:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Put a clock into the module."""
    made = Clock()
    monkeypatch.setattr("node.wire.sockets.time", made)
    return made


def test_a_message_by_octets_is_cut_off_when_the_time_limit_is_over(clock: Clock) -> None:
    """An octet a second, each in a PDU of its own."""
    pace = Pace()
    pace.step(13, unfinished=False, timeout_s=60)
    for _ in range(60):
        clock.now += 1
        pace.step(13, unfinished=True, timeout_s=60)
    clock.now += 1
    with pytest.raises(TimeoutError, match="octets in 61 s"):
        pace.step(13, unfinished=True, timeout_s=60)


def test_a_large_message_that_takes_hours_does_not_raise(clock: Clock) -> None:
    """A gigabyte over a slow line: 2 KiB a second is enough."""
    pace = Pace()
    pace.step(2048, unfinished=False, timeout_s=60)
    for _ in range(3600):
        clock.now += 1
        pace.step(2048, unfinished=True, timeout_s=60)


def test_each_message_starts_anew(clock: Clock) -> None:
    """A C-ECHO now and then keeps an association alive for days."""
    pace = Pace()
    for _ in range(1000):
        clock.now += 50
        pace.step(80, unfinished=False, timeout_s=60)
    clock.now += 61
    with pytest.raises(TimeoutError, match="80 octets in 61 s"):
        pace.step(0, unfinished=True, timeout_s=60)
