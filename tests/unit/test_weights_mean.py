"""The weights of a finished training are the mean of its last steps, and no other mean."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from radnet.training import arithmetic, checkpoint
from radnet.training.arithmetic import Arithmetic
from radnet.training.loop import optimise


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
