"""What waits to be sent: a peer that takes it too slowly is given up."""

from types import SimpleNamespace
from typing import cast

import pytest
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import P_DATA

from node.errors import TransientDeliveryError
from node.wire.pacing import LEAST_PACE, MOST_WAITING, BoundedQueue


def _queue(patience_s: float) -> BoundedQueue:
    dul = SimpleNamespace(is_alive=lambda: True)
    made = BoundedQueue(cast("Association", SimpleNamespace(dul=dul)), patience_s)
    made.begin()
    return made


def _part(octets: int) -> P_DATA:
    part = P_DATA()
    part.presentation_data_value_list.append((1, bytes(octets)))
    return part


def test_who_takes_nothing_in_time_is_given_up() -> None:
    """Not while there is room: what fits was not refused."""
    waiting = _queue(-1.0)
    for _ in range(MOST_WAITING):
        waiting.put(_part(1))

    with pytest.raises(TransientDeliveryError, match="too slowly"):
        waiting.put(_part(1))


def test_a_long_message_may_take_longer() -> None:
    """By its octets, as many a second as anybody must take."""
    waiting = _queue(10.0)
    before = waiting.until

    waiting.put(_part(3 * LEAST_PACE))

    assert waiting.until == pytest.approx(before + 3.0)


def test_nothing_is_waited_for_before_a_message_began() -> None:
    """The request for an association has a time limit of its own."""
    waiting = _queue(0.0)
    waiting.until = float("inf")
    for _ in range(MOST_WAITING):
        waiting.put(_part(1))

    assert waiting.until == float("inf")
