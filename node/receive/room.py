"""Room on the disk: two watermarks, so that we refuse before damage and warn before we refuse."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger()

MIB: Final = 1 << 20


class Room:
    """Says whether an instance may be taken; warns once each time a watermark is passed.

    Unsent data is never removed to make room: the peer keeps what we refuse and tries again.

    Parameters
    ----------
    free : callable
        Octets that are free on the disk of the instances.
    warn_below_mib, refuse_below_mib : int
        The watermarks; what an instance itself needs counts.
    """

    def __init__(
        self, free: Callable[[], int], warn_below_mib: int, refuse_below_mib: int
    ) -> None:
        self._free = free
        self._warn_below = warn_below_mib * MIB
        self._refuse_below = refuse_below_mib * MIB
        self._state = "enough"
        self._lock = threading.Lock()

    def takes(self, octets: int) -> bool:
        """Tell whether there is room for so much."""
        left = self._free() - octets
        state = "enough"
        if left < self._refuse_below:
            state = "refusing"
        elif left < self._warn_below:
            state = "low"
        self._note(state, left)
        return state != "refusing"

    def _note(self, state: str, left: int) -> None:
        with self._lock:
            if state == self._state:
                return
            before, self._state = self._state, state
        say = log.info if state == "enough" else log.warning
        say("room on disk", state=state, before=before, free_mib=left // MIB)


def free_under(folder: Path) -> Callable[[], int]:
    """Return what measures the free octets of the disk that holds `folder`."""

    def free() -> int:
        return shutil.disk_usage(folder).free

    return free
