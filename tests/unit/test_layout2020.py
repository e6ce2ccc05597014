"""The network of 2020: sizes as its authors released it (field/model.md A1)."""

import warnings

import pytest
import torch

from radnet.errors import WeightsError
from radnet.network.build import classifier_network, liver_network
from radnet.network.encoder import frozen_parts, hold_frozen
from radnet.network.layout2020 import DENSE, LiverNet2020, RadNet2020

TWO_MORE_SEQUENCES = 2 * (DENSE + 1) / 1e6


def millions(net: torch.nn.Module) -> float:
    """Return the number of trained parameters in millions."""
    return sum(p.numel() for p in net.parameters()) / 1e6


@torch.inference_mode()
def test_classifier_has_the_released_size() -> None:
    """62.8 million parameters and five heads; 48 x 192 x 192 becomes 3 x 6 x 6."""
    net = classifier_network("radnet50-2020").eval()
    stack = torch.zeros(1, 1, 16, 64, 64)

    scan, cells = net(stack)

    assert isinstance(net, RadNet2020)
    assert millions(net) - TWO_MORE_SEQUENCES == pytest.approx(62.8, abs=0.1)
    assert (scan.shape, cells.shape) == ((1, 7 + 3 + 2 + 1), (1, 2, 9))
    assert [tuple(m.shape[1:]) for m in net.encoder(stack)] == [
        (64, 16, 32, 32), (256, 8, 16, 16), (512, 4, 8, 8), (1024, 2, 4, 4), (2048, 1, 2, 2),
    ]  # fmt: skip


@torch.inference_mode()
def test_a_traced_classifier_takes_any_number_of_slices() -> None:
    """It serves like the others: eight slices a cell, whatever the length it was traced at."""
    net = RadNet2020().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer
        traced = torch.jit.trace(net, torch.zeros(1, 1, 24, 32, 32))

    for slices in (24, 32, 40):
        stack = torch.rand(1, 1, slices, 32, 32)
        assert traced(stack)[1].shape == (1, slices // 8, 9)
        torch.testing.assert_close(traced(stack)[0], net(stack)[0], rtol=1e-3, atol=1e-4)


@torch.inference_mode()
def test_segmenter_has_the_released_size() -> None:
    """87.6 million parameters, a logit for every voxel."""
    net = liver_network("radnet50-2020").eval()

    assert isinstance(net, LiverNet2020)
    assert millions(net) == pytest.approx(87.6, abs=0.6)
    assert net(torch.zeros(1, 1, 16, 64, 64)).shape == (1, 1, 16, 64, 64)


def test_its_encoder_can_be_frozen_block_by_block() -> None:
    """The poster's Table 2 runs on the poster's network."""
    encoder = LiverNet2020().encoder

    assert len(frozen_parts(encoder, "block2")) == 3
    hold_frozen(encoder, "all")
    assert not any(p.requires_grad for p in encoder.parameters())


def test_an_unknown_preset_is_named_with_all_that_are_known() -> None:
    """The 2020 layout is one of them."""
    with pytest.raises(WeightsError, match="radnet50-2020"):
        liver_network("radnet51")
