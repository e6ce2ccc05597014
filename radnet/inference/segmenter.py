"""Where is the liver: region of proposal, then the mask, on the scan's own grid."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from radnet.errors import WeightsError
from radnet.inference.classifier import Classifier
from radnet.inference.fluid import without_fluid
from radnet.inference.frame import liver_view
from radnet.inference.mask import on_source
from radnet.inference.models import serve
from radnet.inference.preparation import (
    LIVER_HU,
    LIVER_SPACING_MM,
    LIVER_WINDOW,
    Array,
    axial,
    usable,
)
from radnet.inference.proposal import grown, propose
from radnet.inference.refusals import refuse_impossible_liver, refuse_other_than_ct
from radnet.inference.runtime import Precision, Runtime
from radnet.inference.served import Serve
from radnet.network.weights_file import shipped

SMALLEST_ML: Final = 20.0
DOUBTED_ML: Final = 500.0  # hardly an adult's liver: the rest of the scan is searched, too
OVERLAP: Final = 16  # slices by which neighbouring windows overlap
LEAST_HU: Final = -200.0  # lung, gas and the air around the body are no liver, whatever is said

Ticker = Callable[[float], None]


@dataclass(frozen=True)
class LiverMask:
    """A liver, or the finding that there is none."""

    mask: NDArray[np.bool_]  # [slice, row, column] on the source grid; empty: no liver
    proposal: tuple[int, int]  # first and last slice searched, counted from the head
    mean_probability: float  # over the mask; 0 when it is empty


def liver_window(array: Array) -> Array:
    """Return HU in the liver window as [0, 1]."""
    low, high = LIVER_HU
    return np.asarray((np.clip(array, low, high) - low) / (high - low), np.float32)


class LiverSegmenter:
    """A trained liver network and the classifier that tells it where to look."""

    def __init__(
        self,
        run: Runtime,
        classifier: Classifier,
        record: dict[str, Any],
        digest: str,
        remarks: tuple[str, ...] = (),
    ) -> None:
        self.run = run
        self.remarks = remarks
        self._classifier = classifier
        self.record = record
        self.digest = digest
        self.name = f"liver-{record['preset']}"
        self.version = str(record.get("version", ""))
        self.threshold = float(record.get("threshold", 0.5))

    @classmethod
    def load(
        cls,
        path: Path | None = None,
        classifier: Classifier | None = None,
        precision: Precision = "auto",
        ready: Serve = serve,
    ) -> Self:
        """Load weights, the shipped ones by default.

        Parameters
        ----------
        path : Path or None
            A weights file; None: the shipped one.
        classifier : Classifier or None
            What says where to look first; None: the shipped one.
        precision : str
            ``f32``, ``bf16``, or ``auto``: bf16 where the processor has it.
        ready : Serve
            What makes weights ready to run; see `radnet.inference.models`.

        Returns
        -------
        LiverSegmenter

        Raises
        ------
        RadnetError
            If the model of the weights cannot be made or kept; see `radnet.inference.models`.
        WeightsError
            If they are missing, damaged, altered in layout, or not a liver network's.
        """
        path = path or shipped("liver")
        served = ready("liver", path, precision)
        spacing = tuple(served.record.get("spacing_mm", ()))
        if spacing != LIVER_SPACING_MM:
            raise WeightsError(
                f"{path.name}: trained at {spacing} mm; this code prepares {LIVER_SPACING_MM}"
            )
        classifier = classifier or Classifier.load(precision=precision, ready=ready)
        return cls(served.run, classifier, served.record, served.digest, served.remarks)

    def segment(self, volume: hd.Volume, progress: Ticker | None = None) -> LiverMask:
        """Find the liver in a CT volume.

        Parameters
        ----------
        volume
            [slice, row, column] in HU, any orientation.
        progress
            Called with the share of the work that is done, 0 to 1.

        Returns
        -------
        LiverMask
            On the grid of `volume`; empty where there is no liver of at least 20 mL.

        Raises
        ------
        UnusableVolumeError
            If the volume has no three axes, voxels that are not numbers, no HU, or can hold no
            liver (`radnet.inference.refusals`).
        """
        tick = progress or _silent
        view = liver_view(usable(volume))
        inner = usable(view.there(volume))
        refuse_other_than_ct(inner)
        tick(0.0)
        prediction = self._classifier.classify(inner, "CT")
        whole = (0, inner.shape[0] - 1)
        slices = propose(prediction, inner.shape[0], inner.spacing[0]) or whole
        tick(0.1)
        found = self._followed(inner, slices, lambda done: tick(0.1 + 0.7 * done))
        if found.proposal != whole and _millilitres(found.mask, inner) < DOUBTED_ML:
            # What is small may be bowel far from the liver; "no liver" is said of every slice.
            found = self._followed(inner, whole, _silent)
        tick(1.0)
        return replace(found, mask=view.back(found.mask))

    def _followed(self, scan: hd.Volume, proposal: tuple[int, int], tick: Ticker) -> LiverMask:
        """Return the liver that begins in the proposed slices, wherever it ends."""
        mask, mean = self._searched(scan, proposal, tick)
        while (wider := grown(mask, proposal, scan.spacing[0])) is not None:
            proposal = wider
            mask, mean = self._searched(scan, proposal, _silent)
        if (found_ml := _millilitres(mask, scan)) < SMALLEST_ML:
            return LiverMask(np.zeros_like(mask), proposal, 0.0)
        refuse_impossible_liver(found_ml)
        return LiverMask(mask, proposal, mean)

    def _searched(
        self, scan: hd.Volume, proposal: tuple[int, int], tick: Ticker
    ) -> tuple[NDArray[np.bool_], float]:
        """Return the liver in the proposed slices, on the grid of `scan`, and how sure it is."""
        # A body that the field of view cuts goes on: beside air its liver ended 2 cm too early.
        grid = axial(scan, proposal, outside=None)
        probability = self.probability(grid.array, tick)
        probability = without_fluid(probability, grid.array, self.threshold)
        return on_source(grid.with_array(probability), scan, self.threshold)

    def probability(self, hounsfield: Array, progress: Ticker | None = None) -> Array:
        """Return the liver probability of an LPS-axial stack at 4 x 2.5 x 2.5 mm.

        Parameters
        ----------
        hounsfield
            (Z, 192, 192) in HU, any Z.
        progress
            Called with the share of the windows that are done.

        Returns
        -------
        array of float32
            Of the shape of `hounsfield`, 0 to 1.
        """
        return window_probability(self.run, hounsfield, progress or _silent)


def window_probability(run: Runtime, hounsfield: Array, tick: Ticker) -> Array:
    """Return the liver probability of an LPS-axial stack from overlapping windows of slices.

    Parameters
    ----------
    run
        The network: logits (1, 1, 48, Y, X) of a stack of that shape.
    hounsfield
        (Z, Y, X) in HU at 4 x 2.5 x 2.5 mm, any Z.
    tick
        Called with the share of the windows that are done.

    Returns
    -------
    array of float32
        Of the shape of `hounsfield`, 0 to 1.
    """
    window = LIVER_WINDOW[0]
    depth = hounsfield.shape[0]
    padded = liver_window(hounsfield)
    if depth < window:
        before = (window - depth) // 2
        padded = np.pad(padded, ((before, window - depth - before), (0, 0), (0, 0)))
    starts = window_starts(padded.shape[0])
    total, weight = np.zeros(padded.shape, np.float32), np.zeros(padded.shape[0], np.float32)
    hill = np.minimum(np.arange(1, window + 1), np.arange(window, 0, -1)).astype(np.float32)
    for done, start in enumerate(starts, 1):
        logits = run(padded[None, None, start : start + window])[0][0, 0]
        value = 1 / (1 + np.exp(-np.clip(logits, -40, 40)))
        total[start : start + window] += value * hill[:, None, None]
        weight[start : start + window] += hill
        tick(done / len(starts))
    total /= weight[:, None, None]
    if depth < window:
        total = total[before : before + depth]
    # A slice at the end may lie half outside the scan: its neighbour tells what is there.
    total[ndimage.maximum_filter1d(hounsfield, 3, axis=0) < LEAST_HU] = 0
    return total


def window_starts(depth: int) -> list[int]:
    """Return the first slices of windows that cover `depth` slices, evenly spread."""
    window = LIVER_WINDOW[0]
    if depth <= window:
        return [0]
    count = int(np.ceil((depth - OVERLAP) / (window - OVERLAP)))
    return [round(at) for at in np.linspace(0, depth - window, count)]


def _millilitres(mask: NDArray[np.bool_], scan: hd.Volume) -> float:
    """Return the volume of a mask on the grid of `scan`."""
    return float(mask.sum()) * float(abs(np.linalg.det(scan.affine[:3, :3]))) / 1000


def _silent(done: float) -> None:
    """Report nothing."""
    del done
