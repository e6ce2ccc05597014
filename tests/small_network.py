"""A network small enough that the tests that train hardly depend on the processor."""

from typing import Final

from radnet.network.presets import Preset

SMALL: Final = Preset("small", "basic", (1, 1, 1, 1), 0.125, (16, 8, 8, 8))
"""Has a quarter of the channels of ``radnet10-tiny``, the least that ships."""

REGISTER: Final = (
    f"from radnet.network.presets import PRESETS, Preset; PRESETS['{SMALL.name}'] = {SMALL!r}; "
)
"""Source that makes the commands of another process know it by ``--preset small``."""
