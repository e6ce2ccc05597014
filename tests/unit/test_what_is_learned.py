"""What a training learns: the labels it was given, every head, and no more than is shown."""

from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

from radnet.datasets import samples
from radnet.datasets.augment import augmented
from radnet.datasets.batches import HeldSamples, batches
from radnet.datasets.liver_cases import make_case
from radnet.datasets.liver_patches import patch
from radnet.datasets.manifest import Row
from radnet.datasets.prepared import Archive, Prepared
from radnet.datasets.samples import Sample, collate
from radnet.datasets.seen_by_eye import UNKNOWN
from radnet.inference.preparation import CLASSIFIER_SPACING_MM
from radnet.labels.vocabulary import MR_SEQUENCES, Contrast, Plane, Region, Sequence
from radnet.network.heads import split
from radnet.network.outputs import HEAD_SIZES
from radnet.phantom.acquisition import Acquisition
from radnet.phantom.protocols import random_scan
from radnet.training import classify, jobs
from radnet.training.classify import masked_loss
from radnet.training.request import TrainingRequest, TrainingTask
from radnet.training.transfer import liver_loss
from tests.made_volume import made_volume

COLUMNS = sum(HEAD_SIZES)
LIVER = list(Region).index(Region.LIVER)


def row(path: Path) -> Row:
    """Return a series of an archive of which all is known."""
    return Row(
        "1.2.3", "p", "c", "MR", "GE", "train", (path,), None, Sequence.STIR, Plane.SAGITTAL,
        Contrast.CONTRAST, frozenset({Region.LIVER, Region.KIDNEY}),
    )  # fmt: skip


def archived(given: Row, path: Path) -> Sample:
    """Return what is learned of a prepared series."""
    np.save(path, np.zeros((24, 96, 96), np.float16))
    return Archive([Prepared(given, path, 24, 4.0)])[0]


@pytest.mark.parametrize("contrast", [*Contrast, None])
@pytest.mark.parametrize("plane", [*Plane, None])
def test_an_archive_teaches_the_labels_of_its_rows(
    plane: Plane | None, contrast: Contrast | None, tmp_path: Path
) -> None:
    """By the numbers in which the heads answer: one flipped, and the head learns the contrary."""
    given = replace(row(tmp_path / "x.dcm"), plane=plane, contrast=contrast)

    found = archived(given, tmp_path / "x.npy")
    truths = Archive([Prepared(given, tmp_path / "x.npy", 24, 4.0)]).truths()

    assert (None if found.plane == UNKNOWN else list(Plane)[found.plane]) is plane
    assert (None if found.contrast == UNKNOWN else list(Contrast)[found.contrast]) is contrast
    assert MR_SEQUENCES[found.sequence] is Sequence.STIR
    regions = {region for region, there in zip(Region, found.scan, strict=True) if there == 1}
    assert regions == {Region.LIVER, Region.KIDNEY}
    assert (found.scan == 0).sum() == len(Region) - 2
    for name in ("sequence", "plane", "contrast"):
        assert truths[name].tolist() == [getattr(found, name)]
    assert truths["scan"].tolist() == [found.scan.tolist()]


@pytest.mark.parametrize("contrast", list(Contrast))
@pytest.mark.parametrize("plane", list(Plane))
def test_a_phantom_teaches_what_it_was_made_with(plane: Plane, contrast: Contrast) -> None:
    """The agent that was drawn into its vessels, the plane that its slices lie in."""
    body, _ = random_scan(np.random.default_rng(0), CLASSIFIER_SPACING_MM)
    wanted = Acquisition(
        Sequence.T1, contrast, plane, (24, 32, 32), (6.0, 8.0, 8.0), (0.0, 0.0, -500.0)
    )
    with mock.patch.object(samples, "random_scan", return_value=(body, wanted)):
        found = samples.phantom_sample(1)

    assert list(Plane)[found.plane] is plane
    assert list(Contrast)[found.contrast] is contrast
    assert MR_SEQUENCES[found.sequence] is Sequence.T1


def cut(shown: int) -> list[tuple[float, float]]:
    """Return, of variants of a long scan whose liver is in `shown` slices, share and truth."""
    slices = np.zeros((120, len(Region)), np.float32)
    slices[60 : 60 + shown, LIVER] = 1
    truth = np.zeros(len(Region), np.float32)
    truth[LIVER] = 1
    whole = Sample(np.zeros((120, 24, 24), np.float16), -1.0, 0, 0, 0, 4.0, truth, slices)
    found = [augmented(whole, np.random.default_rng(seed)) for seed in range(60)]
    return [(float(one.slices[:, LIVER].mean()), float(one.scan[LIVER])) for one in found]


def test_a_glimpse_of_a_region_is_not_its_coverage() -> None:
    """Two slices of liver at the end of a stack are neither a covered liver nor none."""
    found = cut(shown=2)

    assert max(share for share, _ in found) > 0
    assert {truth for share, truth in found if share > 0} == {float(UNKNOWN)}


def test_what_is_still_there_after_a_cut_is_still_claimed() -> None:
    """Where most of the slices show it."""
    found = cut(shown=60)

    assert {truth for share, truth in found if share > 0.5} == {1.0}
    assert {truth for share, truth in found if share < 0.1} <= {float(UNKNOWN)}


def gradients() -> tuple[torch.Tensor, torch.Tensor]:
    """Return how the loss of one sample pulls the scan outputs, and each cell's regions."""
    slices = np.zeros((24, len(Region)), np.float32)
    truth = np.zeros(len(Region), np.float32)
    one = Sample(np.zeros((24, 8, 8), np.float16), 0.0, 2, 1, 1, 5.0, truth, slices)
    scan = torch.zeros(1, COLUMNS, requires_grad=True)
    cells = torch.linspace(-1, 1, 3)[None, :, None].repeat(1, 1, 9).requires_grad_()
    masked_loss(split(scan, cells), collate([one])).backward()
    assert scan.grad is not None
    assert cells.grad is not None
    return scan.grad[0], cells.grad[0]


def test_every_head_is_pulled_towards_its_truth() -> None:
    """The true class up, all others down; a head that nothing pulls is served all the same."""
    scan, cells = gradients()

    for first, last, true in ((1, 7, 2), (7, 10, 1), (10, 12, 1)):
        pull = scan[first:last]
        assert pull[true] < -0.05
        assert (pull > 0).sum() == len(pull) - 1
    assert scan[12] < 0  # the spacing, which is more than a millimetre
    assert (cells > 1e-3).all()  # no region is in any cell, and each of them is told so
    assert (cells[2] > 2 * cells[0]).all()  # the surest of them is what the scan says


def test_no_head_drowns_the_others() -> None:
    """As long as one weighs ten times another, the weaker is learned as if it were not there."""
    scan, cells = gradients()

    pulls = [float(scan[a:b].abs().sum()) for a, b in ((1, 7), (7, 10), (10, 12))]
    pulls.append(float(cells.abs().sum()))
    assert max(pulls) < 5 * min(pulls)
    assert 0 < abs(float(scan[12])) < min(pulls)  # the spacing is an aid, no answer


def test_a_liver_of_a_few_voxels_is_worth_learning() -> None:
    """One in ten thousand: the mean over voxels alone would say "no liver" and be content."""
    target, known = torch.zeros(1, 1, 10, 32, 32), torch.ones(1, 1, 10, 32, 32)
    target[0, 0, 5, 16, 16] = 1

    nothing = liver_loss(torch.full_like(target, -9), target, known)
    found = liver_loss(torch.where(target > 0, 9.0, -9.0), target, known)

    assert nothing - found > 0.3


def test_a_patch_shows_its_liver_where_its_mask_says() -> None:
    """Through everything that varies: left is left, and a bright block lies under its mask."""
    image = np.full((60, 120, 120), -50, np.float32)
    mask = np.zeros_like(image)
    mask[10:50, 30:90, 20:60] = 1
    image[mask > 0] = 110
    image[mask == 0] = -120
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 2.5], [0, 2.5, 0], [4, 0, 0]])
    case = make_case("block", made_volume(image, affine), mask, phantom=False)

    agree = []
    for seed in range(8):
        shown, liver, known = patch(case, np.random.default_rng(seed))
        there = known > 0.5
        if 0.02 < liver[there].mean() < 0.98:
            agree.append(np.corrcoef(shown[there], liver[there])[0, 1])

    assert len(agree) > 4
    assert min(agree) > 0.5


def test_real_scans_are_drawn_beside_phantoms() -> None:
    """A handful of them, a third of the samples; all of them where there are no phantoms."""
    slices = np.zeros((24, len(Region)), np.float32)
    ct = Sample(
        np.zeros((24, 16, 16), np.float16), -1.0, 0, 0, 0, 4.0, np.zeros(9, np.float32), slices
    )
    made, real = HeldSamples([ct] * 40), HeldSamples([replace(ct, plane=2)] * 3)

    drawn = batches(made, real, 6, seed=5)
    planes = torch.cat([next(drawn).plane for _ in range(25)])
    alone = next(batches(HeldSamples([]), real, 6, seed=5))

    assert 0.15 < float((planes == 2).float().mean()) < 0.5
    assert (alone.plane == 2).all()


def test_a_large_collection_does_not_drown_a_small_one(tmp_path: Path) -> None:
    """One in twenty-six of the series, and more than twice as often among what is drawn."""
    small, large = replace(row(tmp_path / "x.dcm"), collection="small"), row(tmp_path / "x.dcm")
    series = [Prepared(one, tmp_path / "x.npy", 24, 4.0) for one in [large] * 100 + [small] * 4]

    weights = Archive(series).weights

    assert 2 / 26 < weights[100:].sum() / weights.sum() < 0.5


def test_a_training_of_an_archive_weighs_its_rare_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine series with an agent beside one without: that one counts more in the loss."""
    given = row(tmp_path / "x.dcm")
    rows = [given] * 9 + [replace(given, contrast=Contrast.NONCONTRAST)]
    archive = Archive([Prepared(one, tmp_path / "x.npy", 24, 4.0) for one in rows])
    manifest = tmp_path / "m.parquet"
    manifest.write_bytes(b"rows")
    request = TrainingRequest(
        TrainingTask.CLASSIFIER, "radnet10-tiny", 1, 0, 1, (), manifest, None,
        tmp_path / "w.safetensors", False,
    )  # fmt: skip
    monkeypatch.setattr(jobs, "archive_of", lambda *_: (archive, []))
    monkeypatch.setattr(classify, "start", lambda *_: (torch.nn.Linear(1, 1), iter))
    with mock.patch.object(classify, "train") as train:
        jobs.classifier_job(request, lambda _: None, False)

    *_, weigh, watched = train.call_args.args
    assert watched == []
    assert float(weigh.contrast[0] / weigh.contrast[1]) == pytest.approx(3.0)
