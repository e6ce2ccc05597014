"""The training loop of both networks: by the clock or by steps, resumable after kill -9.

Batch number i depends on the seed and i alone, and so does what dropout drops in step i; a
training that was cut off goes on from its checkpoint as if nothing had happened. Under
``torchrun`` every rank has batches of its own, and rank 0 writes the checkpoint.
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final, Protocol, TypeVar

import torch
from torch import Tensor, nn

from radnet.errors import WeightsError
from radnet.training import ranks
from radnet.training.soundness import bf16_gradients_sound, finite

Batch = TypeVar("Batch")
WARM_UP: Final = 50  # steps
POWER: Final = 0.9  # of the polynomial decay of the learning rate
LARGEST_GRADIENT: Final = 5.0
CHECKPOINT_S: Final = 60.0
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


@dataclass(frozen=True)
class Progress:
    """Where a training stands."""

    step: int
    share: float  # of the steps or the time that were given
    loss: float
    skipped: int
    rate: float = 0.0  # the learning rate of the step


@dataclass
class State:
    """What a checkpoint holds beside network and optimizer."""

    step: int = 0
    skipped: int = 0
    seconds: float = 0.0
    loss: float = float("nan")  # of the last step


def optimise(
    net: nn.Module,
    batches: Callable[[int], Iterator[Batch]],
    loss_of: Callable[[nn.Module, Batch, bool], Tensor],
    plan: Plan,
    checkpoint: Path | None = None,
    hold: Callable[[], None] = lambda: None,
) -> Iterator[Progress]:
    """Train `net` as planned; yield after every step.

    When it is through, `net` holds the exponential mean of its weights over the last steps, which
    does better on strangers than the last step's.

    Parameters
    ----------
    batches
        Returns the endless batches from the one with the given number on.
    loss_of
        The loss of a batch; the flag says whether bf16 may be used.
    checkpoint
        Written every minute and at the end of the generator; taken up if it is there.
    hold
        Called after every ``train()``: puts frozen parts back into ``eval()``.

    Raises
    ------
    WeightsError
        If `checkpoint` is there and belongs to another plan or network.
    """
    rank = ranks.here()
    net.to(rank.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(net.parameters(), lr=plan.rate, weight_decay=plan.decay)
    half = ranks.half_precision() if rank.device.type == "cuda" else bf16_gradients_sound()
    mean = {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}
    state = _resume(checkpoint, net, optimizer, mean, plan) if checkpoint else State()
    net.train()
    hold()
    model = ranks.parallel(net)
    if state.step and _share(plan, state.step, state.seconds) >= 1:  # cut off after the last step
        net.load_state_dict(mean)
        yield Progress(state.step, 1.0, state.loss, state.skipped)
        return
    data = batches(state.step)
    begun, saved = time.monotonic() - state.seconds, time.monotonic()
    try:
        while (share := ranks.agreed(_share(plan, state.step, time.monotonic() - begun))) < 1:
            torch.manual_seed(rank.seed(plan.seed) * 1_000_003 + state.step)
            rate = plan.rate * min(1.0, (state.step + 1) / WARM_UP) * (1 - share) ** POWER
            for group in optimizer.param_groups:
                group["lr"] = rate
            net.train()
            hold()
            loss = loss_of(model, next(data), half)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if finite(net):
                nn.utils.clip_grad_norm_(net.parameters(), LARGEST_GRADIENT)
                optimizer.step()
            else:
                state.skipped += 1
            _average(mean, net, state.step)
            state.step += 1
            state.loss = float(loss.detach())
            state.seconds = time.monotonic() - begun
            if checkpoint and rank.first and time.monotonic() - saved > CHECKPOINT_S:
                saved = time.monotonic()
                _save(checkpoint, net, optimizer, mean, state, plan)
            yield Progress(state.step, share, state.loss, state.skipped, rate)
    finally:
        if checkpoint and rank.first and state.step:
            _save(checkpoint, net, optimizer, mean, state, plan)
    net.load_state_dict(mean)


def _share(plan: Plan, step: int, seconds: float) -> float:
    return step / plan.steps if plan.steps else seconds / (60 * plan.minutes)


def _average(mean: dict[str, Tensor], net: nn.Module, step: int) -> None:
    """Move `mean` a little towards the weights of `net`; fast in the first steps."""
    share = max(1 / AVERAGED_STEPS, 1 / (step + 1))
    for name, tensor in net.state_dict().items():
        if tensor.is_floating_point():
            mean[name].lerp_(tensor.detach(), share)  # exact where nothing changed
        else:
            mean[name].copy_(tensor)


def _identity(plan: Plan) -> dict[str, Any]:
    told = {"steps": plan.steps, "minutes": plan.minutes, "seed": plan.seed, "rate": plan.rate}
    return told | {"decay": plan.decay}


def _save(
    path: Path,
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    mean: dict[str, Tensor],
    state: State,
    plan: Plan,
) -> None:
    """Write a checkpoint; the file is whole and on disk, or is the one before."""
    fresh = path.with_suffix(".partial")
    content = {
        "net": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "mean": mean,
        "state": asdict(state),
        "plan": _identity(plan),
    }
    with fresh.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _resume(
    path: Path,
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    mean: dict[str, Tensor],
    plan: Plan,
) -> State:
    if not path.is_file():
        return State()
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content["plan"] != _identity(plan):
            raise WeightsError(
                f"{path.name}: a checkpoint of another plan ({content['plan']}, not "
                f"{_identity(plan)}); finish that training or delete the file"
            )
        net.load_state_dict(content["net"])
        optimizer.load_state_dict(content["optimizer"])
        for name, tensor in content["mean"].items():
            mean[name].copy_(tensor)
        return State(**content["state"])
    except (*UNREADABLE, OSError) as error:
        raise WeightsError(f"{path.name}: no checkpoint of this training ({error})") from error
