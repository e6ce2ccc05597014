"""In which precision this machine trains: the processor is asked, then both are measured.

bf16 is trained in only where three things hold: the hardware computes it itself (elsewhere torch
imitates it, five times slower than f32 on a processor with AVX2 alone), its gradients agree with
those of f32 (torch 2.13 on CPUs with avx512_bf16 returns garbage, without a word, for the weight
gradient of a bf16 Conv3d whose input is two slices deep), and a convolution is faster in it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

import torch
from torch import nn

from radnet.inference.runtime import best_precision
from radnet.training import ranks

TrainedPrecision = Literal["f32", "bf16"]
TOLERANCE: Final = 0.05  # of the norm of a gradient
DEPTHS: Final = (3, 4, 6, 8)  # slices; what the encoder's deeper blocks see
MEASURED: Final = (1, 32, 12, 48, 48)  # the stack whose convolution is timed
ROUNDS: Final = 3


@dataclass(frozen=True)
class Arithmetic:
    """The precision of a training, and why.

    Attributes
    ----------
    precision : {"f32", "bf16"}
    because : str
        For the weights' record.
    f32_s, bf16_s : float or None
        Seconds for one convolution forward and backward; None where nothing was measured.
    """

    precision: TrainedPrecision
    because: str
    f32_s: float | None = None
    bf16_s: float | None = None

    @property
    def half(self) -> bool:
        """Whether to train in bf16."""
        return self.precision == "bf16"


def choose(
    in_hardware: bool, sound: Callable[[], bool], seconds: Callable[[TrainedPrecision], float]
) -> Arithmetic:
    """Return the faster precision that can be trusted; nothing is measured in vain.

    Parameters
    ----------
    in_hardware
        Whether the processor computes bf16 itself.
    sound
        Whether its gradients agree with those of f32.
    seconds
        Measures one step in a precision.
    """
    if not in_hardware:
        return Arithmetic("f32", "this processor has no bf16 of its own")
    if not sound():
        return Arithmetic("f32", "gradients in bf16 do not agree with those in f32 here")
    exact, half = seconds("f32"), seconds("bf16")
    if half < exact:
        return Arithmetic("bf16", "a convolution is faster in it", exact, half)
    return Arithmetic("f32", "a convolution is no faster in bf16", exact, half)


@cache
def of_this_machine() -> Arithmetic:
    """Return the precision to train in, measured once in a process."""
    if torch.cuda.is_available():
        # Older GPUs imitate bf16, slowly.
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return Arithmetic("bf16", "this GPU computes it itself")
        return Arithmetic("f32", "this GPU has no bf16 of its own")
    if not torch.backends.mkldnn.is_available():
        return Arithmetic("f32", "torch has no oneDNN here")
    with torch.random.fork_rng(devices=[]):  # to measure leaves the choices of chance alone
        return choose(best_precision() == "bf16", bf16_gradients_sound, convolution_seconds)


def settled(begun: str) -> Arithmetic:
    """Return the precision of a training, the same on every rank.

    Parameters
    ----------
    begun
        The precision that its checkpoint was written in; "" where it begins now. It goes on in
        the same one, so that a training that was cut off ends as one that was not.
    """
    here = of_this_machine()
    if begun == "f32" and here.half:
        here = Arithmetic("f32", "the training began in it")
    elif begun == "bf16" and not here.half:
        here = Arithmetic("f32", f"{here.because}; the training began in bf16, elsewhere")
    if ranks.agreed(float(here.half)) == float(here.half):
        return here
    other: TrainedPrecision = "f32" if here.half else "bf16"
    return Arithmetic(other, "rank 0 measured so")


def bf16_gradients_sound(depths: tuple[int, ...] = DEPTHS) -> bool:
    """Return whether bf16 gradients of a Conv3d agree with those of f32 at these depths."""
    torch.manual_seed(0)
    layer = nn.Conv3d(64, 64, 3, padding=1, bias=False)
    for depth in depths:
        stack = torch.randn(2, 64, depth, 6, 6)
        exact, rounded = (weight_gradient(layer, stack, half) for half in (False, True))
        if not (exact - rounded).norm() <= TOLERANCE * exact.norm():
            return False
    return True


def convolution_seconds(precision: TrainedPrecision) -> float:
    """Return the least of a few times in seconds that a Conv3d takes, forward and backward."""
    stack = torch.zeros(MEASURED)
    layer = nn.Conv3d(MEASURED[1], MEASURED[1], 3, padding=1, bias=False)
    taken = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        weight_gradient(layer, stack, precision == "bf16")
        taken.append(time.perf_counter() - begun)
    return min(taken)


def weight_gradient(layer: nn.Conv3d, stack: torch.Tensor, half: bool) -> torch.Tensor:
    """Return the gradient of a layer's weights for the mean square of what it makes of a stack."""
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        out = layer(stack).float()
    (gradient,) = torch.autograd.grad(out.square().mean(), layer.weight)
    return gradient
