"""The networks' shapes, strides and freezing, and what a weights file must prove."""

from pathlib import Path

import pytest
import torch

from radnet.errors import WeightsError
from radnet.labels.vocabulary import Region
from radnet.network.decoder import LiverNet
from radnet.network.encoder import FREEZE_MODES, frozen_parts, hold_frozen
from radnet.network.heads import RadNet
from radnet.network.outputs import HEAD_SIZES
from radnet.network.presets import PRESETS, preset
from radnet.network.weights import fill, load_weights, save_weights

TINY = preset("radnet10-tiny")
RECORD = {"task": "classifier", "preset": TINY.name}


@pytest.mark.parametrize("slices", [24, 40])
def test_one_cell_of_coverage_is_eight_slices(slices: int) -> None:
    """The region of proposal is read off the cells; their size is part of the contract."""
    scan, cells = RadNet(TINY).eval()(torch.zeros(2, 1, slices, 32, 32))

    assert scan.shape == (2, sum(HEAD_SIZES))
    assert cells.shape == (2, slices // 8, len(Region))


def test_the_stem_keeps_every_slice() -> None:
    """Thin structures along the slice axis survive until the first pooling."""
    maps = RadNet(TINY).encoder.eval()(torch.zeros(1, 1, 24, 64, 64))

    assert [tuple(features.shape[2:]) for features in maps] == [
        (24, 32, 32),
        (12, 16, 16),
        (6, 8, 8),
        (3, 4, 4),
        (3, 2, 2),
    ]
    assert tuple(features.shape[1] for features in maps) == TINY.channels


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_segments_on_the_grid_of_its_input(name: str) -> None:
    """One decoder fits every encoder, bottlenecks as well."""
    with torch.device("meta"):
        logits = LiverNet(preset(name))(torch.zeros(2, 1, 16, 64, 64))

    assert logits.shape == (2, 1, 16, 64, 64)


def test_an_unknown_preset_names_the_known_ones() -> None:
    """A typing mistake is answered with what could have been meant."""
    with pytest.raises(WeightsError, match="radnet18"):
        preset("radnet11")


@pytest.mark.parametrize("mode", FREEZE_MODES)
def test_frozen_parts_do_not_drift(mode: str) -> None:
    """Frozen batch normalisation must not follow the new data by its running statistics."""
    net = RadNet(TINY)
    net.train()
    hold_frozen(net.encoder, mode)
    before = {name: value.clone() for name, value in net.encoder.state_dict().items()}
    frozen = {id(p) for part in frozen_parts(net.encoder, mode) for p in part.parameters()}

    scan, _ = net(torch.randn(2, 1, 24, 32, 32))
    scan.sum().backward()

    trained = [p for p in net.encoder.parameters() if p.grad is not None]
    assert not frozen & {id(p) for p in trained}
    moved = {n for n, v in net.encoder.state_dict().items() if not torch.equal(v, before[n])}
    stages = 4 if mode == "all" else int(mode[-1]) if mode != "none" else 0
    kept = ("stem", *(f"stages.{stage}." for stage in range(stages))) if stages else ()
    assert not [name for name in moved if name.startswith(kept)]
    assert bool(moved) == (mode != "all")


def test_weights_return_as_they_were_written(tmp_path: Path) -> None:
    """Half precision is all that is lost, and the digest is that of the file."""
    net, path = RadNet(TINY), tmp_path / "w.safetensors"
    save_weights(path, net, RECORD)

    weights = load_weights(path, "classifier")
    again = RadNet(TINY)
    fill(again, weights, path.name)

    assert weights.record == RECORD
    assert len(weights.digest) == 64
    torch.testing.assert_close(again.scan.weight, net.scan.weight, atol=1e-3, rtol=1e-3)


def test_weights_of_another_task_are_refused(tmp_path: Path) -> None:
    """A classifier must not be started as a segmenter by a mixed-up path."""
    save_weights(tmp_path / "w.safetensors", RadNet(TINY), RECORD)

    with pytest.raises(WeightsError, match="made for 'classifier'; expected 'liver'"):
        load_weights(tmp_path / "w.safetensors", "liver")


def test_a_damaged_weights_file_is_refused(tmp_path: Path) -> None:
    """Half a file must not become a network."""
    path = tmp_path / "w.safetensors"
    save_weights(path, RadNet(TINY), RECORD)
    path.write_bytes(path.read_bytes()[:1000])

    with pytest.raises(WeightsError, match="cannot be read"):
        load_weights(path, "classifier")


def test_missing_weights_are_named(tmp_path: Path) -> None:
    """The message says which file; the operator gave its path."""
    with pytest.raises(WeightsError, match=r"gone\.safetensors: no such file"):
        load_weights(tmp_path / "gone.safetensors", "classifier")


def test_weights_of_another_layout_are_refused(tmp_path: Path) -> None:
    """Tensors are matched by name and shape, never by order."""
    path = tmp_path / "w.safetensors"
    save_weights(path, LiverNet(TINY), RECORD)

    with pytest.raises(WeightsError, match="do not fit"):
        fill(RadNet(TINY), load_weights(path, "classifier"), path.name)
