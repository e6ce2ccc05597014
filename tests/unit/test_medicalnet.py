"""MedicalNet's file starts an encoder, or says why it does not fit."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from radnet.errors import WeightsError
from radnet.evaluation.liver_score import Score
from radnet.network.encoder import Encoder
from radnet.network.medicalnet import fill_encoder
from radnet.network.presets import preset
from radnet.training import experiments, trials
from radnet.training.arms import FREEZE
from radnet.training.trials import Plans


def medicalnet(name: str, *, downsample: bool = True) -> dict[str, Tensor]:
    """Return a state dict as MedicalNet saves it, of the depth of a preset."""
    torch.manual_seed(1)
    found = {
        "module.conv1.weight": torch.randn(64, 1, 7, 7, 7),
        "module.conv_seg.0.weight": torch.randn(2, 512, 3, 3, 3),
    }
    for key, tensor in Encoder(preset(name)).state_dict().items():
        if "num_batches" in key or (not downsample and "downsample" in key):
            continue
        theirs = key.replace("stem.1.", "bn1.")
        for stage in range(4):
            theirs = theirs.replace(f"stages.{stage}.", f"layer{stage + 1}.")
        if "stem.0" not in key:
            found[f"module.{theirs}"] = torch.rand_like(tensor)
    return found


def saved(path: Path, state: dict[str, Tensor]) -> Path:
    """Write a file as MedicalNet's training does."""
    torch.save({"state_dict": state}, path)
    return path


@pytest.mark.parametrize("name", ["radnet10", "radnet50"])
def test_every_block_is_taken_over(name: str, tmp_path: Path) -> None:
    """Four layers by name and shape; planes of the stem are added, not thrown away."""
    state = medicalnet(name)
    encoder = Encoder(preset(name))

    fill_encoder(encoder, saved(tmp_path / "resnet.pth", state))

    ours = encoder.state_dict()
    for theirs, key in (
        ("layer1.0.conv1.weight", "stages.0.0.conv1.weight"),
        ("layer4.0.bn2.running_var", "stages.3.0.bn2.running_var"),
        ("layer3.0.downsample.0.weight", "stages.2.0.downsample.0.weight"),
        ("bn1.bias", "stem.1.bias"),
    ):
        assert torch.equal(ours[key], state[f"module.{theirs}"]), key
    stem, theirs_stem = ours["stem.0.weight"], state["module.conv1.weight"]
    torch.testing.assert_close(stem.sum(dim=2), theirs_stem.sum(dim=2))


def test_shortcuts_without_weights_keep_ours(tmp_path: Path) -> None:
    """MedicalNet's ResNet-18 pads its shortcuts with zeros and has no weights there."""
    encoder = Encoder(preset("radnet18"))
    before = encoder.state_dict()["stages.1.0.downsample.0.weight"].clone()

    fill_encoder(encoder, saved(tmp_path / "r.pth", medicalnet("radnet18", downsample=False)))

    assert torch.equal(encoder.state_dict()["stages.1.0.downsample.0.weight"], before)


@pytest.mark.parametrize(
    ("theirs", "ours", "why"),
    [
        ("radnet10", "radnet10-tiny", "shape"),
        ("radnet10", "radnet18", "missing"),
        ("radnet18", "radnet10", "deeper"),
    ],
)
def test_another_depth_or_width_is_refused(
    theirs: str, ours: str, why: str, tmp_path: Path
) -> None:
    """Which tensor, and which presets would fit; the encoder stays as it was."""
    encoder = Encoder(preset(ours))
    before = encoder.state_dict()["stages.0.0.conv1.weight"].clone()

    with pytest.raises(WeightsError, match=why):
        fill_encoder(encoder, saved(tmp_path / "r.pth", medicalnet(theirs)))

    assert torch.equal(encoder.state_dict()["stages.0.0.conv1.weight"], before)


def test_a_file_that_would_run_code_is_not_opened(tmp_path: Path) -> None:
    """Only tensors are unpickled."""
    path = tmp_path / "r.pth"
    torch.save({"state_dict": {"module.conv1.weight": Path("/etc")}}, path)

    with pytest.raises(WeightsError, match="tensors alone"):
        fill_encoder(Encoder(preset("radnet10-tiny")), path)


def test_other_files_are_told_by_name(tmp_path: Path) -> None:
    """Text, or tensors of something else."""
    encoder = Encoder(preset("radnet10-tiny"))
    (tmp_path / "text.pth").write_text("weights")

    with pytest.raises(WeightsError, match=r"text\.pth"):
        fill_encoder(encoder, tmp_path / "text.pth")
    with pytest.raises(WeightsError, match="no layer1"):
        fill_encoder(encoder, saved(tmp_path / "other.pth", {"head.weight": torch.ones(2)}))


def test_an_experiment_transfers_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `radnet train --start` takes it; the arm without transfer stays without it."""
    state = medicalnet("radnet10")
    path = saved(tmp_path / "resnet_10.pth", state)
    begun: list[nn.Module] = []

    def scored(net: nn.Module, case: object) -> Score:
        del case
        begun.append(net)
        return Score(1.0, 1.0, 0.0, 0.0)

    monkeypatch.setattr(trials, "score", scored)
    monkeypatch.setattr("radnet.training.transfer.train", lambda *_: iter(()))
    cases: Any = ([object()], [SimpleNamespace(name="c", patient="")])
    for arm in (FREEZE[0], FREEZE[-1]):
        budget = experiments.TrainingBudget(steps=1, seeds=1, preset="radnet10")
        trials.run_arm(arm, cases, Plans(budget, path, tmp_path, {}), lambda _: None)

    theirs = state["module.layer1.0.conv1.weight"]
    ours = [net.get_parameter("encoder.stages.0.0.conv1.weight") for net in begun]
    assert [torch.equal(one, theirs) for one in ours] == [True, False]
