"""What the node asks of a liver model, and no more."""

from collections.abc import Callable
from typing import Final, Protocol

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

LIVER: Final = "liver"
"""The organ, as a rule names it that asks for its segmentation."""


class MaskLike(Protocol):
    """A liver mask on the source grid; empty where there is no liver."""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Bool array [slice, row, column]."""

    @property
    def mean_probability(self) -> float:
        """Mean probability inside the mask."""


class LiverModel(Protocol):
    """A segmentation model, known by its weights."""

    @property
    def name(self) -> str:
        """Preset of the network."""

    @property
    def version(self) -> str:
        """Version of the weights."""

    @property
    def digest(self) -> str:
        """SHA-256 of the weights file."""

    def segment(
        self, volume: hd.Volume, progress: Callable[[float], None] | None = None
    ) -> MaskLike:
        """Return the liver of one CT volume in HU.

        Parameters
        ----------
        volume : hd.Volume
            float32 HU, [slice, row, column]; its affine leads to LPS millimetres.
        progress : callable or None
            Told how much is done, 0 to 1.

        Returns
        -------
        MaskLike
            On the grid of `volume`.

        Raises
        ------
        radnet.errors.UnusableVolumeError
            If no liver can be looked for in it.
        """
