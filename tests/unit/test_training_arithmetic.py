"""In which precision a training computes: never in a slower one, never in an unsound one."""

import pytest
import torch

from radnet.training import arithmetic, ranks
from radnet.training.arithmetic import Arithmetic, TrainedPrecision, choose


def never(*_: object) -> float:
    """Stand where nothing may be measured."""
    raise AssertionError("measured in vain")


def times(f32: float, bf16: float) -> dict[TrainedPrecision, float]:
    """Return what a measurement found, in seconds."""
    return {"f32": f32, "bf16": bf16}


def test_a_processor_without_bf16_trains_in_f32() -> None:
    """There it is only imitated: 1.63 s against 0.32 s for one convolution (AVX2)."""
    found = choose(False, lambda: bool(never()), never)

    assert found.precision == "f32"
    assert "processor" in found.because


def test_unsound_gradients_are_not_made_faster() -> None:
    """Garbage may be quick: speed is not asked for."""
    assert choose(True, lambda: False, never).precision == "f32"


@pytest.mark.parametrize(
    ("measured", "expected"), [(times(0.3, 0.1), "bf16"), (times(0.32, 1.63), "f32")]
)
def test_the_faster_is_taken_and_both_times_are_told(
    measured: dict[TrainedPrecision, float], expected: str
) -> None:
    """Also where the processor says that it has bf16: oneDNN may have been told not to use it."""
    found = choose(True, lambda: True, measured.__getitem__)

    assert found.precision == expected
    assert (found.f32_s, found.bf16_s) == (measured["f32"], measured["bf16"])


def test_a_training_goes_on_in_the_precision_it_began_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured again after a kill -9, the choice might fall the other way."""
    fast = Arithmetic("bf16", "measured", 0.3, 0.1)
    monkeypatch.setattr(arithmetic, "of_this_machine", lambda: fast)

    assert arithmetic.settled("").half
    assert arithmetic.settled("bf16") is fast
    assert not arithmetic.settled("f32").half


def test_a_checkpoint_from_another_machine_does_not_bring_its_bf16(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would be imitated here."""
    slow = Arithmetic("f32", "this processor has no bf16 of its own")
    monkeypatch.setattr(arithmetic, "of_this_machine", lambda: slow)

    found = arithmetic.settled("bf16")

    assert not found.half
    assert "began in bf16" in found.because


def test_every_rank_computes_as_rank_0_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each measures by itself; weights that are averaged must be made alike."""
    monkeypatch.setattr(arithmetic, "of_this_machine", lambda: Arithmetic("f32", "measured"))
    monkeypatch.setattr(ranks, "agreed", lambda _: 1.0)

    assert arithmetic.settled("").half


def test_both_precisions_can_be_measured_here() -> None:
    """On any machine, imitated or not."""
    assert all(arithmetic.convolution_seconds(one) > 0 for one in ("f32", "bf16"))
    assert arithmetic.bf16_gradients_sound() in (True, False)
    assert arithmetic.of_this_machine() is arithmetic.of_this_machine()


def test_a_gradient_that_is_wrong_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch does at two slices: another tensor, finite and plausible."""
    right = arithmetic.weight_gradient

    def wrong(layer: torch.nn.Conv3d, stack: torch.Tensor, half: bool) -> torch.Tensor:
        return right(layer, stack, False) * (1.2 if half else 1.0)

    monkeypatch.setattr(arithmetic, "weight_gradient", wrong)

    assert not arithmetic.bf16_gradients_sound()


@pytest.mark.parametrize(("factor", "sound"), [(1.04, True), (0.96, True), (1.06, False)])
def test_a_gradient_may_be_wrong_by_a_twentieth(
    factor: float, sound: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of its length; rounding to 8 bits makes less than a hundredth."""
    exact = torch.tensor([3.0, -4.0])
    monkeypatch.setattr(
        arithmetic, "weight_gradient", lambda *told: exact * (factor if told[2] else 1.0)
    )

    assert arithmetic.bf16_gradients_sound() is sound


def test_one_unsound_depth_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every depth that the encoder's deeper blocks see is tried, and NaN is no agreement."""
    seen = []

    def gradient(_: torch.nn.Conv3d, stack: torch.Tensor, half: bool) -> torch.Tensor:
        seen.append((stack.shape[2], half))
        return torch.tensor([float("nan") if half and stack.shape[2] == 6 else 1.0])

    monkeypatch.setattr(arithmetic, "weight_gradient", gradient)

    assert not arithmetic.bf16_gradients_sound((3, 6, 8))
    assert seen == [(3, False), (3, True), (6, False), (6, True)]
    assert arithmetic.bf16_gradients_sound((3, 8))


def test_the_least_of_a_few_times_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What else runs makes a step slower, never faster."""
    clock = iter([0.0, 5.0, 10.0, 11.5, 20.0, 23.0])
    halves = []
    monkeypatch.setattr("radnet.training.arithmetic.time.perf_counter", lambda: next(clock))
    monkeypatch.setattr(arithmetic, "weight_gradient", lambda *told: halves.append(told[2]))

    assert arithmetic.convolution_seconds("bf16") == 1.5
    assert halves == [True] * 3


@pytest.mark.parametrize(
    ("gpu", "own", "mkldnn", "precision", "because"),
    [
        (True, True, True, "bf16", "this GPU computes it itself"),
        (True, False, True, "f32", "this GPU has no bf16 of its own"),
        (False, False, False, "f32", "torch has no oneDNN here"),
        (False, False, True, "f32", "this processor has no bf16 of its own"),
    ],
)
def test_the_machine_is_asked_before_anything_is_measured(
    gpu: bool, own: bool, mkldnn: bool, precision: str, because: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A GPU that imitates bf16 does so slowly."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(
        torch.cuda,
        "is_bf16_supported",
        lambda including_emulation=True: own or including_emulation,
    )
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: mkldnn)
    monkeypatch.setattr(arithmetic, "best_precision", lambda: "f32")
    monkeypatch.setattr(arithmetic, "bf16_gradients_sound", never)

    found = arithmetic.of_this_machine.__wrapped__()

    assert (found.precision, found.because) == (precision, because)
    assert found.half is (precision == "bf16")


@pytest.mark.parametrize(("here", "agreed"), [("f32", 1.0), ("bf16", 0.0)])
def test_a_rank_that_measured_otherwise_gives_in(
    here: TrainedPrecision, agreed: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In either direction, and says why."""
    monkeypatch.setattr(arithmetic, "of_this_machine", lambda: Arithmetic(here, "measured"))
    monkeypatch.setattr(ranks, "agreed", lambda _: agreed)

    found = arithmetic.settled("")

    assert found == Arithmetic("bf16" if here == "f32" else "f32", "rank 0 measured so")
