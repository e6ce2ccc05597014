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
