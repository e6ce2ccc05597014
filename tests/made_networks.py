"""Networks that need no weights, and say what a test wants."""

import highdicom as hd
import numpy as np

from radnet.inference.classifier import Prediction
from radnet.labels.vocabulary import MR_SEQUENCES, Contrast, Plane, Region
from tests.made_ct import MadeModel, nothing


class NoClassifier:
    """A classifier that nobody asks."""

    digest = "0" * 64

    def classify(self, volume: hd.Volume, modality: str) -> Prediction:
        """Fail."""
        raise AssertionError(f"nothing is classified here, least of all {modality} {volume.shape}")


class UnsureClassifier:
    """A classifier that is unsure of everything."""

    digest = "0" * 64
    remarks: tuple[str, ...] = ()

    def classify(self, volume: hd.Volume, modality: str) -> Prediction:
        """Return even odds."""
        del volume
        return Prediction(
            dict.fromkeys(MR_SEQUENCES, 1 / 6) if modality == "MR" else {},
            dict.fromkeys(Plane, 1 / 3),
            dict.fromkeys(Contrast, 0.5),
            dict.fromkeys(Region, 0.5),
            5.0,
            np.zeros((1, 9), np.float32),
            32.0,
            modality=modality,
        )


class AbdomenClassifier:
    """Says abdomen of everything, read as a CT, or fails as a test wants."""

    digest = "0" * 64

    def __init__(self) -> None:
        self.fails = False

    def classify(self, volume: hd.Volume, modality: str) -> Prediction:
        """Return an axial CT of the liver."""
        if self.fails:
            raise RuntimeError("the network fell over")
        return Prediction(
            sequence={},
            plane={p: 0.98 if p == Plane.AXIAL else 0.01 for p in Plane},
            contrast={Contrast.CONTRAST: 0.9, Contrast.NONCONTRAST: 0.1},
            coverage={r: 0.9 if r == Region.LIVER else 0.05 for r in Region},
            spacing_mm=4.0,
            cells=np.zeros((1, len(Region)), np.float32),
            cell_mm=32.0,
            modality="CT",
        )


class SwitchableModel(MadeModel):
    """A liver model that can be told to find nothing."""

    def find_nothing(self) -> None:
        """Find no liver from now on."""
        self._find = nothing
