"""Training goes on after kill -9 as if nothing had happened; experiments run end to end."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from radnet.datasets import liver_sets
from radnet.datasets.batches import HeldSamples, batches
from radnet.datasets.fingerprint import fingerprint
from radnet.datasets.liver_cases import VOXEL_ML, Case, phantom_case
from radnet.datasets.liver_patches import Patches
from radnet.datasets.liver_sets import lits_sides
from radnet.datasets.samples import Sample, SampleBatch, phantom_sample
from radnet.errors import DataError, UnusableVolumeError, WeightsError
from radnet.inference.preparation import PREPARED
from radnet.network.decoder import LiverNet
from radnet.network.encoder import hold_frozen
from radnet.network.heads import RadNet
from radnet.network.presets import PRESETS
from radnet.network.weights import save_weights
from radnet.training import classify, experiments, transfer, trials
from radnet.training.arms import FRACTION
from radnet.training.trials import Plans
from tests.small_training import SMALL, lits


@pytest.fixture(autouse=True)
def small_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let networks be built by the name of the small one."""
    monkeypatch.setitem(PRESETS, SMALL.name, SMALL)


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Return two phantoms."""
    return [phantom_sample(seed) for seed in (4, 5)]


def trained(
    samples: list[Sample],
    steps: int,
    checkpoint: Path,
    stop_after: int = 0,
    data: str = "3 files, 5ca1ab1e",
    prepared: str = "",
) -> tuple[RadNet, list[float]]:
    """Return a classifier after its steps, or cut off after `stop_after`, and its losses."""
    torch.manual_seed(7)
    net = RadNet(SMALL)
    sources = {"--data": data, **({PREPARED: prepared} if prepared else {})}
    plan = classify.ClassifierPlan(
        SMALL.name, minutes=0, seed=3, steps=steps, batch=2, sources=sources
    )

    def following(first: int) -> Iterator[SampleBatch]:
        return batches(HeldSamples(samples), HeldSamples([]), plan.batch, plan.seed, first=first)

    training = classify.train(net, following, plan, checkpoint)
    losses = [progress.loss for progress in islice(training, stop_after or None)]
    training.close()  # type: ignore[attr-defined]
    return net, losses


def test_the_result_is_the_mean_of_the_last_weights(samples: list[Sample], tmp_path: Path) -> None:
    """What is saved at the end is smoother than the last step, and is not the last step."""
    net, _ = trained(samples, 4, tmp_path / "whole")
    content = torch.load(tmp_path / "whole", weights_only=True)

    moved = [name for name, tensor in content["net"].items() if tensor.is_floating_point()]
    assert any(not torch.equal(content["net"][n], content["mean"][n]) for n in moved)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, content["mean"][name]), name


def test_resumed_training_equals_an_uninterrupted_one(
    samples: list[Sample], tmp_path: Path
) -> None:
    """Network, optimizer, data, dropout and learning rate all go on where they were."""
    whole, losses = trained(samples, 5, tmp_path / "whole")
    _, first = trained(samples, 5, tmp_path / "cut", stop_after=2)
    resumed, rest = trained(samples, 5, tmp_path / "cut")

    assert first + rest == losses
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_checkpoint_of_another_plan_is_refused(samples: list[Sample], tmp_path: Path) -> None:
    """Going on with another schedule would be neither training."""
    trained(samples, 5, tmp_path / "c", stop_after=1)

    with pytest.raises(WeightsError, match="another plan"):
        trained(samples, 6, tmp_path / "c")


def test_checkpoint_of_other_data_is_refused(samples: list[Sample], tmp_path: Path) -> None:
    """Half a training on one set, half on another: no record would tell of the first."""
    trained(samples, 5, tmp_path / "c", stop_after=1)

    told = "c: .*--data was 3 files, 5ca1ab1e, now it is 4 files, 0ddba11.*another --out"
    with pytest.raises(WeightsError, match=told):
        trained(samples, 5, tmp_path / "c", data="4 files, 0ddba11")


def test_checkpoint_of_an_earlier_version_is_taken_up(
    samples: list[Sample], tmp_path: Path
) -> None:
    """It does not tell what it learned from; a training goes on across an update."""
    _, first = trained(samples, 3, tmp_path / "c", stop_after=1)
    content = torch.load(tmp_path / "c", weights_only=True)
    del content["sources"]
    torch.save(content, tmp_path / "c")

    _, rest = trained(samples, 3, tmp_path / "c")

    assert len(first + rest) == 3


@pytest.mark.parametrize("told", [True, False], ids=["another", "of an early version"])
def test_checkpoint_of_another_preparation_is_refused(
    samples: list[Sample], tmp_path: Path, told: bool
) -> None:
    """Half of it would have seen axial scans upside down."""
    trained(samples, 3, tmp_path / "c", stop_after=1, prepared="2")
    if not told:
        content = torch.load(tmp_path / "c", weights_only=True)
        del content["sources"]
        torch.save(content, tmp_path / "c")

    with pytest.raises(WeightsError, match=r"preparation of scans was .*, now it is 3"):
        trained(samples, 3, tmp_path / "c", prepared="3")


def test_a_set_is_told_from_others_by_names_sizes_and_manifest(tmp_path: Path) -> None:
    """Not by its place, nor by what else lies there, such as the weights that are written."""
    one, same = lits(tmp_path / "a", 2), lits(tmp_path / "b" / "deep", 2)
    more = lits(tmp_path / "c", 3)
    (same / "w.safetensors").write_bytes(b"weights")
    before = fingerprint(one)

    assert before.startswith("4 files, ")
    assert fingerprint(same) == before
    assert fingerprint(more) != before
    (one / "volume-1.nii.gz").write_bytes(b"another")
    assert fingerprint(one) != before


def test_a_set_with_another_manifest_is_another_set(tmp_path: Path) -> None:
    """What a scan is called there decides what is learned."""
    manifest = tmp_path / "MANIFEST.csv"
    manifest.write_text("a", encoding="utf-8")
    before = fingerprint(tmp_path)
    manifest.write_text("b", encoding="utf-8")

    assert fingerprint(tmp_path) != before


def test_damaged_checkpoint_is_told(samples: list[Sample], tmp_path: Path) -> None:
    """No pickle from outside is run, and no traceback shown."""
    (tmp_path / "c").write_bytes(b"not a checkpoint")

    with pytest.raises(WeightsError, match="no checkpoint"):
        trained(samples, 5, tmp_path / "c")


def test_frozen_parts_do_not_drift() -> None:
    """Also the running statistics of batch normalisation stay as they were transferred."""
    torch.manual_seed(0)
    net = LiverNet(SMALL)
    before = {name: tensor.clone() for name, tensor in net.encoder.state_dict().items()}
    plan = transfer.LiverPlan(SMALL.name, 0, 0, steps=2, freeze="all")
    case = phantom_case(2)
    batch = trials.batches_of([case], plan)

    for _ in transfer.train(net, batch, plan):
        pass

    for name, tensor in net.encoder.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    hold_frozen(net.encoder, "all")


def test_lits_layout_is_read_with_its_tumours(tmp_path: Path) -> None:
    """The tumour lies in the liver and counts to it."""
    cases = [*chain(*lits_sides(lits(tmp_path, 3)))]

    assert len(cases) == 3
    assert cases[0].liver.max() == 1
    volume_ml = float(cases[0].liver.sum()) * VOXEL_ML
    assert volume_ml == pytest.approx(18 * 18 * 14 * 64 / 1000, rel=0.1)


def test_a_mask_of_another_shape_is_refused(tmp_path: Path) -> None:
    """It ended in a traceback; which file it was, nobody was told."""
    lits(tmp_path, 2)
    file = tmp_path / "segmentation-1.nii.gz"
    mask = nib.load(file)
    cut = np.asarray(mask.dataobj)[:, :, 8:]  # type: ignore[attr-defined]
    nib.save(nib.Nifti1Image(cut, mask.affine), file)  # type: ignore[attr-defined]

    with pytest.raises(DataError, match=r"segmentation-1\.nii\.gz"):
        lits_sides(tmp_path)


def test_a_mask_lies_where_its_affine_says(tmp_path: Path) -> None:
    """Turned, it is turned back; taken voxel by voxel it was a liver on the other side."""
    before = lits_sides(lits(tmp_path, 2))[1][0]
    file = tmp_path / "segmentation-1.nii.gz"
    mask = nib.load(file)
    turned = np.asarray(mask.dataobj)[::-1]  # type: ignore[attr-defined]
    affine = mask.affine @ np.diag([-1.0, 1, 1, 1])  # type: ignore[attr-defined]
    affine[:3, 3] = (mask.affine @ [len(turned) - 1, 0, 0, 1])[:3]  # type: ignore[attr-defined]
    nib.save(nib.Nifti1Image(turned, affine), file)

    case = lits_sides(tmp_path)[1][0]

    assert np.abs(case.liver - before.liver).max() < 0.01


@pytest.mark.parametrize("name", ["volume-1.nii.gz", "segmentation-1.nii.gz"])
@pytest.mark.parametrize("damage", ["half", "nan", "4d"])
def test_a_damaged_file_of_a_set_is_named(tmp_path: Path, name: str, damage: str) -> None:
    """No traceback of nibabel or zlib, and no training on voxels that are no numbers."""
    file = lits(tmp_path, 2) / name
    if damage == "half":
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2])
    else:
        array = np.zeros((48, 48, 30, 2) if damage == "4d" else (48, 48, 30), np.float32)
        array[3, 3, 3] = np.nan
        nib.save(nib.Nifti1Image(array, np.diag([-4.0, -4.0, 4.0, 1.0])), file)

    with pytest.raises(UnusableVolumeError, match=name):
        lits_sides(tmp_path)


def test_sets_of_both_layouts_are_learned_from_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder in LiTS layout beside one with a manifest: the cases of both, phantoms besides."""
    other = tmp_path / "other"
    (other / "liver").mkdir(parents=True)
    for part, file in (("ct", "volume-0.nii.gz"), ("liver", "segmentation-0.nii.gz")):
        (lits(other, 1) / file).rename(other / "liver" / f"x_{part}.nii.gz")
    (other / "MANIFEST.csv").write_text(
        "id,kind,files,modality,sequence,plane,contrast,coverage,note,source,licence,use\n"
        "x,liver pair,2,CT,CT,axial,,liver,,S,CC0,train\n"
    )
    learned: list[str] = []

    def remember(real: list[Case], *_: object, **__: object) -> Iterator[Patches]:
        learned.extend(case.name for case in real)
        return iter(())

    monkeypatch.setattr(transfer, "phantom_cases", lambda *_, **__: [])
    monkeypatch.setattr(transfer, "patches", remember)
    (tmp_path / "lits").mkdir()
    plan = transfer.LiverPlan(SMALL.name, minutes=0, seed=0, steps=1)

    learn, judge = liver_sets.learn_and_judge([lits(tmp_path / "lits", 2), other], plan.roles)
    _, following = transfer.start(plan, learn, None)
    list(following(0))

    assert learned == ["volume-0.nii.gz", "x"]
    assert [case.name for case in judge] == ["volume-1.nii.gz"]


def test_what_judges_a_training_is_not_learned_from(tmp_path: Path) -> None:
    """The held-out patients of a set; with `--every-scan` none is left to judge by."""
    data = [lits(tmp_path, 5)]

    learn, judge = liver_sets.learn_and_judge(data, frozenset({"train"}))
    every, none = liver_sets.learn_and_judge(data, frozenset({"train", "test"}))

    assert [case.name for case in judge] == ["volume-3.nii.gz"]
    assert not {case.name for case in learn} & {case.name for case in judge}
    assert len(every) == 5
    assert none == []


def test_missing_segmentation_is_told(tmp_path: Path) -> None:
    """The file that is missing is named."""
    (lits(tmp_path, 1) / "segmentation-0.nii.gz").unlink()

    with pytest.raises(DataError, match=r"segmentation-0\.nii\.gz"):
        lits_sides(tmp_path)


def test_folder_of_neither_layout_is_told(tmp_path: Path) -> None:
    """The two layouts are named."""
    with pytest.raises(DataError, match="volume-N"):
        lits_sides(tmp_path)


def test_arm_trains_and_scores(tmp_path: Path) -> None:
    """One arm of the poster's table on a set in LiTS layout."""
    classifier = tmp_path / "c.safetensors"
    save_weights(classifier, RadNet(SMALL), {"task": "classifier", "preset": SMALL.name})
    cases = lits_sides(lits(tmp_path, 3))
    ticks: list[float] = []
    budget = replace(experiments.QUICK, preset=SMALL.name)

    plans = Plans(budget, classifier, tmp_path / "e", {})
    row = trials.run_arm(FRACTION[-1], cases, plans, ticks.append)

    assert row.trained_on == 1
    assert len(row.scores) == 1
    assert ticks
