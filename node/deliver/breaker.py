"""Circuit breaker: a destination that keeps failing is left alone, and probed from time to time.

Pure: the circuit and the time in, the next circuit out. The catalog keeps it, so that every
process sees the same one.

::

    closed ──`break_after` attempts failed in a row──> open ──its wait is over──> probing
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
PROBE_LEASE_S: Final = 900.0
"""A probe that has not come back after this died with its process: another one is sent."""


def failed(
    circuit: Circuit, reason: str, now: float, break_after: int, random: Callable[[], float]
) -> Circuit:
    """Return the circuit after an attempt in which the destination took and refused nothing.

    Parameters
    ----------
    reason : str
        Why; no patient data.
    now : float
        Seconds since the epoch.
    break_after : int
        How many of them in a row open it.
    random : Callable[[], float]
        Draws from [0, 1).
    """
    if circuit.state != "closed":  # an attempt that was under way when it opened
        return circuit
    failures = circuit.failures + 1
    if failures < break_after:
        return replace(circuit, failures=failures, reason=reason)
    return _opened(replace(circuit, failures=failures), reason, now, random)


def answered(circuit: Circuit) -> Circuit:
    """Return the circuit after the destination took or refused an instance: it is there."""
    return Circuit(probes=circuit.probes)


def probe_due(circuit: Circuit, now: float) -> bool:
    """Tell whether it is time to probe the open circuit."""
    return circuit.state != "closed" and now >= circuit.until


def probing(circuit: Circuit, now: float) -> Circuit:
    """Return the circuit once the probe with the number `probes` is queued.

    It may have come back before that is noted: then its answer stands, and only the number is
    used up.
    """
    asked = replace(circuit, probes=circuit.probes + 1)
    if not probe_due(circuit, now):
        return asked
    return replace(asked, state=CircuitState.PROBING, until=now + PROBE_LEASE_S)


def probe_failed(
    circuit: Circuit, reason: str, now: float, random: Callable[[], float]
) -> Circuit:
    """Return the circuit after the destination did not answer a probe."""
    return circuit if circuit.state == "closed" else _opened(circuit, reason, now, random)


def probe_answered(circuit: Circuit) -> Circuit:
    """Return the circuit after the destination answered a probe.

    Attempts may go on. Should they fail all the same (it answers C-ECHO and its disk is full),
    it opens again, and for longer: `openings` is forgotten only when it takes something.
    """
    return replace(circuit, state=CircuitState.CLOSED, failures=0, until=0.0, reason="")


def hastened(circuit: Circuit, now: float) -> Circuit:
    """Return the circuit once an operator wants it probed at once.

    A probe that is under way may have been so for a quarter of an hour: another one is sent. How
    often it was open before is forgotten, so that the next wait is a short one.
    """
    if circuit.state == "closed":
        return circuit
    return replace(circuit, state=CircuitState.OPEN, openings=0, until=now)


def _opened(circuit: Circuit, reason: str, now: float, random: Callable[[], float]) -> Circuit:
    openings = circuit.openings + 1
    wait_s = doubled(openings, FIRST_PROBE_S, LONGEST_PROBE_S, random)
    return replace(
        circuit, state=CircuitState.OPEN, openings=openings, until=now + wait_s, reason=reason
    )
