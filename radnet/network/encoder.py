"""The encoder: a 3D ResNet whose stem keeps the slices, and its freezing.

Strides (slice, row, column) of the five feature maps: stem 1,2,2; stage one 2,4,4; two 4,8,8;
three 8,16,16; four 8,32,32. The last stage does not halve the slices, so that one cell of the
coverage head is eight slices.
"""

from typing import Final, Protocol

from monai.networks.nets.resnet import ResNet
from torch import Tensor, nn

from radnet.network.presets import Preset

CELL_SLICES: Final = 8
IN_PLANE_STRIDE: Final = 32
FREEZE_MODES: Final = ("none", "block1", "block2", "block3", "all")


class Staged(Protocol):
    """An encoder that can be frozen from the stem inwards."""

    stem: nn.Sequential
    stages: nn.ModuleList


class Encoder(nn.Module):
    """MONAI's ResNet blocks under our strides; returns all five feature maps."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        net = ResNet(
            preset.block,
            list(preset.layers),
            [64, 128, 256, 512],
            n_input_channels=1,
            conv1_t_size=(3, 7, 7),  # type: ignore[arg-type]
            conv1_t_stride=(1, 2, 2),  # type: ignore[arg-type]
            widen_factor=preset.width,
            feed_forward=False,
            bias_downsample=False,
        )
        self.stem = nn.Sequential(net.conv1, net.bn1, nn.ReLU())
        self.pool = net.maxpool
        self.stages = nn.ModuleList([net.layer1, net.layer2, net.layer3, net.layer4])
        for module in net.layer4.modules():  # stride (2, 2, 2) becomes (1, 2, 2)
            if isinstance(module, nn.Conv3d) and module.stride == (2, 2, 2):
                module.stride = (1, 2, 2)

    def forward(self, stack: Tensor) -> list[Tensor]:
        """Return the five feature maps of `stack`.

        Parameters
        ----------
        stack
            (B, 1, Z, Y, X); Z a multiple of 8, Y and X multiples of 32.

        Returns
        -------
        list of Tensor
            (B, C, Z', Y', X') with the strides in the module's docstring.
        """
        maps = [self.stem(stack)]
        features = self.pool(maps[0])
        for stage in self.stages:
            features = stage(features)
            maps.append(features)
        return maps


def frozen_parts(encoder: Staged, mode: str) -> list[nn.Module]:
    """Return the parts of `encoder` that `mode` keeps fixed, from the stem inwards.

    Raises
    ------
    ValueError
        If `mode` is not one of `FREEZE_MODES`.
    """
    if mode not in FREEZE_MODES:
        raise ValueError(f"freeze mode {mode!r}; expected one of {', '.join(FREEZE_MODES)}")
    if mode == "none":
        return []
    stages = len(encoder.stages) if mode == "all" else int(mode[-1])
    return [encoder.stem, *list(encoder.stages)[:stages]]


def hold_frozen(encoder: Staged, mode: str) -> None:
    """Keep the parts named by `mode` fixed; call it after every `train()`.

    Frozen parts are also put in `eval()`: otherwise the running statistics of their batch
    normalisation would drift although no weight is trained.

    Parameters
    ----------
    encoder : Staged
        The encoder of a network; changed in place.
    mode : str
        Which parts: a word of `frozen_parts`.
    """
    for part in frozen_parts(encoder, mode):
        part.eval()
        part.requires_grad_(False)
