"""One training from its request to its weights: what is learned, what is kept, what is judged.

Reads from top to bottom. `train` is the same for both networks; what each of them learns from and
is judged by is put together in `radnet.training.jobs`.
"""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from radnet.datasets.learned import DIGEST, keep_learned
from radnet.errors import RadnetError
from radnet.network.weights import save_weights
from radnet.training.jobs import JOBS, Job
from radnet.training.journal import Journal, mean_loss
from radnet.training.loop import Progress
from radnet.training.ranks import joined
from radnet.training.report import Began, Report, Stepped, Unheard, silent
from radnet.training.request import TrainingRequest
from radnet.training.tracking import MlflowRun

FEWEST_STEPS: Final = 2
SAVE_S: Final = 60.0
RECENT: Final = 50  # steps whose mean loss is told


@dataclass(frozen=True)
class Trained:
    """A training that is through.

    Attributes
    ----------
    request
        What was asked for; its `out` holds the weights.
    record
        What the weights say of themselves; without figures on held-out scans where not `first`.
    first
        Whether this process wrote them: under ``torchrun`` one of several does.
    """

    request: TrainingRequest
    record: Mapping[str, Any]
    first: bool = True

    @property
    def out(self) -> Path:
        """Return the weights file."""
        return self.request.out


def train(request: TrainingRequest, report: Report = silent) -> Trained:
    """Train a network as asked for, or go on where the same request was cut off.

    Parameters
    ----------
    report
        Called with every event; of several processes by the first alone.

    Raises
    ------
    UsageError, DataError
        If the request, or what it names, cannot be used.
    WeightsError
        If the weights to begin with are others than asked for, or the checkpoint is of another
        training.
    RadnetError
        If the time was over before a second step: that is no model.
    """
    request.refuse_wrong()
    with joined() as rank:
        report = report if rank.first else silent
        job = JOBS[request.task](request, report, rank.first)
        if rank.first:
            return _kept(request, job, report)
        return Trained(request, job.record | _last(job, report), first=False)


def _kept(request: TrainingRequest, job: Job, report: Report) -> Trained:
    """Run `job`; keep weights and figures every minute and at the end."""
    with _journal(request, job.record, report) as journal:
        for steps in _marks(job, report, journal):
            unfinished = job.record | steps | {"unfinished": True}
            save_weights(request.unfinished, job.net, unfinished)
            journal.scores(steps["steps"], job.glance())
            journal.write()
        _refuse_no_model(request, steps)
        report(Began(job.judging))
        found, scores = job.judge()
        record = job.record | found | steps | {DIGEST: job.learned.digest()}
        keep_learned(request.out, job.learned)
        save_weights(request.out, job.net, record)
        journal.scores(steps["steps"], scores)
    request.checkpoint.unlink(missing_ok=True)
    request.unfinished.unlink(missing_ok=True)
    return Trained(request, record)


def _refuse_no_model(request: TrainingRequest, steps: Mapping[str, Any]) -> None:
    """Refuse to call weights a model that learned from a step at most."""
    learned = steps["steps"] - steps["skipped"]
    if learned >= FEWEST_STEPS:
        return
    request.checkpoint.unlink(missing_ok=True)  # more of it would be another training
    raise RadnetError(
        f"{steps['steps']} steps, {steps['skipped']} of them skipped: no model, and "
        f"{request.out.name} is not written; expected hundreds of steps: give more --minutes or "
        f"--steps (what there is stands in {request.unfinished.name})"
    )


def _last(job: Job, report: Report) -> dict[str, Any]:
    """Run `job` to its end beside the process that keeps it."""
    *_, steps = _marks(job, report, None)
    return steps


@contextmanager
def _journal(
    request: TrainingRequest, record: Mapping[str, Any], report: Report
) -> Iterator[Journal]:
    """Open the journal of a training, and MLflow's where it is asked for; close both."""
    if not request.mlflow:
        journal = Journal(request.out)
        yield journal
        journal.write()
        return
    run = MlflowRun(request.mlflow, request.out.stem, record, request.out.with_suffix(".mlflow"))
    journal = Journal(request.out, run)
    yield journal
    journal.close()
    run.keep(request.out)
    run.end()
    if run.troubles:
        report(Unheard(run.troubles, run.trouble))


def _marks(job: Job, report: Report, journal: Journal | None) -> Iterator[dict[str, Any]]:
    """Run the steps of `job`; yield what to record, every minute and at the end."""
    recent: list[float] = []
    saved, progress = time.monotonic(), None
    for progress in job.steps:
        if journal:
            journal.step(progress)
        recent = [*recent[1 - RECENT :], progress.loss]
        loss = mean_loss(recent)
        report(Stepped(progress.share, loss))
        if time.monotonic() - saved > SAVE_S:
            saved = time.monotonic()
            yield _recorded(progress, loss)
    if progress is None:
        raise RadnetError("the time was over before the first step; give more --minutes")
    yield _recorded(progress, mean_loss(recent))


def _recorded(progress: Progress, loss: float | None) -> dict[str, Any]:
    return {
        "steps": progress.step,
        "skipped": progress.skipped,
        "loss": loss and round(loss, 4),
        "first_loss": round(first, 4) if math.isfinite(first := progress.first_loss) else None,
        "arithmetic": asdict(progress.arithmetic),
    } | ({"kept_step": progress.kept_step} if progress.kept_step else {})
