"""Who is served next, and what has to wait: pure decisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import time
from typing import Final, Literal

from node.deliver.attempts import Retries
from node.deliver.coercion import Fillable
from node.model.records import Outlet
from node.model.states import CircuitState
from node.model.work import Task

Priority = Literal["high", "normal", "low"]
_RANK: Final[Mapping[Priority, int]] = {"high": 0, "normal": 1, "low": 2}


@dataclass(frozen=True)
class Terms:
    """On what terms a destination is sent to; see `[[destinations]]` in the settings.

    Attributes
    ----------
    connections : int
        How many batches at once.
    window : tuple[time, time] or None
        From when to when in local time what is not urgent may be sent; may reach over midnight.
    break_after : int
        How many failed attempts in a row open its circuit.
    coerce : frozenset of Fillable
        Empty attributes of images that are filled for it.
    """

    connections: int = 2
    priority: Priority = "normal"
    window: tuple[time, time] | None = None
    retries: Retries = field(default_factory=Retries)
    break_after: int = 5
    coerce: frozenset[Fillable] = frozenset()


def window_of(text: str) -> tuple[time, time]:
    """Return the window that ``22:00-06:00`` means."""
    start, end = text.split("-")
    return time.fromisoformat(start), time.fromisoformat(end)


def is_open(window: tuple[time, time] | None, local: time) -> bool:
    """Tell whether a window is open; one that ends where it begins is always.

    Parameters
    ----------
    window : tuple of time, or None
        Begin and end in local time; the end may be the next morning. None: always open.
    local : time
        Now, in local time.

    Returns
    -------
    bool
    """
    if window is None:
        return True
    start, end = window
    if start < end:
        return start <= local < end
    return local >= start or local < end


def held_because(terms: Terms, outlet: Outlet, local: time, urgent: bool) -> str:
    """Return why a batch must wait whatever its turn, or '' where nothing holds it.

    Parameters
    ----------
    terms : Terms
        What the settings say of the destination.
    outlet : Outlet
        Whether it is paused, and its circuit.
    local : time
        Now, in local time.
    urgent : bool
        Whether the batch waits for no window.

    Returns
    -------
    str
        A reason for a person.
    """
    if outlet.paused:
        return "paused by the operator"
    if outlet.circuit.state is not CircuitState.CLOSED:
        return f"circuit open: {outlet.circuit.reason}"
    if not urgent and not is_open(terms.window, local) and terms.window is not None:
        start, end = terms.window
        return f"waits for its window {start:%H:%M}-{end:%H:%M}"
    return ""


def chosen(
    due: Mapping[str, Sequence[Task]],
    in_flight: Mapping[str, int],
    terms: Mapping[str, Terms],
    at_once: int,
) -> list[Task]:
    """Return the batches to claim now, in order.

    A destination gets at most its connections, all of them together `at_once`. Each has its
    first connection whoever else is busy: one that hangs must not keep the others waiting.
    What is left over goes by priority, and to the urgent batches of equals.

    Parameters
    ----------
    due : Mapping[str, Sequence[Task]]
        What may be sent, in the order of each destination's own queue.
    in_flight : Mapping[str, int]
        Batches being sent, by destination.
    """
    first = [jobs[0] for name, jobs in due.items() if jobs and not in_flight.get(name)]
    more: list[Task] = []
    for name, jobs in due.items():
        taken = max(in_flight.get(name, 0), 1)
        left = max(terms.get(name, Terms()).connections - taken, 0)
        skipped = 0 if in_flight.get(name) else 1
        more += jobs[skipped : skipped + left]

    def turn(task: Task) -> tuple[int, bool, float, str, str]:
        rank = _RANK[terms.get(task.lane, Terms()).priority]
        return rank, not task.urgent, task.due_at, task.lane, task.key

    room = max(at_once - sum(in_flight.values()) - len(first), 0)
    return sorted(first, key=turn) + sorted(more, key=turn)[:room]
