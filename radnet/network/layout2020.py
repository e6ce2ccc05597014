"""The network of 2020 as its authors described it, for a faithful comparison: `radnet50-2020`.

Written from the poster and from a description of the layout, not from code. Pre-activation
bottlenecks [3, 4, 6, 3] with a projection on the shortcut of every unit, max pooling between the
blocks, a dense layer of 1000 before the heads; the decoder mirrors the encoder. Slower than
`radnet50` for the same depth, since batch normalisation cannot be folded behind the additions.
"""

from typing import Final

import torch
from torch import Tensor, nn

STEM: Final = 64
UNITS: Final = (3, 4, 6, 3)
WIDTHS: Final = (256, 512, 1024, 2048)
DECODER_UNITS: Final = (6, 4, 3)
DECODER_WIDTHS: Final = (1024, 512, 256)
DENSE: Final = 1000
HEADS: Final = {"sequence": 5, "plane": 3, "contrast": 2, "coverage": 9, "spacing": 1}
WINDOW: Final = (48, 192, 192)


def _activated(channels: int, convolution: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm3d(channels), nn.ReLU(), convolution)


class Unit(nn.Module):
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
    first = Unit(incoming, outgoing, shortcut)
    return nn.Sequential(first, *(Unit(outgoing, outgoing) for _ in range(units - 1)))


class Encoder2020(nn.Module):
    """Stem and four blocks; strides 1,2,2 then 2,4,4 / 4,8,8 / 8,16,16 / 16,32,32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(1, STEM, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3)),
            nn.BatchNorm3d(STEM),
            nn.ReLU(),
        )
        self.pool = nn.MaxPool3d(2)
        incoming = (STEM, *WIDTHS[:-1])
        self.blocks = nn.ModuleList(
            _block(units, before, width)
            for units, before, width in zip(UNITS, incoming, WIDTHS, strict=True)
        )

    def forward(self, stack: Tensor) -> list[Tensor]:
        """Return the five feature maps of (B, 1, Z, Y, X); Z a multiple of 16, Y, X of 32."""
        maps = [self.stem(stack)]
        for block in self.blocks:
            maps.append(block(self.pool(maps[-1])))
        return maps


class RadNet2020(nn.Module):
    """The classifier: global average, a dense layer, five heads."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder2020()
        self.tail = nn.Sequential(nn.BatchNorm3d(WIDTHS[-1]), nn.ReLU(), nn.AdaptiveAvgPool3d(1))
        self.dense = nn.Sequential(nn.Flatten(), nn.Linear(WIDTHS[-1], DENSE), nn.ReLU())
        self.heads = nn.ModuleDict({name: nn.Linear(DENSE, size) for name, size in HEADS.items()})

    def forward(self, stack: Tensor) -> dict[str, Tensor]:
        """Return the logits of each head, (B, n); spacing in mm."""
        features = self.dense(self.tail(self.encoder(stack)[-1]))
        return {name: head(features) for name, head in self.heads.items()}


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
        """Return logits (B, 1, Z, Y, X) of (B, 1, Z, Y, X)."""
        stem, *skips, features = self.encoder(stack)
        for block, skip in zip(self.blocks, reversed(skips), strict=True):
            features = block(torch.cat([self.enlarge(features), skip], dim=1))
        logits: Tensor = self.last(torch.cat([self.enlarge(features), stem], dim=1))
        return logits
