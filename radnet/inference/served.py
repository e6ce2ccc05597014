"""What serves: weights that can be run, whatever runs them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from radnet.errors import RadnetError
from radnet.inference.runtime import Precision, Runtime

Task = Literal["classifier", "liver"]


class GateRefusedError(RadnetError):
    """A network for another runtime does not say what the trained one says."""


@dataclass(frozen=True)
class Served:
    """Weights that can be run.

    Attributes
    ----------
    run
        The network.
    record
        How the weights were made; see `radnet.network.weights_file`.
    digest
        SHA-256 of the weights file.
    remarks
        What somebody should know of how they are run, in words.
    """

    run: Runtime
    record: dict[str, Any]
    digest: str
    remarks: tuple[str, ...] = ()


Serve = Callable[[Task, Path, Precision], Served]
"""Makes weights of a task ready to run."""
