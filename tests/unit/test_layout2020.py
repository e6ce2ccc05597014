"""The network of 2020: sizes as its authors released it (field/model.md A1)."""

import pytest
import torch

from radnet.network.layout2020 import HEADS, LiverNet2020, RadNet2020


def millions(net: torch.nn.Module) -> float:
    """Return the number of trained parameters in millions."""
    return sum(p.numel() for p in net.parameters()) / 1e6


@torch.inference_mode()
def test_classifier_has_the_released_size_and_heads() -> None:
    """62.8 million parameters, five heads, 48 x 192 x 192 to 3 x 6 x 6."""
    net = RadNet2020().eval()
    stack = torch.zeros(1, 1, 16, 64, 64)

    said = net(stack)

    assert millions(net) == pytest.approx(62.8, abs=0.1)
    assert {name: tuple(logits.shape) for name, logits in said.items()} == {
        name: (1, size) for name, size in HEADS.items()
    }
    assert [tuple(m.shape[1:]) for m in net.encoder(stack)] == [
        (64, 16, 32, 32), (256, 8, 16, 16), (512, 4, 8, 8), (1024, 2, 4, 4), (2048, 1, 2, 2),
    ]  # fmt: skip


@torch.inference_mode()
def test_segmenter_has_the_released_size() -> None:
    """87.6 million parameters, a logit for every voxel."""
    net = LiverNet2020().eval()

    assert millions(net) == pytest.approx(87.6, abs=0.6)
    assert net(torch.zeros(1, 1, 16, 64, 64)).shape == (1, 1, 16, 64, 64)
