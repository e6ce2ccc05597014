"""Weights of classes: what is rare counts more, within bounds."""

import numpy as np
import pytest
import torch

from radnet.datasets.balance import EVEN, SIZES, balance
from radnet.datasets.seen_by_eye import UNKNOWN
from radnet.labels.vocabulary import Region


def truths(**told: list[float]) -> dict[str, np.ndarray]:
    """Return labels of series; of the first region those of `region`, of all else nothing."""
    first = told.pop("region", [UNKNOWN])
    scan = np.full((len(first), len(Region)), UNKNOWN, np.float32)
    scan[:, 0] = first
    heads = {name: np.array(told.get(name, [UNKNOWN]), np.float32) for name in SIZES}
    return heads | {"scan": scan}


@pytest.mark.parametrize(
    ("covered", "absent", "weight"),
    [
        (1, 1, 1.0),
        (1, 4, 2.0),
        (4, 1, 0.5),
        (1, 9, 3.0),
        (1, 16, 3.0),
        (10, 1, 10**-0.5),
        (100, 1, 0.3),
        (7, 0, 1.0),
        (0, 7, 1.0),
    ],
)
def test_a_region_counts_by_the_root_of_how_rare_it_is(
    covered: int, absent: int, weight: float
) -> None:
    """From 0.3 to 3; one that is always or never there tells nothing."""
    seen = [1.0] * covered + [0.0] * absent + [float(UNKNOWN)] * 50

    found = balance(truths(region=seen)).covered

    assert float(found[0]) == pytest.approx(weight)
    assert found[1:].tolist() == [1.0] * (len(Region) - 1)


def test_a_class_counts_by_the_root_of_how_rare_it_is_among_those_that_occur() -> None:
    """Four of one and one of another: 2.5 on average."""
    found = balance(truths(plane=[2.0] * 4 + [0.0] + [float(UNKNOWN)] * 9))

    assert found.plane.tolist() == pytest.approx([2.5**0.5, 1.0, (2.5 / 4) ** 0.5])
    assert found.sequence.tolist() == [1.0] * 6
    assert found.contrast.tolist() == [1.0] * 2
    assert found.plane.dtype == torch.float32


def test_where_nothing_is_known_all_count_alike() -> None:
    """As `EVEN`, on whatever device."""
    found = balance(truths()).to(torch.device("cpu"))

    for name in ("sequence", "plane", "contrast", "covered"):
        assert torch.equal(getattr(found, name), getattr(EVEN, name))
