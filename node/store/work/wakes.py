"""Who looks for work of a kind is woken when this process has made some: no row tells at once."""

import threading
from collections.abc import Callable

from node.model.work import WorkKind


class Wakes:
    """One event for each kind; what waits for one clears it first, then looks.

    A look too many finds nothing; one too few would leave work until the next one that is made
    in any case.
    """

    def __init__(self) -> None:
        self._events = {kind: threading.Event() for kind in WorkKind}

    def event(self, kind: WorkKind) -> threading.Event:
        """Return what is set when there may be something to claim of a kind."""
        return self._events[kind]

    def wake(self, kind: WorkKind) -> Callable[[], None]:
        """Return what wakes the look at a kind: after a commit, or when there is room again."""
        return self._events[kind].set
