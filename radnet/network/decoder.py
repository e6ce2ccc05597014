"""The segmenter: the classifier's encoder under a V-Net decoder with skip connections."""

import torch
from torch import Tensor, nn

from radnet.network.encoder import Encoder
from radnet.network.presets import Preset


class ResidualBlock(nn.Module):
    """Two 3x3x3 convolutions beside a 1x1x1 shortcut."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(incoming, outgoing, 3, padding=1, bias=False),
            nn.BatchNorm3d(outgoing),
            nn.ReLU(),
            nn.Conv3d(outgoing, outgoing, 3, padding=1, bias=False),
            nn.BatchNorm3d(outgoing),
        )
        self.shortcut = nn.Conv3d(incoming, outgoing, 1)
        self.act = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, outgoing, Z, Y, X)."""
        out: Tensor = self.act(self.body(features) + self.shortcut(features))
        return out


class Up(nn.Module):
    """Enlarge, join the skip connection, refine."""

    def __init__(self, incoming: int, skip: int, outgoing: int, factor: tuple[int, int, int]):
        super().__init__()
        self.enlarge = nn.ConvTranspose3d(incoming, outgoing, factor, stride=factor)
        self.refine = ResidualBlock(outgoing + skip, outgoing)

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        """Return features on the grid of `skip`."""
        out: Tensor = self.refine(torch.cat([self.enlarge(features), skip], dim=1))
        return out


class LiverNet(nn.Module):
    """One liver logit per voxel."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.encoder = Encoder(preset)
        incoming = preset.channels[-1]
        ups = []
        skips = reversed(preset.channels[:-1])
        factors = ((1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2))
        for skip, outgoing, factor in zip(skips, preset.decoder, factors, strict=True):
            ups.append(Up(incoming, skip, outgoing, factor))
            incoming = outgoing
        self.ups = nn.ModuleList(ups)
        # Normalised and leaky: a plain ReLU here once died on the liver's side of every voxel.
        self.last = nn.Sequential(
            nn.ConvTranspose3d(incoming, 8, (1, 2, 2), stride=(1, 2, 2), bias=False),
            nn.BatchNorm3d(8),
            nn.LeakyReLU(0.1),
        )
        # The encoder starts at half the resolution in plane: the border needs the scan itself.
        self.fine = nn.Sequential(
            nn.Conv3d(1, 8, 3, padding=1, bias=False), nn.BatchNorm3d(8), nn.LeakyReLU(0.1)
        )
        self.join = nn.Sequential(
            nn.Conv3d(16, 16, 3, padding=1, bias=False), nn.BatchNorm3d(16), nn.LeakyReLU(0.1)
        )
        self.liver = nn.Conv3d(16, 1, 1)

    def forward(self, stack: Tensor) -> Tensor:
        """Return logits (B, 1, Z, Y, X) of `stack` (B, 1, Z, Y, X).

        Z must be a multiple of 8, Y and X of 32.

        Parameters
        ----------
        stack : Tensor
            (B, 1, Z, Y, X) float32; Z a multiple of 8, Y and X of 32.

        Returns
        -------
        Tensor
            Logits of the same shape; above 0 is liver.
        """
        *skips, features = self.encoder(stack)
        for up, skip in zip(self.ups, reversed(skips), strict=True):
            features = up(features, skip)
        border = torch.cat([self.last(features), self.fine(stack)], dim=1)
        logits: Tensor = self.liver(self.join(border))
        return logits
