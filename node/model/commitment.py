"""What storage commitment speaks of: the instances of a message, and what follows a failure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Reference:
    """One instance as the messages name it."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Failed:
    """An instance that is not committed to; `reason` is its Failure Reason (0008,1197)."""

    reference: Reference
    reason: int


@dataclass(frozen=True, slots=True)
class Remedied:
    """What follows a failure.

    Attributes
    ----------
    then : {"ask", "send", "park"}
    wait_s : float
        Before it is done, in seconds.
    reason : str
        The reason in words.
    """

    then: Literal["ask", "send", "park"]
    wait_s: float
    reason: str


Decide = Callable[[str, int, int], Remedied]
"""Takes destination, Failure Reason and how often we have asked; pure."""
