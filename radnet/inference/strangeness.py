"""How strange a scan is: the share of its features that no known scan has.

Known scans span a few directions of the space of the network's pooled features. What of a scan's
features lies outside them, as a share of their length, is its strangeness: 0 for a scan made of
what is known, 1 for one that has nothing of it. Neither depends on how strong the features are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def outside(features: ArrayLike, axes: Array) -> Array:
    """Return the share of each row of `features` that orthonormal `axes` (K, C) do not span.

    Parameters
    ----------
    features : array of float
        (N, C) or (C,).
    axes : array of float
        (K, C), orthonormal rows.

    Returns
    -------
    array of float64
        (N,), 0 to 1.
    """
    rows = np.atleast_2d(np.asarray(features, np.float64))
    length = np.linalg.norm(rows, axis=1)
    rest = np.linalg.norm(rows - rows @ axes.T @ axes, axis=1)
    return np.asarray(np.clip(rest / np.maximum(length, 1e-12), 0, 1))


@dataclass(frozen=True)
class Usual:
    """What known scans look like to one network.

    Attributes
    ----------
    axes
        (K, C), orthonormal: the directions of their features.
    above
        A scan of more strangeness is strange.
    share
        Of known scans held out that are not; what `above` was chosen for.
    """

    axes: Array
    above: float
    share: float

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Self | None:
        """Return what a weights' record tells, None where it tells nothing."""
        usual = record.get("usual")
        if not usual:
            return None
        return cls(np.array(usual["axes"]), float(usual["above"]), float(usual["share"]))

    def strangeness(self, features: ArrayLike) -> float:
        """Return the strangeness of one scan's features, (C,), in [0, 1]."""
        return float(outside(features, self.axes)[0])
