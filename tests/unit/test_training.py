"""Training: what is unknown teaches nothing, what is held out is never learned from."""

from itertools import islice, repeat
from pathlib import Path

import numpy as np
import pytest
import torch

from radnet.datasets.augment import augmented
from radnet.datasets.batches import HeldSamples, batches
from radnet.datasets.liver_cases import Case, make_case
from radnet.datasets.liver_patches import PATCH, patches
from radnet.datasets.reading import read_placed
from radnet.datasets.samples import Sample, SampleBatch, collate, phantom_sample
from radnet.datasets.scans import read_manifest
from radnet.datasets.seen_by_eye import UNKNOWN
from radnet.errors import WeightsError
from radnet.evaluation import calibration
from radnet.inference.strangeness import Usual
from radnet.labels.vocabulary import Contrast, Region
from radnet.network.decoder import LiverNet
from radnet.network.heads import Heads, RadNet, split
from radnet.network.presets import preset
from radnet.network.weights import save_weights
from radnet.training import classify, transfer
from tests.made_volume import made_volume
from tests.small_training import SMALL

TINY = preset("radnet10-tiny")
MANIFEST = """id,kind,files,modality,sequence,plane,contrast,coverage,note,source,licence,use
a,dicom,1,CT,CT,axial,,liver;kidney,,S,CC BY 4.0,train
b,dicom,1,CT,CT,axial,contrast,liver,,S,Apache-2.0,test
b_pair,liver pair,2,CT,CT,axial,,liver,,S,Apache-2.0,test
c,dicom,1,MR,T1,coronal,noncontrast,elsewhere,a knee,S,none,test only
"""


def sample(depth: int, contrast: int = 1, liver: float = 1.0) -> Sample:
    """Return a sample of `depth` slices with liver in its first half."""
    slices = np.zeros((depth, len(Region)), np.float32)
    slices[: depth // 2, list(Region).index(Region.LIVER)] = liver
    image = np.zeros((depth, 96, 96), np.float16)
    return Sample(image, -1.0, 0, 0, contrast, 5.0, np.zeros(9, np.float32), slices)


def test_an_unknown_label_teaches_nothing() -> None:
    """An empty (0018,0010) is unknown and not `no`: the poster's contrast head fell into that."""
    batch = collate([sample(24, UNKNOWN), sample(24, UNKNOWN)])
    scan = torch.zeros(2, 13, requires_grad=True)
    heads = split(scan, torch.zeros(2, 3, 9))

    classify.masked_loss(heads, batch).backward()

    assert scan.grad is not None
    assert torch.all(scan.grad[:, 10:12] == 0)
    assert torch.any(scan.grad[:, :7] != 0)


def test_cells_say_where_a_region_is() -> None:
    """Half a stack of liver is liver in half its cells; padding is known to hold nothing."""
    batch = collate([sample(32), sample(20)])
    liver = batch.cells[:, :, list(Region).index(Region.LIVER)]

    assert liver[0].tolist() == [1, 1, 0, 0]
    assert liver[1].tolist() == [1, UNKNOWN, 0, UNKNOWN]
    assert batch.stack.shape == (2, 1, 32, 96, 96)


def test_a_cut_stack_no_longer_claims_what_was_cut_off() -> None:
    """A region in the part that was cut away is unknown, not present."""
    whole = sample(120)
    whole.scan[:] = 1

    seen = [augmented(whole, np.random.default_rng(seed)) for seed in range(12)]

    assert all(part.image.shape[0] <= 64 for part in seen)
    assert all(part.scan[list(Region).index(Region.BRAIN)] == UNKNOWN for part in seen)


def test_the_manifest_says_what_is_left_out(tmp_path: Path) -> None:
    """B and b_pair are one person; what is test only is so whatever is asked for."""
    (tmp_path / "MANIFEST.csv").write_text(MANIFEST)

    scans = read_manifest(tmp_path)

    assert [scan.role for scan in scans] == ["train", "test", "test", "test"]
    assert [scan.test_only for scan in scans] == [False, False, False, True]


def test_an_empty_label_of_the_manifest_is_unknown(tmp_path: Path) -> None:
    """Empty means that nobody could tell; a knee shows none of the nine."""
    (tmp_path / "MANIFEST.csv").write_text(MANIFEST)

    a, _, pair, knee = read_manifest(tmp_path)

    assert a.contrast is None
    assert not pair.coverage_whole
    assert knee.coverage_whole
    assert not knee.coverage


@pytest.mark.parametrize(
    ("column", "note", "contrast"),
    [
        ("", "whole liver, portal venous, expert", Contrast.CONTRAST),
        ("", "3 mm, no contrast, automatic mask", Contrast.NONCONTRAST),
        ("noncontrast", "portal venous", Contrast.NONCONTRAST),
        ("", "11 slices", None),
    ],
)
def test_a_note_tells_of_the_agent_where_the_column_is_silent(
    tmp_path: Path, column: str, note: str, contrast: Contrast | None
) -> None:
    """The manifest's words are what a person saw, too."""
    head = MANIFEST.splitlines()[0]
    row = f'x,liver pair,2,CT,CT,axial,{column},liver,"{note}",s,CC BY 4.0,train'
    (tmp_path / "MANIFEST.csv").write_text(f"{head}\n{row}\n")

    (scan,) = read_manifest(tmp_path)

    assert scan.contrast is contrast


def test_a_nifti_is_read_in_patient_coordinates(tmp_path: Path) -> None:
    """NIfTI counts to the right and front; DICOM to the left and back."""
    nib = pytest.importorskip("nibabel")
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    nib.save(nib.Nifti1Image(array, np.diag([2.0, 3.0, 4.0, 1.0])), tmp_path / "a.nii.gz")

    volume = read_placed(tmp_path / "a.nii.gz")

    assert volume.shape == (4, 3, 2)
    assert volume.array[0, 0, 0] == array[1, 2, 3]  # the head, the front, the right
    assert (volume.affine @ [0, 0, 0, 1]).tolist() == [-2.0, -6.0, 12.0, 1.0]


def liver_case() -> Case:
    """Return a small bright cube in an otherwise empty scan of 100 mm."""
    image = np.full((25, 80, 80), -50, np.float32)
    mask = np.zeros_like(image)
    mask[8:18, 20:50, 20:50] = 1
    image[mask > 0] = 110
    affine = np.eye(4)
    affine[:3, :3] = [[0, 0, 3], [0, 3, 0], [4, 0, 0]]
    return make_case("cube", made_volume(image, affine), mask, phantom=False)


def test_nothing_is_learned_outside_the_scan() -> None:
    """Some sets stop where the liver does: beyond them there is no truth."""
    case = liver_case()
    batch = next(patches([case], [], 2, seed=1))

    assert batch.stack.shape == (2, 1, *PATCH)
    outside = batch.known == 0
    assert outside.any()
    beyond = (batch.stack == 0).flatten(3).all(dim=3)  # the first or the last slice
    assert beyond.any()
    assert outside.flatten(3).all(dim=3)[beyond].all()
    logits = torch.zeros_like(batch.stack, requires_grad=True)
    transfer.liver_loss(logits, batch.liver, batch.known).backward()
    assert logits.grad is not None
    assert torch.all(logits.grad[outside] == 0)


def test_the_encoder_is_transferred(tmp_path: Path) -> None:
    """The liver network begins with what the classifier has learned to see."""
    classifier = RadNet(TINY)
    path = tmp_path / "c.safetensors"
    save_weights(path, classifier, {"task": "classifier", "preset": TINY.name})
    net = LiverNet(TINY)

    transfer.transfer(net, path)

    torch.testing.assert_close(
        net.encoder.stem[0].weight, classifier.encoder.stem[0].weight, atol=1e-3, rtol=1e-3
    )
    with pytest.raises(WeightsError, match="another preset"):
        transfer.transfer(LiverNet(preset("radnet10")), path)


def test_training_lowers_the_loss_of_one_batch() -> None:
    """The loop learns: one phantom by heart in a few steps."""
    torch.manual_seed(0)
    one = next(batches(HeldSamples([phantom_sample(4)]), HeldSamples([]), 2, seed=0))
    plan = classify.ClassifierPlan(SMALL.name, minutes=5, seed=0)

    losses = [
        progress.loss
        for progress in islice(classify.train(RadNet(SMALL), lambda _: repeat(one), plan), 9)
    ]

    assert min(losses[-2:]) < losses[0]


def test_temperature_cools_an_overconfident_head() -> None:
    """Ten-fold logits that are right nine times in ten need a temperature well above one."""
    torch.manual_seed(0)
    truth = torch.randint(0, 3, (500,))
    wrong = torch.rand(500) < 0.1
    said = torch.where(wrong, (truth + 1) % 3, truth)
    logits = 10 * torch.nn.functional.one_hot(said, 3).float()
    flat = torch.zeros(500, 1, 9)
    heads = Heads(torch.zeros(500, 6), logits, torch.zeros(500, 2), truth.float(), flat)
    unknown = torch.full((500,), UNKNOWN)
    batch = SampleBatch(
        torch.zeros(0), unknown, truth, unknown, truth.float(), torch.zeros(500, 9), flat,
        torch.ones(500),
    )  # fmt: skip

    assert calibration.temperatures(heads, batch)["plane"] > 2


def test_a_head_of_which_nothing_is_known_is_left_as_it_is() -> None:
    """An archive of MR without a word on the agent made every answer on it five times as sure."""
    unknown = torch.full((20,), -1)
    sequence, plane, contrast = (torch.randn(20, count) for count in (6, 3, 2))
    heads = Heads(sequence, plane, contrast, torch.zeros(20), torch.randn(20, 1, 9))
    batch = SampleBatch(
        torch.zeros(0), unknown, unknown, unknown, torch.zeros(20), torch.full((20, 9), -1.0),
        torch.zeros(0), torch.ones(20),
    )  # fmt: skip

    found = calibration.temperatures(heads, batch)

    assert found == dict.fromkeys(("sequence", "plane", "contrast", "coverage"), 1.0)


def test_abstention_keeps_what_is_right_often_enough() -> None:
    """Sure answers are right, unsure ones are not: the threshold lies between."""
    sure = torch.tensor([[6.0, 0, 0]] * 80 + [[0.5, 0, 0]] * 20)
    truth = torch.tensor([0] * 80 + [1] * 20)
    flat = torch.zeros(100, 1, 9)
    unknown = torch.full((100,), UNKNOWN)
    heads = Heads(torch.zeros(100, 6), sure, torch.zeros(100, 2), truth.float(), flat)
    batch = SampleBatch(
        torch.zeros(0), unknown, truth, unknown, truth.float(), torch.zeros(100, 9), flat,
        torch.ones(100),
    )  # fmt: skip

    found = calibration.abstention(
        heads, batch, dict.fromkeys(("sequence", "plane", "contrast"), 1.0)
    )

    assert 0.5 < found["plane"]["above"] <= 1
    assert found["plane"]["answered"] == pytest.approx(0.8)
    assert found["plane"]["right"] >= 0.95
    assert found["plane"]["of"] == 40  # of the half that had no say in the threshold
    assert found["plane"]["at_least"] == pytest.approx(0.05 ** (1 / 40), abs=1e-3)


def test_a_threshold_is_stated_on_scans_that_had_no_say_in_it() -> None:
    """Where the other half is wrong, it says so."""
    sure = torch.tensor([[6.0, 0, 0]] * 100)
    truth = torch.tensor([0, 1] * 50)
    unknown = torch.full((100,), UNKNOWN)
    flat = torch.zeros(100, 1, 9)
    heads = Heads(torch.zeros(100, 6), sure, torch.zeros(100, 2), truth.float(), flat)
    batch = SampleBatch(
        torch.zeros(0), unknown, truth, unknown, truth.float(), torch.zeros(100, 9),
        torch.zeros(0), torch.ones(100),
    )  # fmt: skip

    found = calibration.abstention(
        heads, batch, dict.fromkeys(("sequence", "plane", "contrast"), 1.0)
    )

    assert found["plane"]["right"] == 0.0
    assert found["plane"]["at_least"] == 0.0


def test_a_head_of_which_nothing_is_known_has_no_score() -> None:
    """A mean over nothing stood in the weights' record as NaN, which is no JSON."""
    unknown = torch.full((4,), UNKNOWN)
    plane, scan = torch.tensor([0, 0, 1, UNKNOWN]), torch.full((4, 9), float(UNKNOWN))
    scan[:2, 0] = torch.tensor([1.0, 0.0])
    cells = torch.ones(4, 1, 9)
    heads = Heads(torch.zeros(4, 6), torch.eye(4)[:, :3], torch.zeros(4, 2), torch.zeros(4), cells)
    batch = SampleBatch(
        torch.zeros(0),
        unknown,
        plane,
        unknown,
        torch.zeros(4),
        scan,
        torch.zeros(0),
        torch.ones(4),
    )

    found = calibration.scores(heads, batch)

    assert found == {
        "plane": pytest.approx(1 / 3),
        next(iter(Region)).value: 0.5,
        "coverage exact": 0.5,  # of the two scans of which some region is known
    }


def test_a_region_has_a_threshold_for_either_answer() -> None:
    """Sure ones are right either way; between them nobody can tell."""
    logits = torch.tensor([6.0, 6, -6, -6, 0, 0, 0, 0] * 20)
    truth = torch.tensor([1.0, 1, 0, 0, 1, 1, 0, 0] * 20)
    cells, scan = logits[:, None, None].expand(-1, 1, 9), truth[:, None].expand(-1, 9)
    none = torch.zeros(160)
    heads = Heads(none[:, None], none[:, None], none[:, None], none, cells)
    batch = SampleBatch(none, none, none, none, none, scan, none, none + 1)

    found = calibration.coverage(heads, batch, {"coverage": 1.0})["liver"]

    assert 0.5 < found["above"] < 1
    assert 0 < found["below"] < 0.5
    assert found["covered"]["right"] == found["not_covered"]["right"] == 1
    assert found["covered"]["answered"] == found["not_covered"]["answered"] == 0.25


def test_what_known_scans_do_not_span_is_strange() -> None:
    """A new direction is strange however weak; a known one is not however strong."""
    rng = np.random.default_rng(3)
    known = rng.normal(size=(200, 8)) @ rng.normal(size=(8, 64)) + rng.normal(size=(200, 64)) / 50

    record = calibration.usual(torch.from_numpy(known).float(), torch.zeros(0, 64))
    usual = Usual.of_record({"usual": record})

    assert usual is not None
    assert 0 < usual.above < 0.3
    assert usual.strangeness(5 * known[0]) == pytest.approx(usual.strangeness(known[0]))
    assert usual.strangeness(known[1]) <= 2 * usual.above
    assert usual.strangeness(rng.normal(size=64) / 100) > usual.above
    assert Usual.of_record({}) is None


def test_of_a_header_no_slices_are_known() -> None:
    """What a header tells of a series covers it as a whole; of a phantom more is known."""
    whole = phantom_sample(4)

    told = classify.by_header(whole)

    assert (whole.slices == 1).any()
    assert told.scan.tolist() == whole.scan.tolist()
    assert set(np.unique(told.slices[:, whole.scan == 0])) == {0.0}
    assert set(np.unique(told.slices[:, whole.scan != 0])) == {float(UNKNOWN)}
