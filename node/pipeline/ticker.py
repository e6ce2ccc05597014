"""Runs the worker's jobs again and again, by a monotonic clock.

A schedule by the time of day would stand still for an hour when the clock is set back by one.
"""

import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

import structlog

from node.errors import NodeError, frames_of, reason_of

log = structlog.get_logger()

Job = Callable[[], None]


class Ticker:
    """A thread for each job, which runs it, waits, and runs it again.

    Parameters
    ----------
    jobs
        Each with the seconds to wait after it.
    """

    def __init__(self, jobs: Iterable[tuple[Job, float]]) -> None:
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=job, name="ticker") for job in jobs
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Return when no job runs any more."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, job: Job, seconds: float) -> None:
        while not self._stop.wait(seconds):
            try:
                job()
            except NodeError as error:
                log.warning("tried again at the next tick", because=str(error))
            except Exception as error:  # noqa: BLE001 - a defect must not stop it for ever
                # No traceback: the text at its end may quote a header value.
                log.error(  # noqa: TRY400
                    "a job of the worker failed",
                    because=reason_of(error),
                    frames=frames_of(error),
                )
