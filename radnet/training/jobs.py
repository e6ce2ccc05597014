"""What each network learns from and is judged by, ready to begin."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from torch import nn

from radnet.datasets import liver_sets
from radnet.datasets.balance import EVEN, balance
from radnet.datasets.batches import HeldSamples
from radnet.datasets.learned import Known, Learned, learned_by
from radnet.datasets.liver_cases import liver_phantoms
from radnet.datasets.manifest import read_table
from radnet.datasets.prepared import Archive, prepare
from radnet.datasets.samples import Sample, real_samples
from radnet.errors import DataError
from radnet.evaluation import calibration, liver_score
from radnet.inference.preparation import (
    CLASSIFIER_SPACING_MM,
    LIVER_HU,
    LIVER_SPACING_MM,
    LIVER_WINDOW,
)
from radnet.network.weights_file import read_weights_file, task_of
from radnet.training import classify, transfer
from radnet.training.loop import Progress
from radnet.training.ranks import here, wait_for_all
from radnet.training.recalibrate import calibrated
from radnet.training.report import Began, LearnedBefore, Preparing, Report, SeriesCounted, Stage
from radnet.training.request import TrainingRequest, TrainingTask

MOST_JUDGED: Final = 500  # validation series that are kept in memory
JUDGED: Final = 12  # one phantom with a liver for so many to learn from, where no scan is left out
HELD_OUT_SEED: Final = 950_000_000
GLANCE: Final = 24  # held-out samples that are looked at while training
WATCHED: Final = ("sequence", "plane", "contrast", "coverage exact")  # drawn over the steps

Scores = dict[str, float]
S = TypeVar("S", bound=Known)


@dataclass(frozen=True)
class Job:
    """One training, ready to begin.

    Attributes
    ----------
    net
        What `steps` trains.
    steps
        The training: yields after every step.
    record
        What the weights say of themselves before it.
    glance
        Returns a few scores of `net` on held-out scans, while training.
    learned
        Which scans it learns from, or is calibrated on.
    judging, judge
        What comes last: returns the part of the record that tells what `net` is worth, and
        scores.
    """

    net: nn.Module
    steps: Iterator[Progress]
    record: dict[str, Any]
    glance: Callable[[], Scores]
    learned: Learned
    judging: Stage
    judge: Callable[[], tuple[dict[str, Any], Scores]]


def classifier_job(request: TrainingRequest, report: Report, first: bool) -> Job:
    """Return the training of a classifier; `first` tells whether this process judges it."""
    plan = classify.ClassifierPlan(request.preset, request.minutes, request.seed, request.steps)
    plan = replace(plan, sources=request.sources(), header_labels=request.header_labels)
    plan = replace(plan, rate=request.rate or plan.rate)
    if request.phantoms:
        plan = replace(plan, phantoms=request.phantoms, held_out=max(8, request.phantoms // 4))
    record = request.record() | {"rate": plan.rate}
    record |= {"spacing_mm": CLASSIFIER_SPACING_MM, "temperature": {}}
    archive, validation = archive_of(request.manifest, report) if request.manifest else (None, [])
    before = begun_from(request.start, "classifier")
    validation = unknown_to(before, validation, report)
    report(Began(Stage.READING))
    real = [] if archive else real_samples(request.data)
    net, batches = classify.start(
        plan, request.start, archive or HeldSamples(real), request.anatomy
    )
    held_out = classify.held_out_phantoms(plan) if first else []
    weigh = balance(archive.truths()) if archive else EVEN
    seen = (validation or held_out)[:GLANCE]
    watched = [] if archive else real_samples(request.data, "development")
    watched = not_learned(before, watched, report)

    def glance() -> Scores:
        return _heads(calibration.scores(*classify.predict(net, seen)))

    def judge() -> tuple[dict[str, Any], Scores]:
        found = calibrated(net, held_out, [*validation, *watched], real)
        return found, _heads(found["held_out"])

    steps = classify.train(net, batches, plan, request.checkpoint, weigh, watched)
    learned = before.beside(archive.series if archive else real).beside(validation)
    learned = learned.choosing_by(watched)
    return Job(net, steps, record, glance, learned, Stage.CALIBRATING, judge)


def archive_of(manifest: Path, report: Report) -> tuple[Archive, Sequence[Sample]]:
    """Return the training series of a manifest as a pool, and its validation series."""
    rows = read_table(manifest, "train", "validation")
    cache = manifest.with_suffix(".prepared")  # it may be kept for the next training
    rank = here()

    def tick(done: int, total: int) -> None:
        report(Preparing(done, total))

    prepare(rows, cache, tick, (rank.number, rank.world))
    wait_for_all()
    good, bad = prepare(rows, cache, tick)
    learn = Archive([one for one in good if one.row.split == "train"])
    judge = Archive([one for one in good if one.row.split == "validation"])
    report(SeriesCounted(len(learn), len(judge), tuple(one.reason for one in bad)))
    if not len(learn):
        raise DataError(f"{manifest}: no series of its training side is usable")
    return learn, [judge[index] for index in range(min(len(judge), MOST_JUDGED))]


def _heads(found: Mapping[str, float]) -> Scores:
    """Return the scores that are watched, of heads of which something is known."""
    return {name: found[name] for name in WATCHED if name in found}


def liver_job(request: TrainingRequest, report: Report, _first: bool) -> Job:
    """Return the training of a liver network."""
    roles = frozenset({"train", "test"} if request.every_scan else {"train"})
    plan = transfer.LiverPlan(
        request.preset, request.minutes, request.seed, request.steps, roles=roles
    )
    plan = replace(plan, sources=request.sources(), rate=request.rate or plan.rate)
    if request.phantoms:
        plan = replace(plan, phantoms=request.phantoms)
    record = request.record() | {
        "rate": plan.rate,
        "spacing_mm": LIVER_SPACING_MM,
        "window": LIVER_WINDOW,
        "hu": LIVER_HU,
        "threshold": 0.5,
    }
    report(Began(Stage.READING))
    sets = (request.manifest,) if request.manifest else request.data
    learn, left_out = liver_sets.learn_and_judge(sets, plan.roles)
    net, batches = transfer.start(plan, learn, request.start)
    before = begun_from(request.start, "classifier", "liver")
    left_out = unknown_to(before, left_out, report)
    held_out = left_out or liver_phantoms(max(1, plan.phantoms // JUDGED), HELD_OUT_SEED)
    patches = liver_score.fixed_patches(held_out)

    def glance() -> Scores:
        return {"Dice in patches": liver_score.glance(net, patches)}

    def judge() -> tuple[dict[str, Any], Scores]:
        found = liver_score.summary(net, held_out)
        judged_on = "left-out scans" if left_out else "phantoms"
        return {"held_out": found, "judged_on": judged_on}, {"Dice": found.get("dice", math.nan)}

    watched = not_learned(before, liver_sets.development(request.data), report)
    steps = transfer.train(net, batches, plan, request.checkpoint, watched)
    learned = before.beside(learn).choosing_by(watched)
    return Job(net, steps, record, glance, learned, Stage.SCORING, judge)


def begun_from(start: Path | None, *tasks: str) -> Learned:
    """Return what the weights to begin with learned from; all others' scans are untold."""
    if start is None:
        return Learned()
    task = task_of(start)
    if task in tasks:
        found = learned_by(start, read_weights_file(start, task).record)
        if found is not None:
            return found
    return Learned(untold=(start.name,))


def unknown_to(before: Learned, scans: Sequence[S], report: Report) -> list[S]:
    """Return the scans that are strangers to the weights to begin with; tell of the others."""
    return _told([one for one in scans if not before.why(one.content, one.patient)], scans, report)


def not_learned(before: Learned, scans: Sequence[S], report: Report) -> list[S]:
    """Return the scans that the weights to begin with did not learn from; tell of the others.

    Those by which they were chosen are among them: so the next weights are chosen, too.
    """
    kept = [one for one in scans if not before.learned(one.content, one.patient)]
    return _told(kept, scans, report)


def _told(kept: list[S], scans: Sequence[S], report: Report) -> list[S]:
    if len(kept) < len(scans):
        report(LearnedBefore(len(scans) - len(kept), len(scans)))
    return kept


JOBS: Final[Mapping[TrainingTask, Callable[[TrainingRequest, Report, bool], Job]]] = {
    TrainingTask.CLASSIFIER: classifier_job,
    TrainingTask.LIVER: liver_job,
}
