"""The runtime of a network: what it costs to make one, and that it answers as torch does."""

import multiprocessing
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from radnet.inference.conversion import converted
from radnet.inference.runtime import OpenVinoRuntime
from radnet.network.decoder import LiverNet
from radnet.network.heads import RadNet, WithFeatures
from tests.small_training import SMALL

SIDE = (32, 64)


@pytest.mark.parametrize("depth", [8, 40])
@pytest.mark.parametrize("of_a_scan", [True, False], ids=["classifier", "liver"])
def test_a_network_runs_once_to_be_converted_and_answers_for_any_depth(
    of_a_scan: bool, depth: int
) -> None:
    """It ran five times, 12 s of a worker's start: the converter had it traced and compared."""
    torch.manual_seed(0)
    net = (WithFeatures(RadNet(SMALL)) if of_a_scan else LiverNet(SMALL)).eval()
    passes: list[int] = []
    net.register_forward_pre_hook(lambda _net, given: passes.append(given[0].shape[2]))

    run = OpenVinoRuntime(converted(net, SIDE), "f32")

    assert len(passes) == 1
    stack = np.random.default_rng(0).standard_normal((1, 1, depth, *SIDE)).astype(np.float32)
    with torch.inference_mode():
        expected = net(torch.from_numpy(stack))
    for found, truth in zip(run(stack), expected if of_a_scan else (expected,), strict=True):
        np.testing.assert_allclose(found, truth.numpy(), rtol=1e-3, atol=1e-4)


def test_a_conversion_tells_nobody_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO forked the process, threads and all, to call a server outside the hospital."""
    started = Mock()
    monkeypatch.setattr(multiprocessing.Process, "start", started)
    torch.manual_seed(0)

    converted(RadNet(SMALL).eval(), SIDE)

    started.assert_not_called()
