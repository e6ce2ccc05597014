"""Messages that wait: requests for the thread that serves them, responses for who asked."""

import queue
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_EVENT_REPORT

_MOST: Final = 64  # messages
_LOOK_S: Final = 0.05  # how often one who waits looks whether the other is still there


class Responses:
    """Where responses to what we ask of a peer go, apart from its own requests."""

    def __init__(self) -> None:
        self._responses: queue.Queue[Any] = queue.Queue(_MOST)

    def response(self, message_id: int, timeout_s: float, alive: Callable[[], bool]) -> Any | None:
        """Return the response to a message; None if none comes in time or the peer has gone."""
        for _ in range(int(timeout_s / _LOOK_S)):
            try:
                response = self._responses.get(timeout=_LOOK_S)
            except queue.Empty:
                if not alive():
                    return None
            else:
                if response.MessageIDBeingRespondedTo == message_id:
                    return response
        return None


class WaitingMessages(queue.Queue[Any], Responses):
    """Complete messages that pynetdicom's other thread serves, all but C-STORE requests.

    There are few at a time: a peer that sends more than are served waits, too.
    """

    def __init__(self, assoc: Association) -> None:
        queue.Queue.__init__(self, _MOST)
        Responses.__init__(self)
        self._assoc = assoc

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Queue a message, as long as there is somebody to take it."""
        _, message = item
        if isinstance(message, N_EVENT_REPORT) and message.MessageIDBeingRespondedTo is not None:
            with suppress(queue.Full):  # so many that nobody asked for
                self._responses.put_nowait(message)
            return
        while not self._assoc._kill:
            with suppress(queue.Full):
                super().put(item, block, timeout or _LOOK_S)
                return
