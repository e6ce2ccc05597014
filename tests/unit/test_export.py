"""Exports pass a gate or are thrown away."""

from pathlib import Path

import numpy as np
import pytest
import torch

from radnet.errors import RadnetError, WeightsError
from radnet.inference import export as exporting
from radnet.inference import gates
from radnet.inference.export import export
from radnet.inference.gates import gate
from radnet.inference.preparation import LIVER_SPACING_MM, LIVER_WINDOW, axial
from radnet.inference.segmenter import LiverSegmenter
from radnet.inference.served import GateRefusedError
from radnet.labels.vocabulary import Plane, Sequence
from radnet.network.decoder import LiverNet
from radnet.network.outputs import HEAD_SIZES
from radnet.network.presets import preset
from radnet.network.weights import save_weights
from radnet.network.weights_file import shipped
from radnet.phantom.acquisition import take
from radnet.phantom.protocols import random_scan

TINY = "radnet10-tiny"


def liver_weights(folder: Path) -> Path:
    """Return a liver network with random weights."""
    torch.manual_seed(0)
    path = folder / "liver.safetensors"
    save_weights(path, LiverNet(preset(TINY)), {"task": "liver", "preset": TINY})
    return path


@pytest.mark.slow
def test_classifier_is_exported_through_its_gates(tmp_path: Path) -> None:
    """The shipped classifier: fp32 logits within 1e-4, no decision changed."""
    found = export("classifier", shipped("classifier"), tmp_path / "c", cases=3)

    assert found[0].precision == "f32"
    assert found[0].logit_error < 1e-4
    assert found[0].changed == 0
    for name in ("model.onnx", "model.xml", "model.bin", "gates.json"):
        assert (tmp_path / "c" / name).is_file()


@pytest.mark.slow
def test_liver_network_is_exported_through_its_gates(tmp_path: Path) -> None:
    """Skips, transposed convolutions and a variable number of slices survive."""
    found = export("liver", shipped("liver"), tmp_path / "l", cases=1)

    assert found[0].dice == 1
    assert all(one.refusal() is None for one in found)


@pytest.mark.slow
def test_every_case_of_the_liver_is_an_axial_ct_that_shows_one() -> None:
    """The Dice of two empty masks is 1 and tells nothing."""
    for seed in gates.SEEDS["liver"]:
        body, wanted = random_scan(np.random.default_rng(seed), LIVER_SPACING_MM)
        assert (wanted.plane, wanted.sequence) == (Plane.AXIAL, Sequence.CT)
        phantom = take(body, wanted, seed)
        liver = phantom.volume.with_array(phantom.liver.astype(np.float32))
        shown = axial(liver, outside=0.0).array[: LIVER_WINDOW[0]]
        assert shown.sum() >= gates.LEAST_LIVER, f"{seed}: the phantom has changed, choose another"


@pytest.mark.slow
def test_the_shipped_network_finds_the_liver_of_a_case() -> None:
    """So are its decisions about something."""
    run = LiverSegmenter.load().run

    for case in gates.stacks("liver", 2):
        assert (run(case)[0] > 0).sum() > gates.LEAST_LIVER / 2


def test_refused_export_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that says something else must not lie about to be picked up."""
    monkeypatch.setattr(exporting, "openvino_run", lambda *_: lambda stack: [stack + 1])
    monkeypatch.setattr(
        exporting, "stacks", lambda *_: [np.zeros((1, 1, 48, 192, 192), np.float32)]
    )

    with pytest.raises(GateRefusedError, match="f32"):
        export("liver", liver_weights(tmp_path), tmp_path / "l")

    assert not (tmp_path / "l").exists()


def without_onnx(monkeypatch: pytest.MonkeyPatch, said: float) -> None:
    """Let an export say the network's logits plus `said`; the files hold a word."""

    def openvino(path: Path, precision: str) -> gates.Run:
        del precision
        assert path.read_text() == "fresh"
        return lambda stack: [gates.torch_run(net)(stack)[0] + np.float32(said)]

    torch.manual_seed(0)
    net = LiverNet(preset(TINY)).half().float().eval()  # as it comes back from its file
    monkeypatch.setattr(exporting, "openvino_run", openvino)
    monkeypatch.setattr(
        exporting, "write_onnx", lambda _, path, side: path.write_text("fresh") + side
    )
    monkeypatch.setattr(exporting, "write_ir", lambda out: (out / "model.xml").write_text("x"))
    monkeypatch.setattr(exporting, "stacks", lambda *_: [np.ones((1, 1, 8, 32, 32), np.float32)])


def another_days(folder: Path) -> Path:
    """Return a folder with an export of another day and something else."""
    out = folder / "l"
    out.mkdir()
    for name in ("notes.txt", "model.onnx"):
        (out / name).write_text("another day's")
    return out


def test_a_refused_export_touches_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder was once deleted with all that lay in it, whoever it belonged to."""
    out = another_days(tmp_path)
    without_onnx(monkeypatch, said=1.0)

    with pytest.raises(GateRefusedError, match="f32"):
        export("liver", liver_weights(tmp_path), out)

    assert sorted(path.name for path in out.iterdir()) == ["model.onnx", "notes.txt"]
    assert (out / "model.onnx").read_text() == "another day's"


def test_an_export_takes_the_place_of_another_days(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only once it has passed its gates; what else lies there stays."""
    out = another_days(tmp_path)
    without_onnx(monkeypatch, said=0.0)

    export("liver", liver_weights(tmp_path), out)

    names = sorted(path.name for path in out.iterdir())
    assert names == ["gates.json", "model.onnx", "model.xml", "notes.txt"]
    assert (out / "model.onnx").read_text() == "fresh"
    assert (out / "notes.txt").read_text() == "another day's"


def test_an_export_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """In one sentence, before anything is computed."""
    (tmp_path / "l").write_text("a file")

    with pytest.raises(RadnetError, match="cannot be written"):
        export("liver", liver_weights(tmp_path), tmp_path / "l")


def test_gate_counts_what_changed() -> None:
    """One voxel in four that flips is a quarter of the decisions."""
    case = np.zeros((1, 1, 1, 2, 2), np.float32)
    logits = np.array([1.0, 1.0, -1.0, -1.0], np.float32).reshape(case.shape)
    other = np.array([1.0, -1.0, -1.0, -1.0], np.float32).reshape(case.shape)

    found = gate("liver", lambda _: [logits], lambda _: [other], "bf16", [case])

    assert (found.precision, found.logit_error, found.changed) == ("bf16", 2.0, 0.25)
    assert found.dice == pytest.approx(2 / 3)
    assert found.decisions == 4
    assert "25.00%" in str(found.refusal())


@pytest.mark.parametrize(("off", "kept"), [(5e-5, True), (2e-4, False)])
def test_a_logit_may_differ_by_1e_4_however_large_it_is(off: float, kept: bool) -> None:
    """It was a share of the largest logit: 20 could be off by 2e-3."""
    logits = np.array([20.0, 1.0, -1.0, -20.0], np.float32).reshape(1, 1, 1, 2, 2)

    found = gate(
        "liver", lambda _: [logits], lambda _: [logits + np.float32(off)], "f32", [logits]
    )

    assert found.logit_error == pytest.approx(off, rel=0.05)
    assert (found.refusal() is None) is kept


def test_enough_decisions_are_compared_to_tell_half_a_percent() -> None:
    """One of 144 that changed was 0.7 %: the gate for bf16 let none through."""
    scan = [np.zeros((1, sum(HEAD_SIZES)), np.float32), np.zeros((1, 3, 9), np.float32)]
    case = np.zeros((1, 1, 24, 96, 96), np.float32)
    cases = [case] * gates.CASES["classifier"]

    found = gate("classifier", lambda _: scan, lambda _: scan, "bf16", cases)

    assert found.decisions >= 200
    assert 1 / found.decisions <= gates.MOST_CHANGED["bf16"]


def test_weights_of_another_task_are_not_exported(tmp_path: Path) -> None:
    """The file is named."""
    with pytest.raises(WeightsError, match=r"liver\.safetensors"):
        export("classifier", liver_weights(tmp_path), tmp_path / "c")
