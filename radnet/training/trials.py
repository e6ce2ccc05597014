"""The trials of an arm: each is trained, scored and kept, and goes on after kill -9."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from radnet.datasets.liver_cases import Case
from radnet.datasets.liver_patches import Patches, patches
from radnet.evaluation.liver_score import Score, score
from radnet.harvest.durable import publish
from radnet.network.build import liver_network
from radnet.network.decoder import LiverNet
from radnet.network.layout2020 import LiverNet2020
from radnet.network.medicalnet import MEDICALNET_SUFFIXES, fill_encoder
from radnet.network.weights import load_weights
from radnet.training import transfer
from radnet.training.arms import Arm, ArmScores, Trial
from radnet.training.loop import Progress


class Budget(Protocol):
    """What a trial needs of the experiment's budget."""

    @property
    def steps(self) -> int:
        """Return the steps of each trial."""

    @property
    def seeds(self) -> int:
        """Return the trials of each arm."""

    @property
    def preset(self) -> str:
        """Return the size of the network."""


@dataclass(frozen=True)
class Plans:
    """What all trials of an experiment share.

    Attributes
    ----------
    classifier
        Whose encoder is transferred: weights of a classifier, or MedicalNet's ``.pth``.
    folder
        Where trials and checkpoints are kept.
    identity
        What tells the experiment from others, for the checkpoints.
    """

    budget: Budget
    classifier: Path
    folder: Path
    identity: Mapping[str, str]


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
    plans: Plans,
    tick: Callable[[float], None],
) -> ArmScores:
    """Train one arm with every seed and score it on the held-out cases; what is kept is read.

    Parameters
    ----------
    cases
        To learn from, and held out.
    tick
        Called with the share of the arm's steps that are made.
    """
    trials = []
    for seed in range(plans.budget.seeds):
        path = plans.folder / "trials" / f"{_slug(arm.name)}-{seed}.json"
        found = read_trial(path)
        if found is None:

            def moved(share: float, seed: int = seed) -> None:
                tick((seed + share) / plans.budget.seeds)

            found = _trial(arm, seed, cases, plans, path, moved)
            keep_trial(path, found)
            path.with_suffix(".checkpoint").unlink(missing_ok=True)
        tick((seed + 1) / plans.budget.seeds)
        trials.append(found)
    return ArmScores(arm, tuple(trials))


def _trial(
    arm: Arm,
    seed: int,
    cases: tuple[Sequence[Case], Sequence[Case]],
    plans: Plans,
    path: Path,
    tick: Callable[[float], None],
) -> Trial:
    learn, held_out = cases
    count = max(1, round(len(learn) * arm.share))
    chosen = [learn[i] for i in np.random.default_rng(seed).permutation(len(learn))[:count]]
    budget = plans.budget
    plan = transfer.LiverPlan(
        budget.preset, 0, seed, steps=budget.steps, freeze=arm.freeze,
        sources={**plans.identity, "arm": arm.name},
    )  # fmt: skip
    torch.manual_seed(seed)
    net = liver_network(budget.preset)
    if arm.transferred:
        transfer_encoder(net, plans.classifier)
    path.parent.mkdir(parents=True, exist_ok=True)
    begun, last = time.monotonic(), None
    checkpoint = path.with_suffix(".checkpoint")
    for last in transfer.train(net, batches_of(chosen, plan), plan, checkpoint):
        tick(last.share)
    scores = tuple(score(net, case) for case in held_out)
    names = tuple(case.name for case in held_out)
    people = tuple(case.patient or case.name for case in held_out)
    told = _told(last) | {"seconds": round(time.monotonic() - begun, 1)}
    return Trial(arm.name, seed, count, names, people, scores, told)


def _told(last: Progress | None) -> dict[str, Any]:
    if last is None:
        return {"steps": 0, "skipped": 0, "first_loss": None, "loss": None, "precision": ""}
    first, loss = (x if np.isfinite(x) else None for x in (last.first_loss, last.loss))
    return {
        "steps": last.step,
        "skipped": last.skipped,
        "first_loss": first,
        "loss": loss,
        "precision": last.arithmetic.precision,
    }


def _slug(name: str) -> str:
    return re.sub(r"\W+", "-", name).strip("-")


def keep_trial(path: Path, trial: Trial) -> None:
    """Write a trial; it is whole and on disk, or is not there."""
    part = path.with_suffix(".partial")
    part.write_text(json.dumps(asdict(trial), indent=1) + "\n", encoding="utf-8")
    publish(part, path)


def read_trial(path: Path) -> Trial | None:
    """Return the trial that is kept there, None if it is yet to be made."""
    if not path.is_file():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    scores = tuple(Score(**one) for one in found["scores"])
    return Trial(
        **found
        | {
            "scores": scores,
            "cases": tuple(found["cases"]),
            "patients": tuple(found["patients"]),
        }
    )


def batches_of(chosen: list[Case], plan: transfer.LiverPlan) -> transfer.Batches:
    """Return what draws the batches of a plan from these cases, from any of them on."""

    def following(first: int) -> Iterator[Patches]:
        return patches(chosen, [], plan.batch, plan.seed, first=first)

    return following
