"""What an HTTP answer means for instances."""

from typing import Final

import httpx

from node.deliver.destination import State
from node.errors import PermanentDeliveryError, TransientDeliveryError

TIMEOUT: Final = httpx.Timeout(120.0, connect=15.0)
"""Seconds; the longer one is for the peer to store what it was sent."""

_REFUSALS: Final = frozenset({400, 406, 409, 410, 413, 415, 422, 451})
"""Client errors that are about what was sent; 401, 403, 404 and 429 are about us or about now."""


def meaning(status: int) -> State:
    """Return what an HTTP status says about the instance it answers for."""
    if 200 <= status < 300:
        return "delivered"
    return "refused" if status in _REFUSALS else "retry"


def raise_for(response: httpx.Response, what: str) -> None:
    """Raise unless the answer is a success.

    Raises
    ------
    TransientDeliveryError
        If another attempt may go better.
    PermanentDeliveryError
        If it will not.
    """
    state = meaning(response.status_code)
    if state != "delivered":
        text = f"{what}: HTTP {response.status_code} {response.reason_phrase}"
        raise (PermanentDeliveryError if state == "refused" else TransientDeliveryError)(text)


def told(error: httpx.HTTPError | httpx.InvalidURL) -> str:
    """Return why there was no answer, without the request's content."""
    return f"no answer ({type(error).__name__})"
