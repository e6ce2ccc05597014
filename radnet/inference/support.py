"""How far the pixels' word goes: what real scans that the network never saw say for it.

Weights whose record tells (`Support.of_record`, written by `radnet support`) are believed so. For
all others holds what was counted by hand of the shipped classifier: scans of patients that it did
not learn from, role `test` in `weights/split.json`, and what came to the folder of real scans
after it was trained. Measured on 2026-11-30 with `classifier-radnet10-tiny` cdf50f4afa6b, 33 scans
of 16 patients (5 CT, 11 MR); of one patient all scans must be right. Scans that the network calls
strange are left out: they have no say anyway.

Where real scans have not spoken the pixels add nothing to a header.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from radnet.labels.vocabulary import Region

# (head, CT or not): patients of whom the most probable class was right, and wrong
PATIENTS: Final[dict[tuple[str, str], tuple[int, int]]] = {
    ("sequence", "MR"): (1, 10),
    ("plane", "CT"): (5, 0),
    ("plane", "MR"): (7, 4),
    ("contrast", "CT"): (1, 0),  # with an agent; without one: 1 and 0
    ("contrast", "MR"): (0, 2),  # with an agent; without one: 8 and 0, which is how it always says
    ("coverage", "CT"): (1, 1),  # all nine regions right
    ("coverage", "MR"): (2, 9),
}

# (CT or not, region, said to be covered): patients of whom that was right, and wrong
REGIONS: Final[dict[tuple[str, str, bool], tuple[int, int]]] = {
    ("CT", "brain", False): (1, 1),
    ("CT", "upper_head_neck", False): (1, 1),
    ("CT", "lower_head_neck", False): (1, 1),
    ("CT", "breast", True): (0, 1),
    ("CT", "intestine", True): (0, 1),
    ("CT", "liver", True): (4, 0),
    ("MR", "brain", True): (6, 2),
    ("MR", "brain", False): (4, 1),
    ("MR", "upper_head_neck", True): (0, 7),
    ("MR", "upper_head_neck", False): (6, 2),
    ("MR", "lower_head_neck", True): (0, 1),
    ("MR", "lower_head_neck", False): (9, 2),
    ("MR", "pelvis", False): (10, 1),
}
ALL_WRONG: Final = 2  # patients more that were wrong than right: no accident any more


def succession(right: int, wrong: int) -> float:
    """Return the log-odds in nats that so many patients give, 0 where they speak against it.

    By the rule of succession, so that few patients give little: one right and none wrong 0.69.

    Parameters
    ----------
    right, wrong : int
        Patients.

    Returns
    -------
    float
        Nats, not negative.
    """
    return max(0.0, math.log((right + 1) / (wrong + 1)))


@dataclass(frozen=True)
class Word:
    """How far the pixels' word in one head, or on one region, goes beside a header that speaks.

    Attributes
    ----------
    weight
        Of their log-odds, this share counts: 0 to 1.
    most_nats
        They add no more than this; 0: they have no say, also where the header is silent.
    """

    weight: float = 0.0
    most_nats: float = 0.0


@dataclass(frozen=True)
class Support:
    """What real left-out scans say for one classifier.

    Attributes
    ----------
    words
        By head or region, and ``CT`` or ``MR``; of what is not here the pixels say nothing.
    regions
        By modality, region, and whether it was said to be covered: patients of whom that was
        right, and wrong.
    """

    words: Mapping[tuple[str, str], Word]
    regions: Mapping[tuple[str, str, bool], tuple[int, int]]

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> "Support":
        """Return what a weights' record tells; what was counted by hand where it tells nothing.

        Parameters
        ----------
        record : mapping of str to Any
            Of a classifier's weights.

        Returns
        -------
        Support
        """
        told = record.get("support")
        if not told:
            return COUNTED
        words, regions = {}, {}
        for modality, heads in told["words"].items():
            for name, word in heads.items():
                words[name, modality] = Word(float(word["weight"]), float(word["most_nats"]))
                for said, covered in (("covered", True), ("not_covered", False)):
                    if said in word:
                        right, wrong = word[said]
                        regions[modality, name, covered] = (int(right), int(wrong))
        return cls(words, regions)

    def word(self, name: str, modality: str) -> Word:
        """Return how far the pixels' word in a head, or on a region, goes.

        Parameters
        ----------
        name : str
            Of the head or region.
        modality : str
            ``CT`` or ``MR``.

        Returns
        -------
        Word
        """
        return self.words.get((name, modality), Word())

    def confirms(self, region: str, modality: str, *, covered: bool) -> bool:
        """Tell whether pixels that are sure of a region may confirm a header in it.

        Where real scans speak against such answers, or as much against as for them, they do not.
        """
        right, wrong = self.regions.get((modality, region, covered), (1, 0))
        return right > wrong

    def refuted(self, region: str, modality: str, *, covered: bool) -> bool:
        """Tell whether real scans have shown such an answer wrong; then pixels alone give none."""
        right, wrong = self.regions.get((modality, region, covered), (0, 0))
        return wrong - right >= ALL_WRONG


def counted() -> Support:
    """Return what was counted by hand: bounds, and within them the pixels' full word."""
    words = {key: Word(1.0, succession(*patients)) for key, patients in PATIENTS.items()}
    for modality in ("CT", "MR"):
        every = words.get(("coverage", modality), Word())
        words |= {(str(region), modality): every for region in Region}
    return Support(words, REGIONS)


COUNTED: Final = counted()
