"""The figures of a liver network on cases it never learned from."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from radnet.datasets.liver_cases import Case
from radnet.evaluation.liver_score import compare, dice, fixed_patches, glance, score, summary
from radnet.inference.segmenter import liver_window

BOX = (slice(12, 36), slice(60, 120), slice(40, 100))


class Threshold(nn.Module):
    """Calls liver what lies above a value of the liver window; remembers where it was asked."""

    def __init__(self, above: float, device: str = "cpu") -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, device=device))
        self.above = above
        self.asked: set[str] = set()

    def forward(self, stack: Tensor) -> Tensor:
        """Return a logit of 20 or -20 for each voxel."""
        self.asked.add(stack.device.type)
        if stack.device.type == "meta":
            return torch.full(stack.shape, -20.0)
        return torch.where(stack > self.above, 20.0, -20.0)


def case(name: str, liver: bool = True) -> Case:
    """Return a box of 110 HU in a body of 40 HU."""
    hounsfield = np.full((48, 192, 192), 40, np.float32)
    hounsfield[BOX] = 110
    mask = np.zeros_like(hounsfield)
    mask[BOX] = liver
    known = np.ones(mask.shape, bool)
    gas = np.zeros(mask.shape, np.int32)
    return Case(name, hounsfield, mask, known, gas, 110.0 if liver else math.nan, phantom=True)


BETWEEN = float(liver_window(np.full(1, 75, np.float32))[0])


def test_figures_of_known_masks() -> None:
    """Dice, IoU, 95 % Hausdorff distance in mm and volume in mL of boxes."""
    truth = np.zeros((20, 40, 40), bool)
    truth[5:15, 10:30, 10:30] = True
    larger = truth.copy()
    larger[15] = larger[14]

    same = compare(truth, truth)
    aside, above = (compare(np.roll(truth, by, axis), truth) for by, axis in ((2, 2), (1, 0)))

    assert (same.dice, same.iou, same.hd95_mm, same.volume_error_ml) == (1, 1, 0, 0)
    assert aside.dice == pytest.approx(0.9)
    assert aside.iou == pytest.approx(18 / 22)
    assert aside.hd95_mm == pytest.approx(5.0)
    assert above.hd95_mm == pytest.approx(4.0)
    assert math.isnan(compare(truth & False, truth).hd95_mm)
    assert compare(larger, truth).volume_error_ml == pytest.approx(400 * 0.025)


def test_a_score_tells_whether_there_is_a_liver() -> None:
    """Nothing found is a liver missed only where there is one."""
    empty = np.zeros((20, 20, 20), bool)

    assert not compare(empty, empty).liver
    assert not compare(~empty, empty).liver
    assert compare(empty, ~empty).liver


def test_dice_of_two_masks() -> None:
    """Two empty masks agree."""
    one, none = np.ones((2, 2), bool), np.zeros((2, 2), bool)

    assert dice(one, one) == 1
    assert dice(one, none) == 0
    assert dice(none, none) == 1


def test_a_network_is_scored_where_it_lies() -> None:
    """On a GPU the stack goes to it; here it is a device that holds no numbers."""
    net = Threshold(BETWEEN, device="meta")

    score(net, case("a"))  # type: ignore[arg-type]
    glance(net, fixed_patches([case("a")]))  # type: ignore[arg-type]

    assert net.asked == {"meta"}


def test_a_record_tells_of_livers_and_of_false_ones() -> None:
    """A network that calls every bright box liver, once rightly and once not."""
    net = Threshold(BETWEEN)

    found = summary(net, [case("a"), case("b", liver=False)])  # type: ignore[arg-type]

    millilitres = 24 * 60 * 60 * 0.025
    assert found == {
        "livers": 1, "dice": 1.0, "least_dice": 1.0,
        "without_liver": 1, "false_ml": pytest.approx(millilitres),
    }  # fmt: skip


def test_patches_to_glance_at_are_always_the_same() -> None:
    """So that a curve over the steps tells of the network, not of chance."""
    cases = [case("a"), case("b", liver=False)]

    first, again = fixed_patches(cases), fixed_patches(cases)

    assert torch.equal(first.stack, again.stack)
    assert first.liver.any()
    net = Threshold(math.inf)
    assert glance(net, first) == 0  # type: ignore[arg-type]
