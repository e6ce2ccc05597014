"""Networks by the name of their preset; `radnet50-2020` is a layout of its own."""

from typing import Final

from radnet.network.decoder import LiverNet
from radnet.network.heads import RadNet
from radnet.network.layout2020 import LiverNet2020, RadNet2020
from radnet.network.presets import preset

LAYOUT_2020: Final = "radnet50-2020"


def classifier_network(name: str) -> RadNet | RadNet2020:
    """Return a fresh classifier of the preset `name`.

    Parameters
    ----------
    name : str
        A preset: a key of `radnet.network.presets.PRESETS`, or that of the 2020 layout.

    Returns
    -------
    RadNet or RadNet2020
        With random weights, in `train()`.

    Raises
    ------
    PresetError
        If there is none of that name.
    """
    return RadNet2020() if name == LAYOUT_2020 else RadNet(preset(name))


def liver_network(name: str) -> LiverNet | LiverNet2020:
    """Return a fresh liver network of the preset `name`.

    Parameters
    ----------
    name : str
        A preset: a key of `radnet.network.presets.PRESETS`, or that of the 2020 layout.

    Returns
    -------
    LiverNet or LiverNet2020
        With random weights, in `train()`.

    Raises
    ------
    PresetError
        If there is none of that name.
    """
    return LiverNet2020() if name == LAYOUT_2020 else LiverNet(preset(name))
