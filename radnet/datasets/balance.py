"""Class weights: what is rare in the data counts more in the loss, within bounds."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from radnet.labels.vocabulary import MR_SEQUENCES, Contrast, Plane, Region

LEAST, MOST = 0.3, 3.0
SIZES: Final = {
    "sequence": len(MR_SEQUENCES),
    "plane": len(Plane),
    "contrast": len(Contrast),
}


@dataclass(frozen=True)
class Balance:
    """Weights of the classes of each head, and of a region that is covered."""

    sequence: Tensor  # (6,), of `MR_SEQUENCES`
    plane: Tensor  # (3,)
    contrast: Tensor  # (2,)
    covered: Tensor  # (9,)

    def to(self, device: torch.device) -> "Balance":
        """Return the weights on `device`."""
        return Balance(
            self.sequence.to(device),
            self.plane.to(device),
            self.contrast.to(device),
            self.covered.to(device),
        )


EVEN: Final = Balance(
    torch.ones(SIZES["sequence"]),
    torch.ones(SIZES["plane"]),
    torch.ones(SIZES["contrast"]),
    torch.ones(len(Region)),
)


def balance(truths: dict[str, NDArray[np.float32]]) -> Balance:
    """Return weights from the labels of all training series; -1 is unknown.

    The square root of the inverse frequency: a class ten times as rare counts about three times
    as much. A class that does not occur, and what nobody knows, has weight 1.
    """
    heads = []
    for name, size in SIZES.items():
        known = truths[name][truths[name] >= 0].astype(np.int64)
        counts = np.bincount(known, minlength=size)
        seen = counts > 0
        wanted = np.ones(size)
        if seen.any():
            wanted[seen] = np.sqrt(counts[seen].mean() / counts[seen])
        heads.append(_bounded(wanted))
    covered = (truths["scan"] == 1).sum(axis=0)
    absent = (truths["scan"] == 0).sum(axis=0)
    both = (covered > 0) & (absent > 0)
    ratio = np.sqrt(np.where(both, absent, 1) / np.where(both, covered, 1))
    sequence, plane, contrast = heads
    return Balance(sequence, plane, contrast, _bounded(ratio))


def _bounded(weights: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.clip(weights, LEAST, MOST).astype(np.float32))
