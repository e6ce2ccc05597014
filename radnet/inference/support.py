"""How far the pixels' word goes: what real scans that the network never saw say for it.

Thresholds and temperatures were chosen on phantoms. Here is what the shipped classifier said of
real scans of patients that it did not learn from: role `test` in `weights/split.json`, and what
came to the folder of real scans after it was trained. Measured on 2026-11-30 with
`classifier-radnet10-tiny` cdf50f4afa6b, 33 scans of 16 patients (5 CT, 11 MR); of one patient all
scans must be right. Scans that the network calls strange are left out: they have no say anyway.

Where real scans have not spoken the pixels add nothing to a header. Other weights may do better;
until somebody counts for them, this holds for them too.
"""

import math
from typing import Final

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


def most_nats(head: str, modality: str) -> float:
    """Return the log-odds that pixels may add at the most, in nats; 0: they have no say.

    By the rule of succession, so that few patients give little: one right and none wrong 0.69.
    """
    right, wrong = PATIENTS.get((head, modality), (0, 0))
    return max(0.0, math.log((right + 1) / (wrong + 1)))


def confirms(region: str, modality: str, *, covered: bool) -> bool:
    """Tell whether pixels that are sure of a region may confirm a header in it.

    Where real scans speak against such answers, or as much against as for them, they do not.
    """
    right, wrong = REGIONS.get((modality, region, covered), (1, 0))
    return right > wrong


def refuted(region: str, modality: str, *, covered: bool) -> bool:
    """Tell whether real scans have shown such an answer wrong, so that pixels alone give none."""
    right, wrong = REGIONS.get((modality, region, covered), (0, 0))
    return wrong - right >= ALL_WRONG
