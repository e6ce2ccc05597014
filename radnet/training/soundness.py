"""Is the arithmetic of this machine to be trusted: checked before and while training.

torch 2.13 on CPUs with avx512_bf16 returns garbage for the weight gradient of a bf16 Conv3d
whose input is two slices deep, without a word.
"""

import torch
from torch import nn

TOLERANCE = 0.05


def bf16_gradients_sound(depths: tuple[int, ...] = (3, 4, 6, 8)) -> bool:
    """Return whether bf16 gradients agree with fp32 ones, and bf16 is fast here at all."""
    if not torch.backends.mkldnn.is_available():
        return False
    torch.manual_seed(0)
    layer = nn.Conv3d(64, 64, 3, padding=1, bias=False)
    for depth in depths:
        stack = torch.randn(2, 64, depth, 6, 6)
        gradients = []
        for half in (False, True):
            layer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                out = layer(stack).float()
            out.square().mean().backward()
            assert layer.weight.grad is not None  # noqa: S101 (set by backward)
            gradients.append(layer.weight.grad.clone())
        exact, rounded = gradients
        if not (exact - rounded).norm() <= TOLERANCE * exact.norm():
            return False
    return True


def finite(net: nn.Module) -> bool:
    """Return whether every gradient of `net` is a number."""
    found = [p.grad for p in net.parameters() if p.grad is not None]
    return bool(torch.stack([grad.isfinite().all() for grad in found]).all())
