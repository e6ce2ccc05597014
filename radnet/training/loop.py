"""The training loop of both networks: by the clock or by steps, resumable after kill -9.

Batch number i depends on the seed and i alone, and so does what dropout drops in step i; a
training that was cut off goes on from its checkpoint as if nothing had happened. Under
``torchrun`` every rank has batches of its own, and rank 0 writes the checkpoint.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

import torch
from torch import Tensor, nn

from radnet.training import arithmetic, ranks
from radnet.training.arithmetic import Arithmetic
from radnet.training.checkpoint import Plan, State, Training

Batch = TypeVar("Batch")
WARM_UP: Final = 50  # steps
POWER: Final = 0.9  # of the polynomial decay of the learning rate
LARGEST_GRADIENT: Final = 5.0
CHECKPOINT_S: Final = 60.0


@dataclass(frozen=True)
class Progress:
    """Where a training stands."""

    step: int
    share: float  # of the steps or the time that were given
    loss: float
    skipped: int
    arithmetic: Arithmetic
    rate: float = 0.0  # the learning rate of the step
    first_loss: float = float("nan")  # where the loss began
    cost: float = float("nan")  # of the mean weights on development scans, where measured now
    kept_step: int = 0  # whose mean weights cost least so far; 0: none was measured


@dataclass(frozen=True)
class Hooks:
    """What happens in a training beside its steps.

    Attributes
    ----------
    hold
        Called after every ``train()``: puts frozen parts back into ``eval()``.
    cost_of
        What a network costs on development scans: the less the better. None: there are none.
    """

    hold: Callable[[], None] = lambda: None
    cost_of: Callable[[nn.Module], float] | None = None


def optimise(
    net: nn.Module,
    batches: Callable[[int], Iterator[Batch]],
    loss_of: Callable[[nn.Module, Batch, bool], Tensor],
    plan: Plan,
    checkpoint: Path | None = None,
    hooks: Hooks = Hooks(),
) -> Iterator[Progress]:
    """Train `net` as planned; yield after every step.

    When it is through, `net` holds the exponential mean of its weights over the last steps, which
    does better on strangers than the last step's; with a hook `cost_of` the mean, of `WEIGHED` on
    the way, that costs least.

    Parameters
    ----------
    batches
        Returns the endless batches from the one with the given number on.
    loss_of
        The loss of a batch; the flag says whether bf16 may be used.
    checkpoint
        Written every minute and at the end of the generator; taken up if it is there.
    hooks
        What else happens on the way.

    Raises
    ------
    WeightsError
        If `checkpoint` is there and belongs to another plan, other data or another network.
    """
    rank = ranks.here()
    net.to(rank.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(net.parameters(), lr=plan.rate, weight_decay=plan.decay)
    training = Training(net, optimizer, plan, checkpoint)
    state = training.resume()
    computed = arithmetic.settled(state.precision)
    state.precision = computed.precision
    net.train()
    hooks.hold()
    model = ranks.parallel(net)
    if state.step and _share(plan, state.step, state.seconds) >= 1:  # cut off after the last step
        training.finish()
        yield _progress(state, 1.0, computed)
        return
    data = batches(state.step)
    begun, saved = time.monotonic() - state.seconds, time.monotonic()
    try:
        while (share := ranks.agreed(_share(plan, state.step, time.monotonic() - begun))) < 1:
            torch.manual_seed(rank.seed(plan.seed) * 1_000_003 + state.step)
            net.train()
            hooks.hold()
            rate = _rate(plan, state.step, share)
            loss = loss_of(model, next(data), computed.half)
            learned = _learned(net, optimizer, loss, rate)
            training.average()
            state.count(float(loss.detach()), learned, time.monotonic() - begun)
            cost = math.nan
            if hooks.cost_of and rank.first:
                cost = training.weigh(hooks.cost_of, _share(plan, state.step, state.seconds))
            if rank.first and time.monotonic() - saved > CHECKPOINT_S:
                saved = time.monotonic()
                training.save()
            yield replace(_progress(state, share, computed, rate), cost=cost)
    finally:
        if rank.first and state.step:
            training.save()
    training.finish()


def _progress(state: State, share: float, computed: Arithmetic, rate: float = 0.0) -> Progress:
    told = state.loss, state.skipped, computed, rate, state.first_loss
    return Progress(state.step, share, *told, kept_step=state.kept_step)


def _rate(plan: Plan, step: int, share: float) -> float:
    """Return the learning rate of a step: it warms up, then falls to 0 as the share grows."""
    fallen: float = (1 - share) ** POWER
    return plan.rate * min(1.0, (step + 1) / WARM_UP) * fallen


def _learned(net: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor, rate: float) -> bool:
    """Take a step down the gradient; tell whether every gradient was a number."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if not nn.utils.clip_grad_norm_(net.parameters(), LARGEST_GRADIENT).isfinite():
        return False
    optimizer.step()
    return True


def _share(plan: Plan, step: int, seconds: float) -> float:
    return step / plan.steps if plan.steps else seconds / (60 * plan.minutes)
