"""The classifier: one encoder, five heads."""

from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from radnet.labels.vocabulary import Region
from radnet.network.encoder import CELL_SLICES, Encoder
from radnet.network.outputs import HEAD_SIZES, MR_COLUMNS
from radnet.network.presets import Preset


@dataclass(frozen=True)
class Heads:
    """What the classifier says; logits unless said otherwise."""

    sequence: Tensor  # (B, 6), of `MR_SEQUENCES`
    plane: Tensor  # (B, 3)
    contrast: Tensor  # (B, 2)
    log_spacing: Tensor  # (B,), natural logarithm of mm
    cells: Tensor  # (B, Z / 8, 9) coverage of each slab of eight slices


def scan_coverage(cells: Tensor, shown: Tensor) -> Tensor:
    """Return the coverage logits of the scan, (B, 9), from those of its cells: the maximum.

    What lies behind the end of a stack, where a longer one stands beside it, is not the scan:
    what is served (`radnet.inference.classifier`) is the maximum over the cells that show it.

    Parameters
    ----------
    cells : Tensor
        (B, cells, 9) logits.
    shown : Tensor
        (B,) how many of them show the scan; at least 1.

    Returns
    -------
    Tensor
        (B, 9) logits, in the order of `radnet.labels.vocabulary.Region`.
    """
    beyond = torch.arange(cells.shape[1], device=cells.device) >= shown[:, None]
    return cells.masked_fill(beyond[..., None], float("-inf")).amax(dim=1)


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

    def pooled(self, stack: Tensor) -> Tensor:
        """Return the mean in plane of the last feature map, (B, C, cells).

        Parameters
        ----------
        stack : Tensor
            (B, 1, Z, Y, X) float32; Z a multiple of 8.

        Returns
        -------
        Tensor
            (B, C, Z / 8) float32.
        """
        features: Tensor = self.encoder(stack)[-1].mean(dim=(3, 4))
        return features

    def answers(self, pooled: Tensor, cells: int) -> tuple[Tensor, Tensor]:
        """Return what `forward` returns, of features that are pooled.

        Parameters
        ----------
        pooled : Tensor
            (B, C, cells), as of `pooled`.
        cells : int
            Coverage cells to answer for; here as many as there are features.

        Returns
        -------
        tuple of Tensor
            As of `forward`.
        """
        del cells  # as many as there are features
        scan = self.scan(self.dropout(pooled.mean(dim=2)))
        return scan, self.coverage(self.dropout(pooled.transpose(1, 2)))

    def forward(self, stack: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, 13) scan outputs and (B, Z / 8, 9) coverage logits of (B, 1, Z, Y, X).

        Parameters
        ----------
        stack : Tensor
            (B, 1, Z, Y, X) float32 on the axial grid of `radnet.inference.preparation`; Z a
            multiple of 8.

        Returns
        -------
        tuple of Tensor
            Scan outputs (B, 13), which `split` names, and coverage logits (B, Z / 8, 9), a cell
            for every 8 slices.
        """
        return self.answers(self.pooled(stack), stack.shape[2] // CELL_SLICES)


class Pooling(Protocol):
    """A classifier whose features can be had before its heads; see `RadNet`."""

    def pooled(self, stack: Tensor) -> Tensor:
        """Return (B, C, cells) features of a stack."""

    def answers(self, pooled: Tensor, cells: int) -> tuple[Tensor, Tensor]:
        """Return the outputs of the heads."""


class WithFeatures(nn.Module):
    """A classifier that also returns the mean of its features, (B, C): `strangeness` asks."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, stack: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return scan outputs, coverage logits and features of (B, 1, Z, Y, X).

        Parameters
        ----------
        stack : Tensor
            (B, 1, Z, Y, X) float32, as of the network within.

        Returns
        -------
        tuple of Tensor
            Scan outputs (B, 13), coverage logits (B, Z / 8, 9) and features (B, C), the mean over
            the scan.
        """
        net = cast(Pooling, self.net)
        pooled = net.pooled(stack)
        scan, cells = net.answers(pooled, stack.shape[2] // CELL_SLICES)
        return scan, cells, pooled.mean(dim=2)


def split(scan: Tensor, cells: Tensor) -> Heads:
    """Name the columns of what `RadNet` returns.

    Parameters
    ----------
    scan : Tensor
        (B, 13) scan outputs.
    cells : Tensor
        (B, Z / 8, 9) coverage logits.

    Returns
    -------
    Heads
        Logits of MR sequence, plane and contrast, the spacing output (B,), and the cells.
    """
    sequence, plane, contrast, spacing = torch.split(scan, list(HEAD_SIZES), dim=1)
    return Heads(sequence[:, MR_COLUMNS], plane, contrast, spacing[:, 0], cells)
