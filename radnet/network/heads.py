"""The classifier: one encoder, five heads."""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from radnet.labels.vocabulary import Contrast, Plane, Region, Sequence
from radnet.network.encoder import Encoder
from radnet.network.presets import Preset

HEAD_SIZES: Final = (len(Sequence), len(Plane), len(Contrast), 1)


@dataclass(frozen=True)
class Heads:
    """What the classifier says; logits unless said otherwise."""

    sequence: Tensor  # (B, 7)
    plane: Tensor  # (B, 3)
    contrast: Tensor  # (B, 2)
    log_spacing: Tensor  # (B,), natural logarithm of mm
    cells: Tensor  # (B, Z / 8, 9) coverage of each slab of eight slices


def scan_coverage(cells: Tensor) -> Tensor:
    """Return the coverage logits of the scan, (B, 9), from those of its cells: the maximum."""
    return cells.amax(dim=1)


class RadNet(nn.Module):
    """Sequence, plane, contrast, spacing and coverage of one stack of slices.

    Global mean and a linear layer for what is true of the whole scan; for the coverage the mean
    is taken in plane only, so that one pass over a stack of any length says where each region
    lies.
    """

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.encoder = Encoder(preset)
        width = preset.channels[-1]
        self.dropout = nn.Dropout(0.2)
        self.scan = nn.Linear(width, sum(HEAD_SIZES))
        self.coverage = nn.Linear(width, len(Region))

    def forward(self, stack: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, 13) scan outputs and (B, Z / 8, 9) coverage logits of (B, 1, Z, Y, X)."""
        features = self.encoder(stack)[-1].mean(dim=(3, 4))  # (B, C, cells)
        scan = self.scan(self.dropout(features.mean(dim=2)))
        cells = self.coverage(self.dropout(features.transpose(1, 2)))
        return scan, cells


def split(scan: Tensor, cells: Tensor) -> Heads:
    """Name the columns of what `RadNet` returns."""
    sequence, plane, contrast, spacing = torch.split(scan, list(HEAD_SIZES), dim=1)
    return Heads(sequence, plane, contrast, spacing[:, 0], cells)
