"""A classifier that needs no weights."""

import highdicom as hd
import numpy as np

from radnet.inference.classifier import Prediction
from radnet.labels.vocabulary import Contrast, Plane, Region, Sequence


class UnsureClassifier:
    """A classifier that is unsure of everything."""

    digest = "0" * 64

    def classify(self, volume: hd.Volume, modality: str) -> Prediction:
        """Return even odds."""
        del volume, modality
        return Prediction(
            dict.fromkeys(Sequence, 1 / 7),
            dict.fromkeys(Plane, 1 / 3),
            dict.fromkeys(Contrast, 0.5),
            dict.fromkeys(Region, 0.5),
            5.0,
            np.zeros((1, 9), np.float32),
            32.0,
        )
