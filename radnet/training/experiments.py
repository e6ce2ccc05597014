"""The poster's transfer experiments on any set of livers: what to freeze, how much data.

A set is a folder in the layout of LiTS (``volume-N.nii[.gz]``, ``segmentation-N.nii[.gz]``, in
which 1 is liver and 2 tumour, which lies in the liver), or one with a ``MANIFEST.csv``, or the
Parquet file of a manifest with masks, or none: then phantoms. Held out of every arm are the scans
of the role or side ``test``; of phantoms every fourth.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch

from radnet.datasets.liver_cases import Case, liver_phantoms, pair_case
from radnet.datasets.liver_patches import PATCH, Patches, patches
from radnet.datasets.liver_sets import PARQUET, lits_sides, table_cases
from radnet.datasets.scans import read_manifest
from radnet.errors import DataError, UsageError
from radnet.evaluation.liver_score import Score, score
from radnet.inference.preparation import Array
from radnet.network.build import liver_network
from radnet.network.decoder import LiverNet
from radnet.network.layout2020 import LiverNet2020
from radnet.network.medicalnet import MEDICALNET_SUFFIXES, fill_encoder
from radnet.network.weights import load_weights
from radnet.network.weights_file import shipped
from radnet.training import transfer
from radnet.training.arithmetic import of_this_machine

PHANTOM_SEED: Final = 40_000_000
HELD_OUT: Final = 4  # every fourth phantom


@dataclass(frozen=True)
class Arm:
    """One row of a table: what is frozen, whether the encoder is transferred, share of data."""

    name: str
    freeze: str = "none"
    transferred: bool = True
    share: float = 1.0


@dataclass(frozen=True)
class Poster:
    """What the poster prints for a row, in %."""

    mean_dice: float
    mean_iou: float
    median_dice: float
    median_iou: float


FREEZE: Final = (
    Arm("all", "all"),
    Arm("block 3", "block3"),
    Arm("block 2", "block2"),
    Arm("block 1", "block1"),
    Arm("weights only"),
    Arm("none (no transfer)", transferred=False),
)  # the poster's Table 2
FRACTION: Final = tuple(
    Arm(f"{share:.0%}", "all", share=share) for share in (1.0, 0.8, 0.6, 0.4, 0.2)
)  # the poster's Table 3
POSTER: Final = {
    "all": Poster(90.0, 80.7, 90.0, 81.8),
    "block 3": Poster(72.1, 59.7, 81.0, 68.1),
    "block 2": Poster(84.3, 76.8, 90.3, 82.3),
    "block 1": Poster(77.6, 65.1, 81.8, 69.3),
    "weights only": Poster(44.8, 38.1, 43.0, 27.4),
    "none (no transfer)": Poster(41.8, 38.0, 43.0, 27.3),
    "100%": Poster(90.0, 81.6, 90.1, 82.0),
    "80%": Poster(84.7, 75.0, 89.0, 80.0),
    "60%": Poster(84.2, 73.9, 87.2, 77.3),
    "40%": Poster(87.0, 77.9, 90.9, 83.4),
    "20%": Poster(80.0, 69.3, 86.5, 76.1),
}  # field/poster-ocr.txt; 60 % and 20 % by their place, for the words are lost


@dataclass(frozen=True)
class ArmScores:
    """All held-out cases of all seeds of one arm, seed by seed."""

    arm: Arm
    trained_on: int
    scores: tuple[Score, ...]
    seeds: int = 1

    @property
    def livers(self) -> int:
        """Return how many cases have a liver."""
        return sum(score.liver for score in self.scores)

    @property
    def missed(self) -> int:
        """Return of how many livers nothing was found: they have no surface distance."""
        return sum(score.liver and not np.isfinite(score.hd95_mm) for score in self.scores)

    def over_seeds(self, name: str) -> tuple[float, float]:
        """Return the least and the largest mean of one figure among the seeds."""
        each = np.array([getattr(score, name) for score in self.scores], np.float32)
        means = each.reshape(self.seeds, -1).mean(axis=1)
        return float(means.min()), float(means.max())

    def of(self, name: str, statistic: Callable[[Array], np.floating]) -> float:
        """Return a statistic of one figure over the cases, nan left out."""
        values = np.array([getattr(score, name) for score in self.scores], np.float32)
        values = values[np.isfinite(values)]
        return float(statistic(values)) if values.size else float("nan")


@dataclass(frozen=True)
class TrainingBudget:
    """How long each arm is trained, how often, and on what.

    Attributes
    ----------
    steps, seeds
        Of every arm.
    phantoms
        How many are drawn where there is no set.
    preset
        Of the network.
    slices
        Of every case about the middle of its liver, to learn from and to be scored on; 0: all.
    """

    steps: int = 1500
    seeds: int = 3
    phantoms: int = 40
    preset: str = "radnet10-tiny"
    slices: int = 0


QUICK: Final = TrainingBudget(steps=1, seeds=1, phantoms=2, slices=PATCH[0])


@dataclass(frozen=True)
class Experiment:
    """The rows of a table, and what they were measured on."""

    rows: tuple[ArmScores, ...]
    held_out: int  # cases
    precision: str  # that the networks were trained in


def run(
    arms: Sequence[Arm],
    data: Path | None,
    classifier: Path | None,
    budget: TrainingBudget,
    report: Callable[[str, float], None],
) -> Experiment:
    """Train and score every arm of a table.

    Parameters
    ----------
    data
        A set in one of the layouts above; None: phantoms.
    classifier
        Whose encoder is transferred; None: the shipped one of the budget's preset.
    report
        Called with the name of an arm and the share of its steps that are made.

    Raises
    ------
    UsageError
        If there are no weights to transfer; before the cases are read.
    WeightsError
        If they will not do; so, too.
    DataError
        If the set holds no cases.
    """
    net = liver_network(budget.preset)  # refused before the cases are read, if there is none
    start = classifier or shipped("classifier", budget.preset)
    if not start.is_file():
        raise UsageError(
            f"{start}: no such file; --classifier FILE says whose encoder of preset "
            f"{budget.preset} to transfer"
        )
    transfer_encoder(net, start)  # so are weights that will not do
    cases = sides(data, budget)
    rows = [run_arm(arm, cases, budget, start, partial(report, arm.name)) for arm in arms]
    return Experiment(tuple(rows), len(cases[1]), of_this_machine().precision)


def sides(data: Path | None, budget: TrainingBudget) -> tuple[list[Case], list[Case]]:
    """Return the cases to train on and those held out, each patient on one side.

    Raises
    ------
    DataError
        If the folder holds neither layout, a volume has no segmentation, or a side is empty.
    UnusableVolumeError
        If a scan cannot be read.
    """
    learn, held_out = _sides(data, budget)
    if not (learn and held_out):
        raise DataError(
            f"{data or 'phantoms'}: {len(learn)} cases to learn from, {len(held_out)} held out; "
            "expected one of each at the least"
        )
    if not budget.slices:
        return learn, held_out
    return (
        [about_its_liver(case, budget.slices) for case in learn],
        [about_its_liver(case, budget.slices) for case in held_out],
    )


def _sides(data: Path | None, budget: TrainingBudget) -> tuple[list[Case], list[Case]]:
    if data is None:
        drawn = liver_phantoms(budget.phantoms, PHANTOM_SEED)
        last = range(HELD_OUT - 1, len(drawn), HELD_OUT) or range(len(drawn) - 1, len(drawn))
        return (
            [case for number, case in enumerate(drawn) if number not in last],
            [drawn[number] for number in last],
        )
    if data.suffix == PARQUET:
        return table_cases(data, "train"), table_cases(data, "test")
    if (data / "MANIFEST.csv").is_file():
        pairs = [
            scan
            for scan in read_manifest(data)
            if scan.kind == "liver pair" and scan.liver != "unfit"
        ]
        return (
            [pair_case(data, scan) for scan in pairs if scan.role == "train"],
            [pair_case(data, scan) for scan in pairs if scan.role == "test"],
        )
    return lits_sides(data)


def about_its_liver(case: Case, slices: int) -> Case:
    """Return so many slices of a case about the middle of its liver, or of the scan without one.

    Parameters
    ----------
    case
        Of any length.
    slices
        How many are left, at most.
    """
    depth = len(case.hounsfield)
    if depth <= slices:
        return case
    where = np.flatnonzero(case.liver.any(axis=(1, 2)))
    middle = (where[0] + where[-1] + 1) // 2 if where.size else depth // 2
    first = int(np.clip(middle - slices // 2, 0, depth - slices))
    left = slice(first, first + slices)
    return replace(
        case,
        hounsfield=case.hounsfield[left],
        liver=case.liver[left],
        known=case.known[left],
        gas=case.gas[left],
    )


def transfer_encoder(net: LiverNet | LiverNet2020, weights: Path) -> None:
    """Give `net` the encoder of a classifier, or MedicalNet's (``.pth``).

    Raises
    ------
    WeightsError
        If there is none in the file, or one of another preset. A liver network is none either:
        its decoder has learned already what the experiments ask about.
    """
    if weights.suffix in MEDICALNET_SUFFIXES:
        fill_encoder(net.encoder, weights)
        return
    load_weights(weights, "classifier")
    transfer.transfer(net, weights)


def run_arm(
    arm: Arm,
    cases: tuple[Sequence[Case], Sequence[Case]],
    budget: TrainingBudget,
    classifier: Path,
    tick: Callable[[float], None],
) -> ArmScores:
    """Train one arm with every seed and score it on the held-out cases.

    Parameters
    ----------
    classifier
        Whose encoder is transferred: weights of a classifier, or MedicalNet's ``.pth``.
    """
    learn, held_out = cases
    scores: list[Score] = []
    count = max(1, round(len(learn) * arm.share))
    for seed in range(budget.seeds):
        chosen = [learn[i] for i in np.random.default_rng(seed).permutation(len(learn))[:count]]
        plan = transfer.LiverPlan(budget.preset, 0, seed, steps=budget.steps, freeze=arm.freeze)
        torch.manual_seed(seed)
        net = liver_network(budget.preset)
        if arm.transferred:
            transfer_encoder(net, classifier)
        for progress in transfer.train(net, batches_of(chosen, plan), plan):
            tick((seed + progress.share) / budget.seeds)
        scores += [score(net, case) for case in held_out]
    tick(1.0)
    return ArmScores(arm, count, tuple(scores), budget.seeds)


def batches_of(chosen: list[Case], plan: transfer.LiverPlan) -> transfer.Batches:
    """Return what draws the batches of a plan from these cases, from any of them on."""

    def following(first: int) -> Iterator[Patches]:
        return patches(chosen, [], plan.batch, plan.seed, first=first)

    return following


def shortened(budget: TrainingBudget, steps: int, seeds: int, preset: str) -> TrainingBudget:
    """Return `budget` with what the caller gave; 0 leaves a figure as it is."""
    return replace(budget, steps=steps or budget.steps, seeds=seeds or budget.seeds, preset=preset)
