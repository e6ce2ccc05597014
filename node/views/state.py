"""Where a study stands, in one word: the most urgent of what is true of it."""

from collections.abc import Collection
from enum import StrEnum
from typing import Final


class StudyState(StrEnum):
    """Where a study stands; of several, the first that is true counts."""

    HELD = "held"
    """Something of it waits for a person: in quarantine, or parked at a destination."""
    RECEIVING = "receiving"
    """Instances came that belong to no revision yet."""
    WORKING = "working"
    """A series is being recognised, routed or segmented, what was recognised is written down, or
    that is to be done."""
    SENDING = "sending"
    """Instances are on their way to a destination, or wait for their next attempt."""
    PAUSED = "paused"
    """Instances are held back by an operator's order."""
    DONE = "done"
    """All is through that was to be done."""
    DELETED = "deleted"
    """So it was, and nothing of it is on the disk any more."""


OPEN: Final = (
    StudyState.HELD,
    StudyState.RECEIVING,
    StudyState.WORKING,
    StudyState.SENDING,
    StudyState.PAUSED,
)
"""States that rows show; without any of them a study is done, or deleted. In their order."""


def study_state(shown: Collection[StudyState], here: bool) -> StudyState:
    """Return where a study stands.

    Parameters
    ----------
    shown : collection of StudyState
        Those of `OPEN` that its rows show.
    here : bool
        Whether a series of it was not deleted.
    """
    for state in OPEN:
        if state in shown:
            return state
    return StudyState.DONE if here else StudyState.DELETED
