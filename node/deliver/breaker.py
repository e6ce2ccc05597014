"""Circuit breaker: a destination that keeps failing is left alone, and probed from time to time.

Pure: the circuit in, the next circuit out. The catalog keeps it, so that every process sees the
same one; to probe one that is open is a piece of work (`node.store.deliveries.outlets`).

::

    closed ──`break_after` attempts failed in a row──> open ──its wait is over──> it is probed
      ^                                                 ^                           │ │
      │                                                 └────────── not there ──────┘ │
      └──────────── something was taken, or it answered the probe ────────────────────┘

While it is not closed, what is due waits, and no attempt is counted.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from node.deliver.attempts import doubled
from node.model.records import Circuit
from node.model.states import CircuitState

FIRST_PROBE_S: Final = 30.0
LONGEST_PROBE_S: Final = 900.0


def failed(circuit: Circuit, reason: str, break_after: int) -> Circuit:
    """Return the circuit after an attempt in which the destination took and refused nothing.

    Parameters
    ----------
    reason : str
        Why; no patient data.
    break_after : int
        How many of them in a row open it.
    """
    if circuit.state is CircuitState.OPEN:  # an attempt that was under way when it opened
        return circuit
    counted = replace(circuit, failures=circuit.failures + 1, reason=reason)
    return counted if counted.failures < break_after else _opened(counted, reason)


def answered(_circuit: Circuit) -> Circuit:
    """Return the circuit after the destination took or refused an instance: it is there.

    Parameters
    ----------
    _circuit : Circuit
        As it was; nothing of it stays.

    Returns
    -------
    Circuit
        Closed, without a memory of openings.
    """
    return Circuit()


def probe_failed(circuit: Circuit, reason: str) -> Circuit:
    """Return the circuit after the destination did not answer a probe."""
    return _opened(circuit, reason) if circuit.state is CircuitState.OPEN else circuit


def probe_answered(circuit: Circuit) -> Circuit:
    """Return the circuit after the destination answered a probe.

    Attempts may go on. Should they fail all the same (it answers C-ECHO and its disk is full),
    it opens again, and for longer: `openings` is forgotten only when it takes something.
    """
    return replace(circuit, state=CircuitState.CLOSED, failures=0, reason="")


def hastened(circuit: Circuit) -> Circuit:
    """Return the circuit once an operator wants it probed at once.

    How often it was open before is forgotten, so that the next wait is a short one.
    """
    return replace(circuit, openings=0) if circuit.state is CircuitState.OPEN else circuit


def probe_wait_s(openings: int, random: Callable[[], float]) -> float:
    """Return how long a circuit that has opened so often is left alone, in seconds.

    Parameters
    ----------
    random : callable
        Draws from [0, 1).
    """
    return doubled(openings, FIRST_PROBE_S, LONGEST_PROBE_S, random)


def _opened(circuit: Circuit, reason: str) -> Circuit:
    return replace(circuit, state=CircuitState.OPEN, openings=circuit.openings + 1, reason=reason)
