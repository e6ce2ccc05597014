"""How long a step may hold its slot; after that it is given up, and others have their turn."""

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import wraps
from typing import Any, Final

import structlog

from node.errors import OverdueError

log = structlog.get_logger()

LONGEST_S: Final = 6 * 3600.0
"""Of any step, where nothing else is said: a batch of a large study over a thin line."""

LONGEST_RECOGNITION_S: Final = 3600.0
LONGEST_ROUTING_S: Final = 600.0
LONGEST_SEGMENTATION_S: Final = 4 * 3600.0
LONGEST_SUMMARY_S: Final = 1800.0
LONGEST_PROBE_S: Final = 600.0


def time_limited(
    function: Callable[..., Any], name: str, longest_s: float = LONGEST_S
) -> Callable[..., Any]:
    """Let a function run in a thread of its own, and wait for it no longer than `longest_s`.

    A thread cannot be ended from outside. The one that is given up goes on by itself until it
    comes back or the process ends; what it may still write, it would have written, and every
    step may run twice.

    Raises
    ------
    OverdueError
        From the function that is returned, if the time is over.
    """

    @wraps(function)
    def run(*arguments: Any) -> Any:
        outcome: Future[Any] = Future()
        context = contextvars.copy_context()
        threading.Thread(
            target=context.run,
            args=(_fulfil, outcome, function, arguments),
            name=f"step {name}",
            daemon=True,
        ).start()
        try:
            return outcome.result(longest_s)
        except TimeoutError:
            if outcome.done():  # it is the function's own
                raise
        log.error("a step is given up", step=name, after_s=longest_s)
        raise OverdueError(f"{name} held its slot for more than {longest_s:g} s; it is given up")

    return run


def _fulfil(
    outcome: "Future[Any]", function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    try:
        result = function(*arguments)
    except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
        outcome.set_exception(error)
    else:
        outcome.set_result(result)
