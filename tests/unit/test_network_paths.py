"""What a network is made of takes part (skips, statistics, cells), and serves as it was judged."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from radnet.datasets.samples import Sample, collate
from radnet.inference.classifier import Classifier, Prediction
from radnet.inference.conversion import TorchRuntime, served_network
from radnet.inference.preparation import AIR_HU, Array
from radnet.inference.segmenter import window_probability
from radnet.labels.vocabulary import MR_SEQUENCES, Contrast, Plane, Region
from radnet.network.decoder import LiverNet
from radnet.network.heads import RadNet, WithFeatures, scan_coverage
from radnet.network.outputs import HEAD_SIZES
from radnet.network.presets import PRESETS
from radnet.network.weights import load_weights, save_weights
from radnet.training import classify, transfer
from tests.made_volume import made_volume
from tests.small_training import SMALL

COLUMNS = sum(HEAD_SIZES)
RECORD = {"task": "classifier", "preset": SMALL.name}


@pytest.fixture(autouse=True)
def small_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let networks be built by the name of the small one, and alike."""
    monkeypatch.setitem(PRESETS, SMALL.name, SMALL)
    torch.manual_seed(0)


class Fixed(nn.Module):
    """An encoder that says what it was given, of whatever it sees."""

    def __init__(self, maps: list[Tensor]) -> None:
        super().__init__()
        self.maps = maps

    def forward(self, _stack: Tensor) -> list[Tensor]:
        """Return the maps."""
        return self.maps


def test_every_map_of_the_encoder_reaches_the_mask() -> None:
    """A V-Net without its skips still trains, and loses the border of the liver."""
    net, stack = LiverNet(SMALL).eval(), torch.rand(1, 1, 8, 32, 32)
    maps = [one.detach().requires_grad_() for one in net.encoder(stack)]
    net.encoder = cast("Any", Fixed(maps))

    pulls = torch.autograd.grad(net(stack).sum(), maps)

    assert len(pulls) == 5
    assert [float(pull.abs().max()) for pull in pulls if not pull.abs().max() > 0] == []


@torch.inference_mode()
def test_the_mask_sees_the_scan_itself() -> None:
    """The encoder begins at half the resolution in plane: its maps alone draw no border."""
    net, stack = LiverNet(SMALL).eval(), torch.rand(1, 1, 8, 32, 32)
    net.encoder = cast("Any", Fixed(net.encoder(stack)))

    assert (net(stack) - net(1 - stack)).abs().max() > 1e-4


def test_an_encoder_is_transferred_whole(tmp_path: Path) -> None:
    """With the statistics of its normalisation: without them its weights see another picture."""
    classifier = RadNet(SMALL)
    classifier.encoder(3 + 2 * torch.randn(2, 1, 16, 32, 32))  # statistics of its own
    path = tmp_path / "c.safetensors"
    save_weights(path, classifier, RECORD)
    net = LiverNet(SMALL)

    transfer.transfer(net, path)

    given = classifier.encoder.state_dict()
    assert any("running_var" in name for name in given)
    for name, tensor in net.encoder.state_dict().items():
        torch.testing.assert_close(tensor.float(), given[name].float(), atol=2e-3, rtol=2e-3)
    stack = torch.rand(1, 1, 8, 32, 32)
    with torch.inference_mode():
        seen, expected = net.eval().encoder(stack), classifier.eval().encoder(stack)
    for one, other in zip(seen, expected, strict=True):
        assert (one - other).norm() < 0.01 * other.norm()


def served(scan: list[float], cells: Array, **record: Any) -> Prediction:
    """Return what is served of outputs: of `scan`, and of `cells` (cell, 9)."""

    def run(_stack: Array) -> list[Array]:
        return [np.array([scan], np.float32), cells[None], np.ones((1, 4), np.float32)]

    shape = (8 * len(cells), 30, 30)
    array = np.random.default_rng(0).uniform(0, 900, shape).astype(np.float32)
    network = Classifier(cast("Any", run), record, "0" * 64, "made")
    return network.classify(made_volume(array, np.diag([4.0, 5.0, 5.0, 1.0])), "MR")


def test_a_region_in_one_cell_is_in_the_scan() -> None:
    """A liver at the lower end of a chest is covered: a mean would drown it; learned as served."""
    cells = np.full((6, len(Region)), -6, np.float32)
    for index in range(len(Region)):
        cells[index % 6, index] = 3 + index

    found = served([0.0] * COLUMNS, cells).coverage
    shown = torch.tensor([len(cells)])
    learned = torch.sigmoid(scan_coverage(torch.from_numpy(cells)[None], shown))[0]

    assert min(found.values()) > 0.9
    assert list(found) == list(Region)
    np.testing.assert_allclose(list(found.values()), learned.numpy(), atol=1e-6)


@pytest.mark.parametrize("index", range(COLUMNS - 2))
def test_the_classes_are_served_by_the_names_that_they_were_learned_by(index: int) -> None:
    """One swapped pair of names, and no figure on the training's side would show it."""
    names = [*MR_SEQUENCES, *Plane, *Contrast]
    outputs = [0.0] * COLUMNS
    outputs[1 + index] = 9.0  # the first column is CT's

    said = served(outputs, np.zeros((3, len(Region)), np.float32))

    spreads: list[dict[Any, float]] = [dict(said.sequence), dict(said.plane), dict(said.contrast)]
    sure = [name for spread in spreads for name, p in spread.items() if p > 0.9]
    assert sure == [names[index]]


@pytest.mark.parametrize("head", ["sequence", "plane", "contrast", "coverage"])
def test_each_head_is_cooled_by_its_own_temperature(head: str) -> None:
    """Without it the probabilities promise what the held-out scans did not keep."""
    outputs, cells = [0.0, 4.0] + [0.0] * (COLUMNS - 2), np.full((3, len(Region)), 4, np.float32)
    outputs[7], outputs[10] = 4.0, 4.0
    heat = dict.fromkeys(("sequence", "plane", "contrast", "coverage"), 1.0)

    cold = served(outputs, cells, temperature=heat)
    warm = served(outputs, cells, temperature=heat | {head: 4.0})

    for name in heat:
        first, second = max(getattr(cold, name).values()), max(getattr(warm, name).values())
        assert (second < first - 0.1) if name == head else (second == first), name


def test_a_spacing_that_was_learned_is_served_in_mm() -> None:
    """The network answers a logarithm; both sides must mean the same one."""
    image = np.zeros((24, 96, 96), np.float16)
    slices = np.zeros((24, len(Region)), np.float32)
    sample = Sample(image, 0.0, 0, 0, 0, 7.5, np.zeros(len(Region), np.float32), slices)
    learned = float(collate([sample]).log_spacing[0])

    found = served([0.0] * (COLUMNS - 1) + [learned], np.zeros((3, len(Region)), np.float32))

    assert found.spacing_mm == pytest.approx(7.5, rel=1e-4)


class Cells(nn.Module):
    """A classifier whose features are known, one for each cell."""

    def pooled(self, stack: Tensor) -> Tensor:
        """Return (B, 2, cells): the number of the cell, and one."""
        cells = stack.shape[2] // 8
        return torch.stack([torch.arange(float(cells)), torch.ones(cells)])[None]

    def answers(self, pooled: Tensor, cells: int) -> tuple[Tensor, Tensor]:
        """Return nothing in particular."""
        return torch.zeros(len(pooled), COLUMNS), torch.zeros(len(pooled), cells, len(Region))


def test_the_features_of_a_scan_are_the_mean_of_its_cells() -> None:
    """A long scan is no stranger than a short one: none of its cells speaks for all."""
    *_, features = WithFeatures(Cells())(torch.zeros(1, 1, 24, 8, 8))

    assert features.tolist() == [[1.0, 1.0]]


def test_training_drops_features_and_serving_does_not(tmp_path: Path) -> None:
    """Twice the same answer, and that of the network in `eval()`, whatever mode it was left in."""
    net, stack = RadNet(SMALL).train(), torch.rand(1, 1, 24, 96, 96)
    first, second = net(stack), net(stack)
    assert not torch.equal(first[0], second[0])  # of the scan
    assert not torch.equal(first[1], second[1])  # of the cells
    save_weights(tmp_path / "c.safetensors", net, RECORD)
    weights = load_weights(tmp_path / "c.safetensors", "classifier")

    serving = served_network("classifier", weights, "c")
    runtime = TorchRuntime(served_network("classifier", weights, "c").train(), "f32", "cpu")

    assert not any(part.training for part in serving.modules())
    once, again = runtime(stack.numpy()), runtime(stack.numpy())
    with torch.inference_mode():
        expected = serving(stack)
    for one, two, three in zip(once, again, expected, strict=True):
        assert np.array_equal(one, two)
        np.testing.assert_allclose(one, three.numpy(), atol=1e-4)


def test_a_classifier_is_judged_as_it_serves() -> None:
    """Not with dropped features, and without moving a statistic: also in the midst of training."""
    net = RadNet(SMALL).train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 1, (24, 96, 96)).astype(np.float16)
    slices = np.zeros((24, len(Region)), np.float32)
    one = Sample(image, 0.0, 0, 0, 0, 4.0, np.zeros(len(Region), np.float32), slices)

    heads, _ = classify.predict(net, [one])

    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    with torch.inference_mode():
        scan, _ = net.eval()(collate([one]).stack)
    torch.testing.assert_close(heads.sequence, scan[:, 1:7])


@pytest.mark.parametrize("depth", [20, 48, 70, 131])
def test_overlapping_windows_say_what_each_of_them_says(depth: int) -> None:
    """Where all agree, no slice is surer or less sure for lying in two of them."""
    hounsfield = np.full((depth, 32, 32), 60, np.float32)

    said = window_probability(
        lambda stack: [np.full(stack.shape, 1.0, np.float32)], hounsfield, lambda _: None
    )

    np.testing.assert_allclose(said, 1 / (1 + np.exp(-1.0)), atol=1e-5)
    assert AIR_HU < -1000
