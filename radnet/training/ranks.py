"""Several processes that train one network, as ``torchrun`` starts them.

Each process is a rank with its own device and its own batches; gradients are averaged after
every step, so that all hold the same weights. A process alone is rank 0 of 1. NCCL between
GPUs, gloo between CPUs.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

SEED_STEP: Final = 7_919  # between the seeds of neighbouring ranks
# A rank that died is told by torchrun, which ends the others; preparing an archive takes long.
PATIENCE: Final = timedelta(hours=24)


@dataclass(frozen=True)
class Rank:
    """Which of the processes this is."""

    number: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.number == 0

    def seed(self, seed: int) -> int:
        """Return what drives the random choices of this rank alone; rank 0 keeps `seed`."""
        return seed + SEED_STEP * self.number


def here() -> Rank:
    """Return the rank of this process, by the variables that ``torchrun`` sets."""
    number, world, local = (
        int(os.environ.get(name, default))
        for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))
    )
    cuda = torch.cuda.is_available()
    return Rank(number, world, torch.device(f"cuda:{local}" if cuda else "cpu"))


@contextmanager
def joined() -> Iterator[Rank]:
    """Join the other processes of this training, if there are any, for a ``with`` block."""
    rank = here()
    if rank.world == 1:
        yield rank
        return
    if rank.device.type == "cuda":
        torch.cuda.set_device(rank.device)
    dist.init_process_group("nccl" if rank.device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield rank
    finally:
        dist.destroy_process_group()


def together() -> bool:
    """Return whether this process has joined others."""
    return dist.is_initialized() and dist.get_world_size() > 1


def parallel(net: nn.Module) -> nn.Module:
    """Return `net` so that a backward pass averages its gradients over all ranks.

    The weights of rank 0 are given to the others here, and its running statistics of batch
    normalisation at every forward pass. Frozen parameters must be frozen already.
    """
    return DistributedDataParallel(net) if together() else net


def agreed(value: float) -> float:
    """Return the `value` of rank 0: clocks differ, and a rank that stops alone stalls the rest."""
    if not together():
        return value
    told = torch.tensor([value], dtype=torch.float64, device=here().device)
    dist.broadcast(told, src=0)
    return float(told)


def wait_for_all() -> None:
    """Wait until every rank has come here."""
    if together():
        dist.barrier()
