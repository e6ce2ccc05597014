"""Whether the gradients of a training are numbers."""

import torch
from torch import nn


def finite(net: nn.Module) -> bool:
    """Return whether every gradient of `net` is a number."""
    found = [p.grad for p in net.parameters() if p.grad is not None]
    return bool(torch.stack([grad.isfinite().all() for grad in found]).all())
