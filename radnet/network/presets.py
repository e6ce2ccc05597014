"""The sizes a RadNet comes in.

| preset        | encoder                         | for                               |
|---------------|---------------------------------|-----------------------------------|
| radnet10-tiny | ResNet-10, half as wide         | tests, CPU training, shipped demo |
| radnet10      | ResNet-10                       | CPU default of a trained node     |
| radnet18      | ResNet-18                       | quality, trained on a GPU         |
| radnet50      | ResNet-50 bottleneck, 256..2048 | the poster's network, modernised  |
| radnet50-2020 | as released, see `layout2020`   | a faithful comparison             |

`radnet.network.build` makes a network of any of them.
"""

from dataclasses import dataclass
from typing import Final, Literal

from radnet.errors import PresetError


@dataclass(frozen=True)
class Preset:
    """The layout of one network."""

    name: str
    block: Literal["basic", "bottleneck"]
    layers: tuple[int, int, int, int]
    width: float
    decoder: tuple[int, int, int, int]

    @property
    def channels(self) -> tuple[int, int, int, int, int]:
        """Channels of the five feature maps: stem, then the four stages."""
        base = int(64 * self.width)
        expansion = 4 if self.block == "bottleneck" else 1
        return (base, *(base * 2**stage * expansion for stage in range(4)))


PRESETS: Final[dict[str, Preset]] = {
    preset.name: preset
    for preset in (
        Preset("radnet10-tiny", "basic", (1, 1, 1, 1), 0.5, (128, 64, 32, 16)),
        Preset("radnet10", "basic", (1, 1, 1, 1), 1.0, (256, 128, 64, 32)),
        Preset("radnet18", "basic", (2, 2, 2, 2), 1.0, (256, 128, 64, 32)),
        Preset("radnet50", "bottleneck", (3, 4, 6, 3), 1.0, (256, 128, 64, 32)),
    )
}


def preset(name: str) -> Preset:
    """Return the preset called `name`.

    Raises
    ------
    PresetError
        If there is none of that name.
    """
    try:
        return PRESETS[name]
    except KeyError:
        known = ", ".join([*PRESETS, "radnet50-2020"])
        raise PresetError(f"no preset is called {name!r}; expected one of {known}") from None
