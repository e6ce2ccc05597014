"""The weights of a finished training are the mean of its last steps, and no other mean."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from radnet.training import arithmetic, checkpoint
from radnet.training.arithmetic import Arithmetic
from radnet.training.checkpoint import WEIGHED
from radnet.training.loop import Hooks, optimise


@dataclass(frozen=True)
class Plan:
    """A training of a few quick steps."""

    steps: int
    minutes: float = 0
    seed: int = 1
    rate: float = 0.1
    decay: float = 0.0
    sources: dict[str, str] = field(default_factory=dict)


class Counted(nn.Module):
    """One weight that moves, and a count that is no number to average."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([7.0], dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train in f32 without measuring anything."""
    monkeypatch.setattr(arithmetic, "settled", lambda _begun: Arithmetic("f32", "made"))


def _weights(net: Counted, steps: int) -> list[float]:
    """Train, and return the weight after every step."""

    def batches(first: int) -> Iterator[int]:
        yield from range(first, 10 * steps)

    def loss(net: nn.Module, batch: int, _half: bool) -> Tensor:
        assert isinstance(net, Counted)
        net.get_buffer("count").add_(1)
        return (net.weight * (1 if batch % 3 else -0.5)).sum()

    return [float(net.weight.detach()) for _ in optimise(net, batches, loss, Plan(steps))]


def test_a_short_training_ends_with_the_mean_of_all_its_steps() -> None:
    """Where it began counts for nothing; every step counts the same."""
    net = Counted()

    weights = _weights(net, 40)

    assert len(set(weights)) > 30
    assert float(net.weight.detach()) == pytest.approx(sum(weights) / 40, abs=1e-9)
    assert float(net.weight.detach()) != pytest.approx(weights[-1], abs=1e-3)


def test_a_long_training_forgets_its_first_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the first so many steps each moves the mean by the same share."""
    monkeypatch.setattr(checkpoint, "AVERAGED_STEPS", 8)
    net = Counted()

    weights = _weights(net, 40)

    expected = 0.0
    for step, weight in enumerate(weights):
        expected += (weight - expected) * max(1 / 8, 1 / (step + 1))
    assert float(net.weight.detach()) == pytest.approx(expected, abs=1e-9)
    assert float(net.weight.detach()) != pytest.approx(sum(weights) / 40, abs=1e-3)


def test_about_two_hundred_steps_are_averaged() -> None:
    """What the released weights were made with."""
    assert checkpoint.AVERAGED_STEPS == 200


def test_a_count_is_taken_as_it_is() -> None:
    """Whole numbers (batches that a normalisation has seen) have no mean."""
    net = Counted()

    _weights(net, 5)

    assert int(net.get_buffer("count")) == 5


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_step_whose_gradient_is_no_number_changes_no_weight(wrong: float) -> None:
    """It is counted; the depth that torch gets wrong in bf16 is why there is a check."""
    net = Counted()

    def loss(net: nn.Module, batch: float, _half: bool) -> Tensor:
        assert isinstance(net, Counted)
        return (net.weight * batch).sum()

    steps = optimise(net, lambda first: iter([1.0, wrong, 1.0][first:]), loss, Plan(3))
    found = [(step.skipped, float(net.weight.detach())) for step in steps]

    assert [skipped for skipped, _ in found] == [0, 1, 1]
    (_, first), (_, second), (_, third) = found
    assert first == second
    assert third < second


APART = 10
STEPS = APART * WEIGHED


def _weighed(
    net: Counted,
    cost_of: Callable[[float], float],
    checkpoint_: Path | None = None,
    stop_after: int | None = None,
) -> list[tuple[int, float, int]]:
    """Train; return steps that were weighed, what each mean costs, and which was kept then."""

    def cost(mean: nn.Module) -> float:
        assert isinstance(mean, Counted)
        return cost_of(float(mean.weight.detach()))

    def loss(net: nn.Module, batch: int, _half: bool) -> Tensor:
        assert isinstance(net, Counted)
        return net.weight.sum() * (1 + batch % 2)

    steps = optimise(
        net, lambda first: iter(range(first, STEPS)), loss, Plan(STEPS), checkpoint_,
        Hooks(cost_of=cost),
    )  # fmt: skip
    found = [(one.step, one.cost, one.kept_step) for one in islice(steps, stop_after)]
    steps.close()  # type: ignore[attr-defined]
    return [(step, cost, kept) for step, cost, kept in found if not math.isnan(cost)]


def test_weights_are_weighed_evenly_and_at_the_end() -> None:
    """The last mean is one of them: most often it is the best."""
    weighed = _weighed(Counted(), lambda _: 1.0)

    assert [step for step, _, _ in weighed] == list(range(APART, STEPS + 1, APART))


def test_the_mean_that_costs_least_is_kept() -> None:
    """What learns on until it is worse again ends with what was best on the way."""
    net = Counted()

    weighed = _weighed(net, lambda weight: abs(weight - 6.0))

    costs = [cost for _, cost, _ in weighed]
    best = costs.index(min(costs))
    assert 0 < best < len(costs) - 1
    assert weighed[-1][2] == weighed[best][0]
    assert abs(float(net.weight.detach()) - 6.0) == costs[best]


def test_of_equal_ones_the_first_is_kept_and_what_is_no_number_never() -> None:
    """A cost that is not a number says nothing, and is no best one that nothing can beat."""
    assert _weighed(Counted(), lambda _: 1.0)[-1][2] == APART
    assert _weighed(Counted(), lambda w: float("nan") if w > 6.5 else 1.0)[-1][2] > APART
    assert _weighed(Counted(), lambda _: float("inf"))[-1][2] == 0


@pytest.mark.parametrize("stop_after", [1, 55, 60, STEPS])
def test_a_resumed_training_keeps_what_the_whole_one_keeps(
    stop_after: int, tmp_path: Path
) -> None:
    """The best weights stand in the checkpoint, with what they cost."""

    def cost_of(weight: float) -> float:
        return abs(weight - 6.0)

    whole, resumed = Counted(), Counted()
    expected = _weighed(whole, cost_of)
    found = _weighed(Counted(), cost_of, tmp_path / "c", stop_after)
    found += _weighed(resumed, cost_of, tmp_path / "c")

    assert found == expected
    assert float(resumed.weight.detach()) == float(whole.weight.detach())
