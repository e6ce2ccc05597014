"""Everything a training is made of, on disk so that it goes on after kill -9."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final, Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from radnet.errors import WeightsError
from radnet.inference.preparation import PREPARED

FIRST: Final = 10  # steps whose mean loss tells where a training began
WEIGHED: Final = 20  # times in a training, evenly, where there are scans to choose the weights by
AVERAGED_STEPS: Final = 200  # the final weights are a mean over about so many
UNREADABLE: Final = (
    RuntimeError, KeyError, TypeError, ValueError, EOFError, UnpicklingError,
)  # fmt: skip


class Plan(Protocol):
    """What the loop needs to know; `steps` counts where it is not 0, else `minutes`."""

    @property
    def minutes(self) -> float:
        """Return the time for the steps, in minutes."""

    @property
    def steps(self) -> int:
        """Return the number of steps, 0 where the clock decides."""

    @property
    def seed(self) -> int:
        """Return what drives every random choice."""

    @property
    def rate(self) -> float:
        """Return the highest learning rate."""

    @property
    def decay(self) -> float:
        """Return the weight decay."""

    @property
    def sources(self) -> Mapping[str, str]:
        """Return what is learned from: a fingerprint for each option that names something."""


@dataclass
class State:
    """What a checkpoint holds beside network and optimizer."""

    step: int = 0
    skipped: int = 0
    seconds: float = 0.0
    loss: float = float("nan")  # of the last step
    first_loss: float = float("nan")  # mean over the first `FIRST` steps
    precision: str = ""  # that the steps were computed in; "": it was not kept
    weighed: int = 0  # how often the mean was measured on development scans
    cost: float = float("nan")  # the least that was found; nan: never measured
    kept_step: int = 0  # where it was found

    def count(self, loss: float, learned: bool, seconds: float) -> None:
        """Count a step; one that was not `learned` from is skipped."""
        if self.step < FIRST:
            self.first_loss = (
                (self.first_loss * self.step + loss) / (self.step + 1) if self.step else loss
            )
        self.step += 1
        self.skipped += not learned
        self.loss = loss
        self.seconds = seconds


def _moved(mean: Tensor, weights: Tensor, steps: Tensor | int) -> Tensor:
    """Return the mean after another step; exact where nothing changed. A count has no mean."""
    if not mean.is_floating_point():
        return weights
    return mean.lerp(weights, max(1 / AVERAGED_STEPS, 1 / (int(steps) + 1)))


class Training:
    """Network, optimizer, the mean of the weights and where it all stands.

    Parameters
    ----------
    net, optimizer, plan
        What is trained, and how.
    path
        Of the checkpoint; None: nothing is kept.
    """

    def __init__(
        self, net: nn.Module, optimizer: torch.optim.Optimizer, plan: Plan, path: Path | None
    ) -> None:
        self._net = net
        self._optimizer = optimizer
        self._plan = plan
        self._path = path
        self._mean = AveragedModel(net, avg_fn=_moved, use_buffers=True)
        self._best: dict[str, Tensor] | None = None
        self.state = State()

    def resume(self) -> State:
        """Take up the checkpoint, if there is one, and return where it stands.

        Raises
        ------
        WeightsError
            If it belongs to another plan, other data or another network, or cannot be read.
        """
        if self._path is None or not self._path.is_file():
            return self.state
        try:
            content = torch.load(self._path, map_location="cpu", weights_only=True)
            if content["plan"] != self._identity():
                raise WeightsError(
                    f"{self._path.name}: a checkpoint of another plan ({content['plan']}, not "
                    f"{self._identity()}); finish that training or delete the file"
                )
            # A checkpoint of an early version does not tell its sources, and learned from scans
            # as they were prepared then.
            untold = {**self._plan.sources, PREPARED: ""}
            self._refuse_other_sources(content.get("sources", untold))
            self._net.load_state_dict(content["net"])
            self._optimizer.load_state_dict(content["optimizer"])
            self._mean.module.load_state_dict(content["mean"])
            self._best = content.get("best")
            self.state = State(**content["state"])
            self._mean.n_averaged.fill_(self.state.step)
        except (*UNREADABLE, OSError) as error:
            raise WeightsError(
                f"{self._path.name}: no checkpoint of this training ({error})"
            ) from error
        return self.state

    def average(self) -> None:
        """Move the mean a little towards the weights; fast in the first steps."""
        self._mean.update_parameters(self._net)

    def weigh(self, cost_of: Callable[[nn.Module], float], share: float) -> float:
        """Return what the mean of the last weights costs; keep it where none costs less.

        Parameters
        ----------
        cost_of
            Takes a network; what it returns is the better the less it is.
        share
            Of the steps or the time that were given; the mean is measured `WEIGHED` times on the
            way.

        Returns
        -------
        float
            nan: it is not time to measure.
        """
        mark = int(WEIGHED * min(1.0, share))
        if mark <= self.state.weighed:
            return math.nan
        cost = cost_of(self._mean.module)
        if math.isfinite(cost) and not self.state.cost <= cost:
            self.state.cost, self.state.kept_step = cost, self.state.step
            mean = self._mean.module.state_dict()
            self._best = {name: tensor.detach().clone() for name, tensor in mean.items()}
        self.state.weighed = mark
        return cost

    def save(self) -> None:
        """Write the checkpoint; the file is whole and on disk, or is the one before."""
        if self._path is None:
            return
        fresh = self._path.with_suffix(".partial")
        content = {
            "net": self._net.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "mean": self._mean.module.state_dict(),
            "best": self._best,
            "state": asdict(self.state),
            "plan": self._identity(),
            "sources": dict(self._plan.sources),
        }
        with fresh.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)

    def finish(self) -> None:
        """Put the mean of the weights into the network: the best that was found, else the last."""
        self._net.load_state_dict(self._best or self._mean.module.state_dict())

    def _refuse_other_sources(self, found: Mapping[str, str]) -> None:
        """Refuse to go on with anything but what the training began with."""
        expected = self._plan.sources
        other = [
            f"{option} was {found.get(option) or 'not given'}, now it is "
            f"{expected.get(option) or 'not given'}"
            for option in sorted({*found, *expected})
            if found.get(option, "") != expected.get(option, "")
        ]
        if other:
            assert self._path is not None  # noqa: S101 (it was read)
            raise WeightsError(
                f"{self._path.name}: a checkpoint of a training from something else "
                f"({'; '.join(other)}); finish that training as it began, give another --out or "
                "delete the file"
            )

    def _identity(self) -> dict[str, Any]:
        plan = self._plan
        told = {"steps": plan.steps, "minutes": plan.minutes, "seed": plan.seed, "rate": plan.rate}
        return told | {"decay": plan.decay}
