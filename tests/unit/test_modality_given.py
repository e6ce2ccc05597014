"""Modality is given, not seen: pixels answer the sequence of an MR, and are praised for no CT."""

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from node.classify.fuse import fuse
from radnet.datasets.balance import EVEN
from radnet.datasets.samples import Sample, collate, phantom_sample, sequence_of
from radnet.datasets.scans import Scan
from radnet.datasets.seen_by_eye import UNKNOWN
from radnet.evaluation.report_card import tables
from radnet.evaluation.report_page import page
from radnet.evaluation.scorecard import ALONE, calibration, scorecard
from radnet.evaluation.scoring import About, ScanReport, verdicts
from radnet.evaluation.witnesses import tallies
from radnet.inference import gates
from radnet.inference.classifier import Classifier, Prediction
from radnet.inference.fusion import fuse_witnesses
from radnet.inference.preparation import Array
from radnet.inference.recognise import Recognised, told
from radnet.labels.evidence import Evidence, SeriesLabels, weigh
from radnet.labels.vocabulary import MR_SEQUENCES, Contrast, Plane, Region, Sequence
from radnet.network.heads import split
from radnet.network.outputs import HEAD_SIZES
from radnet.training.classify import masked_loss
from tests.made_volume import made_volume

COLUMNS = sum(HEAD_SIZES)
BY_MODALITY = SeriesLabels(
    sequence=weigh([Evidence("CT", 8.0, "modality-ct", "Modality", "CT")]),
)


def classifier(logits: list[float]) -> Classifier:
    """Return a classifier whose network says the same of every stack."""

    def run(stack: Array) -> list[Array]:
        cells = np.zeros((1, stack.shape[2] // 8, len(Region)), np.float32)
        return [np.array([logits], np.float32), cells, np.ones((1, 4), np.float32)]

    return Classifier(cast("Any", run), {"temperature": {"sequence": 2.0}}, "0" * 64, "made")


def prediction(modality: str, logits: list[float]) -> Prediction:
    """Return what is made of logits of the scan outputs."""
    array = np.random.default_rng(0).uniform(-500, 500, (8, 30, 30)).astype(np.float32)
    return classifier(logits).classify(made_volume(array, np.diag([5.0, 5, 5, 1])), modality)


def scan(modality: str, sequence: Sequence) -> Scan:
    """Return an axial brain of which all is known."""
    return Scan(
        "s", "dicom", modality, sequence, Plane.AXIAL, Contrast.NONCONTRAST,
        frozenset({Region.BRAIN}), True, "", "", "test",
    )  # fmt: skip


def report(modality: str, sequence: Sequence) -> ScanReport:
    """Return a report of a scan whose pixels say STIR of everything they are asked."""
    logits = [9.0 if n == list(Sequence).index(Sequence.STIR) else 0.0 for n in range(COLUMNS)]
    said, truth = prediction(modality, logits), scan(modality, sequence)
    labels = BY_MODALITY if modality == "CT" else SeriesLabels()
    found = Recognised(labels, said, fuse_witnesses(labels, said, 0.6))
    return ScanReport(truth, verdicts(truth, said), None, said, recognised=found)


@pytest.mark.parametrize("modality", ["CT", "PT", "US", ""])
def test_what_is_no_mr_is_asked_for_no_sequence(modality: str) -> None:
    """Whatever the network makes of how its voxels were scaled."""
    said = prediction(modality, [50.0] + [0.0] * (COLUMNS - 1))

    assert said.sequence == {}
    assert said.modality == modality


@given(st.floats(-1000, 1000))
def test_the_class_of_ct_takes_no_part_in_the_sequence_of_an_mr(ct: float) -> None:
    """However sure the network is of it, as the shipped one is of MR in HU."""
    logits = [ct, 1.0, 3.0, *[0.0] * (COLUMNS - 3)]

    said = prediction("MR", logits).sequence

    assert list(said) == list(MR_SEQUENCES)
    assert sum(said.values()) == pytest.approx(1)
    assert said[Sequence.T2] / said[Sequence.T1] == pytest.approx(np.exp((3.0 - 1.0) / 2.0))
    heads = split(torch.tensor([logits]), torch.zeros(1, 3, len(Region)))
    assert heads.sequence.tolist() == [logits[1:7]]


def test_a_phantom_teaches_its_sequence_where_it_is_an_mr() -> None:
    """By the number of the class in the order that the head answers in."""
    samples = {seed: phantom_sample(seed) for seed in range(10, 22)}
    kinds = {sample.empty < 0 for sample in samples.values()}

    assert kinds == {True, False}  # both, or this says nothing
    assert all((one.sequence == UNKNOWN) == (one.empty < 0) for one in samples.values())
    assert sequence_of("MR", Sequence.T1) == MR_SEQUENCES.index(Sequence.T1) == 0
    assert sequence_of("MR", Sequence.OTHER) == len(MR_SEQUENCES) - 1
    assert [sequence_of("MR", None), sequence_of("CT", Sequence.CT)] == [UNKNOWN, UNKNOWN]
    assert sequence_of("PT", Sequence.OTHER) == UNKNOWN


def test_no_ct_is_learned_as_one() -> None:
    """Its class gets no gradient from anything, and the head none from a CT."""

    def gradient(sequence: int) -> torch.Tensor:
        slices = np.zeros((24, len(Region)), np.float32)
        image = np.zeros((24, 96, 96), np.float16)
        one = Sample(image, -1.0, sequence, 0, 1, 5.0, np.zeros(9, np.float32), slices)
        outputs = torch.randn(1, COLUMNS, requires_grad=True)
        masked_loss(split(outputs, torch.zeros(1, 3, 9)), collate([one]), EVEN).backward()
        assert outputs.grad is not None
        return outputs.grad[0]

    assert torch.all(gradient(sequence_of("CT", Sequence.CT))[:7] == 0)
    of_mr = gradient(sequence_of("MR", Sequence.T2))
    assert of_mr[0] == 0
    assert torch.all(of_mr[1:7] != 0)


def test_the_sequence_of_a_ct_is_its_headers_word_alone() -> None:
    """No finding says that pixels saw it, and none makes it surer."""
    said = prediction("CT", [50.0] + [0.0] * (COLUMNS - 1))

    with_pixels, without = (fuse(BY_MODALITY, one, 0.6) for one in (said, None))

    found = [(f.value, f.probability, f.source) for f in with_pixels if f.name == "sequence"]
    assert found == [(f.value, f.probability, f.source) for f in without if f.name == "sequence"]
    assert [source for _, _, source in found] == ["fused", "header"]
    assert fuse_witnesses(SeriesLabels(), said, 0.6).classes["sequence"].value is None
    answers = told(Recognised(BY_MODALITY, said, fuse_witnesses(BY_MODALITY, said, 0.6)))
    assert "sequence" not in answers["pixels"]
    assert answers["labels"]["sequence"] == "CT"


def test_an_mr_whose_header_says_ct_is_left_to_its_header() -> None:
    """A class that pixels are not asked for is neither confirmed nor outvoted by them."""
    said = prediction("MR", [0.0, 9.0, *[0.0] * (COLUMNS - 2)])

    fused = fuse_witnesses(BY_MODALITY, said, 0.6).classes["sequence"]

    assert fused.value == "CT"
    assert fused.probability == BY_MODALITY.sequence.confidence


def test_scores_of_the_sequence_are_over_mr() -> None:
    """Seven CTs of seven were once among the right answers of eleven."""
    found = [report("CT", Sequence.CT), report("CT", Sequence.CT), report("MR", Sequence.T1)]

    lines = {line.name: line for line in scorecard(found)}
    counted = {(t.head, t.witness): t.judged for t in tallies(found)}

    assert lines["sequence"].judged == 1
    assert lines["sequence"].accuracy == 0
    assert "CT" not in lines
    assert counted["sequence", "header"] == counted["sequence", "fused"] == 1
    assert counted["plane", "fused"] == 3
    assert [v.head for v in found[0].verdicts][:2] == ["plane", "contrast"]


def test_card_and_page_say_what_pixels_alone_means() -> None:
    """Beside the poster's figures, which count CT."""
    found = [report("MR", Sequence.T1)]
    lines = scorecard(found)

    assert "Modality" in ALONE
    assert ALONE in tables(found, lines, About("weights"))
    assert ALONE in page(found, lines, About("weights"))


def test_where_nothing_was_answered_there_is_no_error_of_calibration() -> None:
    """0.0 % would be praise."""
    silent = replace(report("CT", Sequence.CT), verdicts=[])

    assert np.isnan(calibration([silent])[0])
    assert "Expected calibration error of the class heads: - %." in tables(
        [silent], [], About("weights")
    )


def test_a_gate_does_not_count_what_is_never_asked() -> None:
    """What is not learned may turn on a rounding: the sequence of a CT, and that an MR is none."""
    cells = np.zeros((1, 3, len(Region)), np.float32)
    first, second = np.zeros((1, COLUMNS), np.float32), np.zeros((1, COLUMNS), np.float32)
    first[0, 3], second[0, 0] = 1e-6, 1e-6  # T1-FLAIR, and CT
    ct, mr = np.full((1, 1, 24, 8, 8), -1, np.float32), np.zeros((1, 1, 24, 8, 8), np.float32)

    def decided(case: Array, scan: Array) -> list[int]:
        return [int(n) for n in gates.decisions("classifier", case, [scan, cells])]

    assert decided(ct, first) == decided(ct, second)
    assert len(decided(mr, first)) == len(decided(ct, first)) + 1
    assert decided(mr, first)[0] == MR_SEQUENCES.index(Sequence.T1_FLAIR)
    assert decided(mr, second)[0] == 0
