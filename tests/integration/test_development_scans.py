"""Development scans: weights are chosen by them, and nothing is learned or reported of them."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from radnet.datasets.batches import HeldSamples, batches
from radnet.datasets.learned import Learned, learned_by
from radnet.datasets.liver_sets import development, learn_and_judge
from radnet.datasets.samples import Sample, phantom_sample
from radnet.datasets.scans import read_manifest
from radnet.network.heads import RadNet
from radnet.network.presets import PRESETS
from radnet.network.weights import load_weights
from radnet.training import classify
from radnet.training.jobs import begun_from, not_learned, unknown_to
from radnet.training.report import LearnedBefore, TrainingEvent, silent
from radnet.training.request import TrainingRequest, TrainingTask
from radnet.training.runs import train
from tests.small_training import SMALL, lits

HEAD = "id,kind,modality,sequence,plane,contrast,coverage,note,source,licence,use,patient"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return four pairs, of which one is to learn from, two are development and one is test."""
    monkeypatch.setitem(PRESETS, SMALL.name, SMALL)
    made, kept = lits(tmp_path / "made", 4), tmp_path / "set"
    (kept / "liver").mkdir(parents=True)
    rows = [HEAD]
    for number, use in enumerate(("train", "development", "development", "test")):
        for part, name in (("ct", "volume"), ("liver", "segmentation")):
            shutil.move(made / f"{name}-{number}.nii.gz", kept / f"liver/s{number}_{part}.nii.gz")
        rows.append(f"s{number},liver pair,CT,CT,axial,,liver,,made,CC0,{use},p{number}")
    (kept / "MANIFEST.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return kept


def request(folder: Path, out: Path) -> TrainingRequest:
    """Return the request for two steps of a small liver network."""
    return TrainingRequest(
        TrainingTask.LIVER, SMALL.name, 0, 2, 0, (folder,), None, None, out, every_scan=False,
        phantoms=1,
    )  # fmt: skip


def test_the_weights_are_chosen_by_them_and_say_so(folder: Path, tmp_path: Path) -> None:
    """Beside the weights stands by whom they were chosen; the next are chosen by the same."""
    events: list[TrainingEvent] = []
    first = train(request(folder, tmp_path / "a.safetensors"))
    kept = load_weights(first.out, "liver").record
    learned = learned_by(first.out, kept)
    cases = {case.name: case for case in development([folder])}

    assert set(cases) == {"s1", "s2"}
    assert learned
    assert len(learned.scans) == 1
    assert 1 <= kept["kept_step"] <= 2
    for case in cases.values():
        assert learned.why(case.content, case.patient) == "was chosen by these very voxels"
        assert learned.why("other", case.patient) == "was chosen by its patient"
        assert learned.learned(case.content, case.patient) == ""

    before = begun_from(first.out, "liver")
    assert not_learned(before, list(cases.values()), events.append) == list(cases.values())
    assert events == []


def test_who_was_learned_from_chooses_nothing(folder: Path) -> None:
    """Weights that began from it know it: it would praise them."""
    events: list[TrainingEvent] = []
    cases = development([folder])
    before = Learned().beside(cases[:1]).choosing_by(cases[1:])

    assert not_learned(before, cases, events.append) == cases[1:]
    assert events == [LearnedBefore(1, 2)]
    assert unknown_to(before, cases, silent) == []


def test_they_are_neither_learned_from_nor_judged_by(folder: Path) -> None:
    """Not with --every-scan either: a figure on whom one chose by is no figure."""
    for roles in (frozenset({"train"}), frozenset({"train", "test"})):
        learn, judge = learn_and_judge([folder], roles)
        assert not {case.name for case in [*learn, *judge]} & {"s1", "s2"}
    assert [scan.role for scan in read_manifest(folder)][1:3] == ["development"] * 2


@pytest.fixture
def watched() -> list[Sample]:
    """Return three phantoms, two of them of one patient."""
    return [
        replace(phantom_sample(seed), patient=patient, content=str(seed))
        for seed, patient in ((4, "p"), (5, "p"), (6, ""))
    ]


def test_a_classifier_costs_its_mean_loss_by_patient(watched: list[Sample]) -> None:
    """Somebody who was scanned forty times counts as one."""
    torch.manual_seed(1)
    net: nn.Module = RadNet(SMALL)
    one, two, three = (classify.cost([sample], net) for sample in watched)

    assert classify.cost(watched, net) == pytest.approx((np.mean([one, two]) + three) / 2)
    assert not net.training
    assert len({one, two, three}) == 3


def test_a_classifier_is_trained_as_before_and_then_chosen(
    watched: list[Sample], tmp_path: Path
) -> None:
    """Looking at development scans changes no step; which weights are kept is another matter."""
    plan = classify.ClassifierPlan(SMALL.name, minutes=0, seed=3, steps=3, batch=2)
    held = HeldSamples([phantom_sample(seed) for seed in (7, 8)])
    losses = {}
    for name, scans in (("without", []), ("with", watched)):
        torch.manual_seed(7)
        net = RadNet(SMALL)
        steps = classify.train(
            net,
            lambda first: batches(held, HeldSamples([]), 2, 3, first=first),
            plan,
            tmp_path / name,
            watched=scans,
        )
        losses[name] = [step.loss for step in steps]
        if scans:
            state = torch.load(tmp_path / name, weights_only=True)["state"]
            assert classify.cost(watched, net) == pytest.approx(state["cost"])
            assert math.isfinite(state["cost"])

    assert losses["with"] == losses["without"]
