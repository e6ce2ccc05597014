"""What is strange to a network: measured, bounded, told, and without a say in the answer."""

import json
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pytest
import torch
from safetensors import safe_open

from radnet.cli import scans
from radnet.datasets.samples import Sample, phantom_sample
from radnet.datasets.seen_by_eye import UNKNOWN
from radnet.errors import WeightsError
from radnet.evaluation import calibration
from radnet.inference.classifier import Classifier, Prediction
from radnet.inference.recognise import recognise_scan, told
from radnet.inference.scan_file import read_scan_file
from radnet.inference.strangeness import Usual, outside
from radnet.network.build import classifier_network
from radnet.network.heads import RadNet, WithFeatures
from radnet.network.presets import preset
from radnet.network.weights import fill, load_weights, save_weights
from radnet.network.weights_file import shipped
from radnet.training import classify, recalibrate
from tests.made_networks import UnsureClassifier

TINY = preset("radnet10-tiny")
AXES = np.eye(4)[:2]


@pytest.fixture(scope="module")
def phantoms() -> list[Sample]:
    """Return eight phantoms."""
    return [phantom_sample(seed) for seed in range(8)]


@pytest.mark.parametrize(
    ("features", "share"),
    [([3, 4, 0, 0], 0), ([0, 0, 5, 0], 1), ([3, 0, 4, 0], 0.8), ([0, 0, 0, 0], 0)],
)
def test_strangeness_is_the_share_that_is_not_spanned(features: list[int], share: float) -> None:
    """Whatever its length; of nothing there is no share, and no warning of a division."""
    assert outside(features, AXES) == pytest.approx([share])
    assert outside(np.multiply(features, 1e6), AXES) == pytest.approx([share])


def test_strangeness_stays_below_one_where_axes_are_rounded() -> None:
    """They stand in a record to five digits."""
    assert outside([0, 0, 0, 1], np.array([[0, 0, 0, 1.5]]))[0] == 1


def test_a_record_that_says_nothing_of_what_is_usual_is_no_measure() -> None:
    """Older weights have no entry, or an empty one."""
    assert Usual.of_record({}) is None
    assert Usual.of_record({"usual": {}}) is None
    usual = Usual.of_record({"usual": {"axes": [[1.0, 0.0]], "above": 0.3, "share": 0.9}})
    assert usual is not None
    assert (usual.above, usual.share) == (0.3, 0.9)
    assert usual.axes.shape == (1, 2)


@pytest.mark.parametrize(
    ("strangeness", "strange"),
    [(None, False), (0.2, False), (0.3, False), (0.31, True), (float("nan"), True)],
)
def test_strange_is_more_than_the_bound(strangeness: float | None, strange: bool) -> None:
    """What cannot be told is not; what is no number is nothing that a network knows."""
    said = UnsureClassifier().classify(None, "CT")  # type: ignore[arg-type]

    assert replace(said, strangeness=strangeness, strange_above=0.3).strange is strange


def test_features_are_the_mean_over_the_stack() -> None:
    """As those of which the record tells; a peak anywhere would make every long scan strange."""
    torch.manual_seed(1)
    net = RadNet(TINY).eval()
    stack = torch.rand(1, 1, 48, 96, 96)

    with torch.inference_mode():
        scan, cells, features = WithFeatures(net)(stack)

        assert torch.allclose(features, net.pooled(stack).mean(dim=2))
        plain = net(stack)
    assert torch.allclose(scan, plain[0])
    assert torch.allclose(cells, plain[1])


def test_the_bound_is_of_scans_that_did_not_choose_the_axes() -> None:
    """Every second scan has a direction of its own: usual to itself, strange to the others."""
    rng = np.random.default_rng(0)
    features = np.zeros((400, 64))
    features[:, :8] = rng.normal(size=(400, 8))
    features[1::2, 8] = rng.uniform(0.5, 1.5, 200)

    record = calibration.usual(torch.from_numpy(features), torch.zeros(0, 64))

    others = outside(features[1::2], np.array(record["axes"]))
    assert record["above"] > 0.3
    assert (others > record["above"] + 1e-4).sum() == 4  # of 200: split conformal, 97.5 %
    assert len(record["axes"]) == 8  # what no scan has is not usual


def test_what_is_usual_has_so_many_directions_and_no_more() -> None:
    """With all of them nothing would be strange."""
    features = torch.from_numpy(np.random.default_rng(0).normal(size=(400, 64)))

    assert len(calibration.usual(features, features[:0])["axes"]) == calibration.AXES


def test_real_scans_have_a_say_in_what_is_usual() -> None:
    """Two of them beside two hundred phantoms."""
    features = torch.zeros(200, 64)
    features[:, :60] = torch.from_numpy(np.random.default_rng(0).normal(size=(200, 60))).float()
    real = torch.zeros(2, 64)
    real[0, 62], real[1, 63] = 3, 3

    without = Usual.of_record({"usual": calibration.usual(features, real[:0])})
    beside = Usual.of_record({"usual": calibration.usual(features, real)})

    assert without is not None
    assert beside is not None
    assert without.strangeness(real[0].numpy()) > 0.99
    assert beside.strangeness(real[0].numpy()) < 0.01


def test_the_shipped_classifier_tells_noise_from_a_scan(phantoms: list[Sample]) -> None:
    """Through the serving path, against the bound of its record."""
    classifier = Classifier.load()
    usual = classifier.record["usual"]
    noise = np.random.default_rng(0).uniform(-1000, 1000, (40, 96, 96)).astype(np.float32)

    volume = hd.Volume(noise, affine=np.diag([5.0, 5, 5, 1]), coordinate_system="PATIENT")
    said = classifier.classify(volume, "CT")

    assert said.strangeness is not None
    assert said.strange
    assert (said.strange_above, said.strange_share) == (usual["above"], usual["share"])
    net = classifier_network(TINY.name)
    fill(net, load_weights(shipped("classifier"), "classifier"), "shipped")
    features = classify.look(net, phantoms)[2]
    assert np.median(outside(features.numpy(), np.array(usual["axes"]))) < usual["above"]


def test_recalibration_changes_the_record_alone(
    phantoms: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real scans that were learned from count as known; the tensors stay as they are."""
    torch.manual_seed(1)
    before, after = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save_weights(before, RadNet(TINY), {"task": "classifier", "preset": TINY.name, "seed": 3})
    monkeypatch.setattr(classify, "held_out_phantoms", lambda _: phantoms)
    monkeypatch.setattr(recalibrate, "real_samples", lambda _: phantoms[:3])

    record = recalibrate.recalibrate(before, after)

    assert record["seed"] == 3
    assert record["usual"]["chosen_on"] == "4 held-out and 3 real scans"
    with safe_open(str(before), "pt") as one, safe_open(str(after), "pt") as other:
        assert set(one.keys()) == set(other.keys())
        for name in one.keys():  # noqa: SIM118
            assert torch.equal(one.get_tensor(name), other.get_tensor(name))
    with pytest.raises(WeightsError, match="another name"):
        recalibrate.recalibrate(before, before)


def test_a_record_is_json_whatever_the_held_out_scans_know(
    phantoms: list[Sample], tmp_path: Path
) -> None:
    """Of an archive without a word on contrast agent; and an old record with NaN is still read."""
    silent = [replace(one, contrast=UNKNOWN) for one in phantoms]
    net, path = RadNet(TINY), tmp_path / "w.safetensors"

    record = recalibrate.calibrated(net, silent, [])

    assert "contrast" not in json.loads(json.dumps(record, allow_nan=False))["held_out"]
    record["held_out"]["contrast"] = float("nan")
    save_weights(path, net, record | {"task": "classifier", "preset": TINY.name})
    assert load_weights(path, "classifier").record["held_out"].keys() >= {"plane", "contrast"}


@pytest.mark.parametrize(("strangeness", "verdict"), [(0.2, "usual"), (0.5, "strange: its pix")])
def test_classify_tells_how_strange_a_scan_is(
    strangeness: float,
    verdict: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In words and as data, beside the bound it is held against."""

    class Judge(UnsureClassifier):
        def classify(self, *scan: object) -> Prediction:
            said = super().classify(*scan)  # type: ignore[arg-type]
            return replace(said, strangeness=strangeness, strange_above=0.3, strange_share=0.9)

    monkeypatch.setattr(Classifier, "load", lambda *_: Judge())
    array = np.random.default_rng(0).normal(0, 50, (40, 40, 20)).astype(np.float32)
    nib.save(nib.Nifti1Image(array, np.diag([4.0, 4.0, 4.0, 1.0])), tmp_path / "a.nii.gz")

    scans.classify(tmp_path / "a.nii.gz", "CT", 0.6)

    shown = capsys.readouterr().out
    assert f"strangeness {strangeness:.2f}; 90.0% of known scans stay below 0.30" in shown
    assert verdict in shown
    found = recognise_scan(read_scan_file(tmp_path / "a.nii.gz", "CT"), 0.6)
    answers = told(found)
    assert answers["strange"] is (strangeness > 0.3)
    assert answers["strangeness"] == strangeness
    assert answers["strange_above"] == 0.3
