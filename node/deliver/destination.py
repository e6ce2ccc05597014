"""What every destination is to the pipeline, and the words it answers with."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

State = Literal["delivered", "retry", "refused"]

Wanted = Callable[[str], bool]
"""Tells of a SOP Instance UID whether it is still to be sent; asked right before it is."""


Prepared = Callable[[Path], AbstractContextManager[Path]]
"""Lends, of a stored file, the one that is sent; raises OSError where that cannot be made now."""


def everything(_sop_instance_uid: str) -> bool:
    """Want every instance."""
    return True


@dataclass(frozen=True)
class OutboundInstance:
    """A stored instance on its way out.

    Attributes
    ----------
    sop_instance_uid, sop_class_uid, transfer_syntax_uid : str
        As stored.
    path : Path
        Absolute path of its Part 10 file.
    attempts : int
        How often it has failed: whoever sends several in one request sends it alone then.
    prepared : callable
        Makes of the stored file what is sent; by default that is the file itself.
    """

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    path: Path
    attempts: int = 0
    prepared: Prepared = nullcontext

    def file(self) -> AbstractContextManager[Path]:
        """Lend the file that is sent; it may be gone afterwards.

        Returns
        -------
        context manager of Path
            A Part 10 file in the same transfer syntax, of the same instance. To enter it raises
            OSError where it cannot be made now.
        """
        return self.prepared(self.path)


@dataclass(frozen=True)
class Outcome:
    """What became of one instance.

    Attributes
    ----------
    sop_instance_uid : str
    state : {"delivered", "retry", "refused"}
        ``retry``: it may be taken later. ``refused``: sending the same again will not help.
    reason : str
        Why not, or the warning it was delivered with; no patient data.
    tried : bool
        False where the attempt ended before it came to this instance.
    blamed : bool
        True where the destination is there, and it is this instance that it does not bear: its
        failure says nothing of the destination.
    """

    sop_instance_uid: str
    state: State
    reason: str = ""
    tried: bool = True
    blamed: bool = False


def untried(instances: Iterable[OutboundInstance], reason: str) -> Iterator[Outcome]:
    """Yield the outcomes of instances that an attempt never came to."""
    return (
        Outcome(instance.sop_instance_uid, "retry", reason, tried=False) for instance in instances
    )


class Destination(Protocol):
    """Where instances go."""

    @property
    def name(self) -> str:
        """The name the settings give it."""

    def send(
        self, instances: Sequence[OutboundInstance], wanted: Wanted = everything
    ) -> Iterator[Outcome]:
        """Send instances; yield one outcome for each as it becomes known.

        One that is no longer wanted when its turn comes is left out, without an outcome.
        Trouble with an instance or with the destination is an outcome, never an exception.
        Sending again what the destination has is harmless.

        Parameters
        ----------
        instances : sequence of OutboundInstance
            Of one batch; the files are read when their turn comes.
        wanted : callable
            Asked right before an instance is sent, by its SOP Instance UID.

        Yields
        ------
        Outcome
            Delivered, refused for good, or to be tried again, with the reason.
        """

    def check(self) -> str:
        """Ask the destination whether it is there; return what it said of itself.

        Raises
        ------
        TransientDeliveryError
            If it cannot be reached now.
        PermanentDeliveryError
            If it is there and will not have us.
        """


@runtime_checkable
class TaggingDestination(Destination, Protocol):
    """A destination that keeps findings beside the images without altering them."""

    def tag(
        self,
        study_uid: str,
        series_uid: str,
        findings: Mapping[str, str],
        labels: Sequence[str],
    ) -> None:
        """Attach findings and labels to a series it holds; idempotent.

        Parameters
        ----------
        study_uid : str
            Study Instance UID.
        series_uid : str
            Series Instance UID.
        findings : mapping of str to str
            Texts by the name of the finding, as `node.classify.tags` makes them.
        labels : sequence of str
            Letters, digits, ``-`` and ``_``; without the destination's prefix.

        Raises
        ------
        TransientDeliveryError
            If it cannot be reached, or does not hold the series (yet).
        PermanentDeliveryError
            If it refuses.
        """
