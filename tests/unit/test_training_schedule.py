"""How fast a training goes: it warms up, slows down to a stop, and no step is thrown off."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from radnet.datasets.liver_cases import Case
from radnet.datasets.samples import Sample
from radnet.training import arithmetic, classify, jobs, transfer
from radnet.training.arithmetic import Arithmetic
from radnet.training.loop import LARGEST_GRADIENT, Progress, optimise

STEPS = 240


@dataclass(frozen=True)
class Plan:
    """A training of a few hundred quick steps."""

    steps: int = STEPS
    minutes: float = 0
    seed: int = 1
    rate: float = 0.1
    decay: float = 0.0
    sources: dict[str, str] = field(default_factory=dict)


class Slope(nn.Module):
    """One weight that is pulled the same way at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train in f32 without measuring anything."""
    monkeypatch.setattr(arithmetic, "settled", lambda _begun: Arithmetic("f32", "made"))


def run(pull: float = 1.0) -> tuple[list[Progress], list[float], list[float]]:
    """Return every step's progress, how far it moved the weight, and the gradient it took."""
    net = Slope()

    def batches(first: int) -> Iterator[int]:
        yield from range(first, STEPS)

    def loss(_net: nn.Module, batch: int, _half: bool) -> Tensor:
        return (net.weight * (pull if batch == STEPS // 2 else 1.0)).sum()

    seen, places, taken = [], [0.0], []
    for step in optimise(net, batches, loss, Plan()):
        seen.append(step)
        places.append(float(net.weight.detach()))
        assert net.weight.grad is not None
        taken.append(float(net.weight.grad.norm()))
    return seen, [abs(after - before) for before, after in pairwise(places)], taken


def test_the_learning_rate_rises_once_and_then_falls_to_nothing() -> None:
    """A rate that never falls ends on whatever the last batches wanted."""
    steps, moved, _ = run()
    rates = [step.rate for step in steps]
    top = rates.index(max(rates))

    assert len(rates) == STEPS
    assert max(rates) <= Plan().rate
    assert 0 < top < STEPS // 4
    assert rates[0] < max(rates) / 10  # the first gradients are of a network that knows nothing
    assert all(one < two for one, two in pairwise(rates[: top + 1]))
    assert all(one > two for one, two in pairwise(rates[top:]))
    assert rates[-1] < max(rates) / 50
    assert moved[-2] < max(moved) / 20  # and the weights go by it


def test_no_gradient_throws_the_weights_off() -> None:
    """One batch of garbage weighs no more than any other."""
    steps, moved, taken = run(pull=1e6)

    assert steps[-1].skipped == 0
    assert max(taken) <= LARGEST_GRADIENT * 1.001
    assert max(moved) < 5 * Plan().rate


@pytest.mark.parametrize("seed", [0, 1, 17, 397, 449, 474, 899, 900, 949, 4_000])
@pytest.mark.parametrize("rank", [0, 1, 3])
def test_held_out_phantoms_are_learned_by_no_training(
    seed: int, rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever --seed it is given: they judge it, and choose its thresholds."""
    drawn: list[range] = []

    def remember(count: int, seed: int, workers: int = 2) -> list[Sample]:
        del workers
        drawn.append(range(seed, seed + count))
        return []

    monkeypatch.setattr(classify, "phantom_samples", remember)
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setattr(classify, "classifier_network", lambda _: nn.Linear(1, 1))
    plan = classify.ClassifierPlan("made", minutes=0, seed=seed)

    classify.start(plan)
    classify.held_out_phantoms(plan)

    learned, judged = drawn
    assert learned.stop <= judged.start or judged.stop <= learned.start


@pytest.mark.parametrize("seed", [0, 13, 449, 474, 475, 899, 4_000])
def test_no_liver_phantom_that_judges_is_learned_from(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --seed 474 both once began with the same one."""
    drawn: list[int] = []

    def remember(_count: int, seed: int) -> list[Case]:
        drawn.append(seed)
        return []

    monkeypatch.setattr(transfer, "phantom_cases", remember)
    monkeypatch.setattr(transfer, "liver_network", lambda _: nn.Linear(1, 1))

    transfer.start(transfer.LiverPlan("made", minutes=0, seed=seed), [], None)

    assert abs(drawn[0] - jobs.HELD_OUT_SEED) >= 100_000  # more than either draws
