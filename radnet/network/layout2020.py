"""The network of 2020 as its authors described it, for a faithful comparison: `radnet50-2020`.

Written from the poster and from a description of the layout, not from code. Pre-activation
bottlenecks [3, 4, 6, 3] with a projection on the shortcut of every unit, max pooling between the
blocks, a dense layer of 1000 before the heads; the decoder mirrors the encoder. Slower than
`radnet50` for the same depth, since batch normalisation cannot be folded behind the additions.
"""

from typing import Final

import torch
from torch import Tensor, nn

from radnet.labels.vocabulary import Contrast, Plane, Region, Sequence

STEM: Final = 64
UNITS: Final = (3, 4, 6, 3)
WIDTHS: Final = (256, 512, 1024, 2048)
DECODER_UNITS: Final = (6, 4, 3)
DECODER_WIDTHS: Final = (1024, 512, 256)
DENSE: Final = 1000
SCAN_HEADS: Final = {
    "sequence": len(Sequence), "plane": len(Plane), "contrast": len(Contrast), "spacing": 1,
}  # fmt: skip
CELLS_A_POOL: Final = 2  # cells of eight slices in one of the last feature map


def _activated(channels: int, convolution: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm3d(channels), nn.ReLU(), convolution)


class ConvolutionUnit(nn.Module):
    """BN-ReLU-1x1x1, BN-ReLU-3x3x3, BN-ReLU-1x1x1 beside a projected shortcut.

    Parameters
    ----------
    shortcut
        Channels that the shortcut takes, the first ones of the input; all where None.
    """

    def __init__(self, incoming: int, outgoing: int, shortcut: int | None = None) -> None:
        super().__init__()
        inner = outgoing // 4
        self.taken = shortcut or incoming
        self.body = nn.Sequential(
            _activated(incoming, nn.Conv3d(incoming, inner, 1)),
            _activated(inner, nn.Conv3d(inner, inner, 3, padding=1)),
            _activated(inner, nn.Conv3d(inner, outgoing, 1)),
        )
        self.project = _activated(self.taken, nn.Conv3d(self.taken, outgoing, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, outgoing, Z, Y, X)."""
        out: Tensor = self.body(features) + self.project(features[:, : self.taken])
        return out


def _block(units: int, incoming: int, outgoing: int, shortcut: int | None = None) -> nn.Sequential:
    first = ConvolutionUnit(incoming, outgoing, shortcut)
    return nn.Sequential(first, *(ConvolutionUnit(outgoing, outgoing) for _ in range(units - 1)))


class Encoder2020(nn.Module):
    """Stem and four blocks; strides 1,2,2 then 2,4,4 / 4,8,8 / 8,16,16 / 16,32,32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(1, STEM, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3)),
            nn.BatchNorm3d(STEM),
            nn.ReLU(),
        )
        self.pool = nn.MaxPool3d(2, ceil_mode=True)  # the last slices of an odd stack count
        incoming = (STEM, *WIDTHS[:-1])
        self.stages = nn.ModuleList(
            _block(units, before, width)
            for units, before, width in zip(UNITS, incoming, WIDTHS, strict=True)
        )

    def forward(self, stack: Tensor) -> list[Tensor]:
        """Return the five feature maps of (B, 1, Z, Y, X); Y and X multiples of 32."""
        maps = [self.stem(stack)]
        for block in self.stages:
            maps.append(block(self.pool(maps[-1])))
        return maps


class RadNet2020(nn.Module):
    """The classifier: average, a dense layer, five heads.

    What differs from the released network so that both learn and are scored alike: our seven
    sequences, and the coverage is read for every sixteen slices instead of once for a window.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder2020()
        self.tail = nn.Sequential(nn.BatchNorm3d(WIDTHS[-1]), nn.ReLU())
        self.dense = nn.Sequential(nn.Linear(WIDTHS[-1], DENSE), nn.ReLU())
        self.scan = nn.ModuleDict(
            {name: nn.Linear(DENSE, size) for name, size in SCAN_HEADS.items()}
        )
        self.coverage = nn.Linear(DENSE, len(Region))

    def pooled(self, stack: Tensor) -> Tensor:
        """Return the mean in plane of the last feature map, (B, C, pools).

        Parameters
        ----------
        stack : Tensor
            (B, 1, Z, Y, X) float32, prepared as for the 2020 network.

        Returns
        -------
        Tensor
            (B, C, pools) float32.
        """
        features: Tensor = self.tail(self.encoder(stack)[-1]).mean(dim=(3, 4))
        return features

    def answers(self, pooled: Tensor, cells: int) -> tuple[Tensor, Tensor]:
        """Return what `forward` returns, of features that are pooled.

        Parameters
        ----------
        pooled : Tensor
            (B, C, pools), as of `pooled`.
        cells : int
            Coverage cells to answer for: Z / 8.

        Returns
        -------
        tuple of Tensor
            As of `forward`.
        """
        whole = self.dense(pooled.mean(dim=2))
        scan = torch.cat([head(whole) for head in self.scan.values()], dim=1)
        pools = self.coverage(self.dense(pooled.transpose(1, 2)))
        spread = pools[:, :, None].expand(-1, -1, CELLS_A_POOL, -1).flatten(1, 2)
        return scan, spread[:, :cells]

    def forward(self, stack: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `radnet.network.heads.RadNet` returns: (B, 13) and (B, Z / 8, 9).

        Parameters
        ----------
        stack : Tensor
            (B, 1, Z, Y, X) float32; Z a multiple of 8.

        Returns
        -------
        tuple of Tensor
            Scan outputs (B, 13) and coverage logits (B, Z / 8, 9).
        """
        return self.answers(self.pooled(stack), stack.shape[2] // 8)


class LiverNet2020(nn.Module):
    """The segmenter: nearest-neighbour enlargement, skips, bottlenecks."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder2020()
        self.enlarge = nn.Upsample(scale_factor=2, mode="nearest")
        incoming = (WIDTHS[-1], *DECODER_WIDTHS[:-1])
        skips = (WIDTHS[2], WIDTHS[1], WIDTHS[0])
        self.blocks = nn.ModuleList(
            _block(units, before + skip, width, shortcut=before)
            for units, before, skip, width in zip(
                DECODER_UNITS, incoming, skips, DECODER_WIDTHS, strict=True
            )
        )
        last = DECODER_WIDTHS[-1] + STEM
        self.last = nn.Sequential(
            nn.ConvTranspose3d(last, 64, 3, stride=(1, 2, 2), padding=1, output_padding=(0, 1, 1)),
            nn.Conv3d(64, 64, 3, padding=1),
            nn.BatchNorm3d(64),
            nn.ReLU(),
            nn.Conv3d(64, 1, 1),
        )

    def forward(self, stack: Tensor) -> Tensor:
        """Return logits (B, 1, Z, Y, X) of (B, 1, Z, Y, X).

        Parameters
        ----------
        stack : Tensor
            (B, 1, Z, Y, X) float32, prepared as for `radnet.network.decoder.LiverNet`.

        Returns
        -------
        Tensor
            Logits of the same shape; above 0 is liver.
        """
        stem, *skips, features = self.encoder(stack)
        for block, skip in zip(self.blocks, reversed(skips), strict=True):
            features = block(torch.cat([self.enlarge(features), skip], dim=1))
        logits: Tensor = self.last(torch.cat([self.enlarge(features), stem], dim=1))
        return logits
