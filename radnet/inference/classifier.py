"""What is in this scan: sequence, plane, contrast, spacing and coverage of one volume."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Self, TypeVar

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from radnet.errors import UnusableVolumeError, WeightsError
from radnet.inference.models import serve
from radnet.inference.noise import is_noise
from radnet.inference.preparation import (
    CELL_SLICES,
    CLASSIFIER_SPACING_MM,
    classifier_input,
)
from radnet.inference.refusals import FEWEST_SLICES
from radnet.inference.runtime import Precision, Runtime
from radnet.inference.served import Serve
from radnet.inference.strangeness import Usual
from radnet.inference.support import COUNTED, Support
from radnet.labels.vocabulary import MR_SEQUENCES, Contrast, Plane, Region, Sequence
from radnet.network.outputs import HEAD_SIZES, MR_COLUMNS
from radnet.network.weights_file import shipped

Label = TypeVar("Label", bound=StrEnum)


@dataclass(frozen=True)
class Prediction:
    """What the classifier says of one scan; every number is a probability unless named."""

    sequence: dict[Sequence, float]  # over `MR_SEQUENCES`; empty where the scan is no MR
    plane: dict[Plane, float]
    contrast: dict[Contrast, float]
    coverage: dict[Region, float]  # independent of each other
    spacing_mm: float  # distance of the slices as the pixels look
    cells: NDArray[np.float32]  # (cell, 9): coverage of each slab along the slice axis
    cell_mm: float  # thickness of a slab
    answer_above: dict[str, float] = field(default_factory=dict)  # head: less sure is no answer
    covered_above: dict[str, float] = field(default_factory=dict)  # region: covered from here
    covered_below: dict[str, float] = field(default_factory=dict)  # region: not covered up to here
    strangeness: float | None = None  # in [0, 1]; see `strangeness.py`; None: cannot be told
    strange_above: float = 1.0  # few known scans are stranger
    strange_share: float = 1.0  # of known scans that are not
    noise: bool = False  # its pixels show nothing; see `noise.py`
    support: Support = COUNTED  # how far its word goes beside a header; see `support.py`
    modality: str = field(kw_only=True)  # (0008,0060), which was given and is not seen

    @property
    def strange(self) -> bool:
        """Whether this is hardly a scan of the kinds that the network knows."""
        if self.noise:
            return True
        if self.strangeness is None:
            return False
        return not self.strangeness <= self.strange_above  # also where it is no number


def from_other_end(cells: NDArray[np.float32], length: float) -> NDArray[np.float32]:
    """Return cells counted from the other end of a stack that is `length` cells long.

    One that lies over two of them says what the surer of the two says.
    """
    length, count = round(length, 3), len(cells)
    ends = [length - cell for cell in range(count)]
    return np.stack(
        [cells[max(0, int(np.floor(end)) - 1) : max(1, int(np.ceil(end)))].max(axis=0)
         for end in ends]
    )  # fmt: skip


class Classifier:
    """A trained RadNet, warm."""

    def __init__(
        self,
        run: Runtime,
        record: dict[str, Any],
        digest: str,
        name: str,
        remarks: tuple[str, ...] = (),
    ) -> None:
        self.run = run
        self.remarks = remarks
        self.record = record
        self.digest = digest
        self.name = name
        self.version = str(record.get("version", ""))
        self._usual = Usual.of_record(record)
        self.support = Support.of_record(record)

    @classmethod
    def load(
        cls, path: Path | None = None, precision: Precision = "auto", ready: Serve = serve
    ) -> Self:
        """Load weights, the shipped ones by default.

        Parameters
        ----------
        path : Path or None
            A weights file; None: the shipped one.
        precision : str
            ``f32``, ``bf16``, or ``auto``: bf16 where the processor has it.
        ready : Serve
            What makes weights ready to run; see `radnet.inference.models`.

        Returns
        -------
        Classifier

        Raises
        ------
        RadnetError
            If the model of the weights cannot be made or kept; see `radnet.inference.models`.
        WeightsError
            If they are missing, damaged, altered in layout, or not a classifier's.
        """
        path = path or shipped("classifier")
        served = ready("classifier", path, precision)
        spacing = tuple(served.record.get("spacing_mm", ()))
        if spacing != CLASSIFIER_SPACING_MM:
            raise WeightsError(
                f"{path.name}: trained at {spacing} mm; this code prepares {CLASSIFIER_SPACING_MM}"
            )
        name = f"classifier-{served.record['preset']}"
        return cls(served.run, served.record, served.digest, name, served.remarks)

    def classify(self, volume: hd.Volume, modality: str) -> Prediction:
        """Classify one volume in a single pass.

        Parameters
        ----------
        volume
            [slice, row, column] in its acquisition axes, its slices in either order; HU when it
            is CT.
        modality
            (0008,0060); it decides how voxel values are scaled, and that no sequence is asked for
            where it is not ``MR``.

        Returns
        -------
        Prediction
            Calibrated probabilities of every head, and how strange the pixels are.

        Raises
        ------
        UnusableVolumeError
            If the volume has no three axes, voxels that are not numbers, or too few slices to
            tell what is in it.
        """
        seen = classifier_input(volume, modality)
        if (slices := volume.shape[0]) < FEWEST_SLICES:
            raise UnusableVolumeError(
                f"{slices} slices; expected at least {FEWEST_SLICES} to tell what they show"
            )
        scan, cells, features = self.run(seen.array[None, None])
        depth = slices * volume.spacing[0] / CLASSIFIER_SPACING_MM[0]
        filled = max(1, -(-round(depth) // CELL_SLICES))
        ends = np.cumsum(HEAD_SIZES)[:-1]
        sequence, plane, contrast, spacing = np.split(scan[0], ends)
        heat = float(self._heat("coverage"))
        probability = _sigmoid(cells[0, :filled] / heat)
        whole = probability.max(axis=0)
        if seen.reverse:
            probability = from_other_end(probability, depth / CELL_SLICES)
        usual, regions = self._usual, dict(self.record.get("coverage", {}))
        return Prediction(
            self._sequence(sequence, modality),
            self._named(Plane, "plane", plane),
            self._named(Contrast, "contrast", contrast),
            {region: float(p) for region, p in zip(Region, whole, strict=True)},
            float(np.exp(np.clip(spacing[0], -3, 5))),
            probability,
            CELL_SLICES * CLASSIFIER_SPACING_MM[0],
            {head: float(row["above"]) for head, row in self._abstention().items()},
            {region: float(row["above"]) for region, row in regions.items()},
            {region: float(row["below"]) for region, row in regions.items()},
            usual.strangeness(features[0]) if usual else None,
            usual.above if usual else 1.0,
            usual.share if usual else 1.0,
            is_noise(seen.scan),
            self.support,
            modality=modality,
        )

    def _abstention(self) -> dict[str, dict[str, float]]:
        return dict(self.record.get("abstention", {}))

    def _heat(self, head: str) -> float:
        return max(float(self.record.get("temperature", {}).get(head, 1.0)), 0.05)

    def _sequence(self, logits: NDArray[np.float32], modality: str) -> dict[Sequence, float]:
        """Return the MR sequences with their probabilities; of no other modality anything."""
        if modality != "MR":
            return {}
        return self._named(MR_SEQUENCES, "sequence", logits[MR_COLUMNS])

    def _named(
        self, labels: Iterable[Label], head: str, logits: NDArray[np.float32]
    ) -> dict[Label, float]:
        scaled = logits.astype(np.float64) / self._heat(head)
        powers = np.exp(scaled - scaled.max())
        return {label: float(p) for label, p in zip(labels, powers / powers.sum(), strict=True)}


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -40, 40))), np.float32)
