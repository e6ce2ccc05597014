"""Runs the worker's jobs again and again, by a monotonic clock.

A schedule by the time of day would stand still for an hour when the clock is set back by one.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self, TypeVar

import structlog

from node.errors import NodeError, frames_of, reason_of

log = structlog.get_logger()

Outcome = TypeVar("Outcome")

Recurring = Callable[[], None]

WATCH_S: Final = 0.5
"""How soon a change by another process is noticed, and how long a look that found something to do,
and no turn for it, rests."""

LEAST_REST_S: Final = 0.02
"""Between two looks at the same: who is woken very often looks for several at once."""

LONGEST_REST_S: Final = 10.0
"""A look is made so often at least: what is due by the time of day changes no row."""


@dataclass(frozen=True)
class Look:
    """What is looked at.

    Attributes
    ----------
    see : callable
        Sees to what rows say; returns for how many seconds it need not look again if none change;
        0 where it cannot tell.
    wake : threading.Event
        Set by who knows, in this process, that there is something to see.
    """

    see: Callable[[], float]
    wake: threading.Event = field(default_factory=threading.Event)


class Ticker:
    """A thread for each job, which runs it, waits, and runs it again.

    Parameters
    ----------
    jobs
        Each with the seconds to wait after it.
    looks
        Each made again when it is woken, when rows have changed, or after the rest it asks for.
    changed : callable
        Tells whether rows may have changed since it was asked last; asked by one thread.
    """

    def __init__(
        self,
        jobs: Iterable[tuple[Recurring, float]],
        looks: Iterable[Look] = (),
        changed: Callable[[], bool] = lambda: True,
    ) -> None:
        self._stop = threading.Event()
        self._changed = changed
        self._threads = [
            threading.Thread(target=self._run, args=job, name="ticker") for job in jobs
        ]
        looked_at = list(looks)
        self._wakes = [look.wake for look in looked_at]
        self._threads += [
            threading.Thread(target=self._look, args=(look,), name="look") for look in looked_at
        ]
        if self._wakes:
            self._threads.append(threading.Thread(target=self._watch, name="watch"))

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
        for wake in self._wakes:
            wake.set()
        for thread in self._threads:
            thread.join()

    def _run(self, job: Recurring, seconds: float) -> None:
        while not self._stop.wait(seconds):
            _attempted(job)

    def _watch(self) -> None:
        """Wake every look when rows have changed: one question for all of them."""
        while not self._stop.wait(WATCH_S):
            if self._changed():
                for wake in self._wakes:
                    wake.set()

    def _look(self, look: Look) -> None:
        rest = WATCH_S
        while not self._stop.wait(LEAST_REST_S):
            look.wake.wait(rest)
            if self._stop.is_set():
                return
            look.wake.clear()  # first: what changes during the look may not be seen by it
            rest = min(_attempted(look.see) or WATCH_S, LONGEST_REST_S)


def _attempted(job: Callable[[], Outcome]) -> Outcome | None:
    """Return what a job does; None where it failed, which is logged."""
    try:
        return job()
    except NodeError as error:
        log.warning("tried again at the next tick", because=str(error))
    except Exception as error:  # noqa: BLE001 - a defect must not stop it for ever
        # No traceback: the text at its end may quote a header value.
        log.error(  # noqa: TRY400
            "a job of the worker failed", because=reason_of(error), frames=frames_of(error)
        )
    return None
