"""The command `radnet train`: classifier or liver, on one processor, one GPU or several."""

import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

from radnet.cli.trained import tell_classifier, tell_liver
from radnet.errors import RadnetError, UnusableVolumeError

shown = Console(stderr=True)
SAVE_S = 60.0
MOST_JUDGED = 500  # validation series that are kept in memory
JUDGED = 12  # one phantom with a liver for so many to learn from, where no scan is left out
HELD_OUT_SEED = 950_000_000
GLANCE = 24  # held-out samples that are looked at while training
WATCHED = ("sequence", "plane", "contrast", "coverage exact")  # drawn over the steps


class TrainingTask(StrEnum):
    """What to train."""

    CLASSIFIER = "classifier"
    LIVER = "liver"


@dataclass(frozen=True)
class TrainingRequest:
    """What `radnet train` was asked for."""

    task: TrainingTask
    preset: str
    minutes: float
    steps: int
    seed: int
    data: tuple[Path, ...]
    manifest: Path | None
    start: Path | None
    out: Path
    every_scan: bool
    phantoms: int = 0
    mlflow: str = ""

    @property
    def checkpoint(self) -> Path:
        """Return where the training stands between two calls of the same command."""
        return self.out.with_suffix(".checkpoint")

    @property
    def cache(self) -> Path:
        """Return the folder of prepared series; it may be kept for the next training."""
        assert self.manifest is not None  # noqa: S101 (asked for with a manifest only)
        return self.manifest.with_suffix(".prepared")

    def sources(self) -> dict[str, str]:
        """Return what tells this training's data and first weights from others', by option."""
        from radnet.datasets.fingerprint import fingerprint
        from radnet.inference.preparation import PREPARATION, PREPARED

        given = {"--manifest": self.manifest, "--start": self.start}
        told = {option: fingerprint(path) for option, path in given.items() if path}
        if self.start and self.out.is_file() and self.out.samefile(self.start):
            told["--start"] = "--out itself"  # it is written again and again in the training
        return told | {
            PREPARED: str(PREPARATION),
            "--preset": self.preset,
            "--data": ", ".join(fingerprint(one) for one in self.data),
            "--phantoms": str(self.phantoms or ""),
            "--every-scan": "given" if self.every_scan else "",
        }

    def record(self) -> dict[str, Any]:
        """Return the part of the weights' record that is known before training."""
        from radnet.inference.preparation import PREPARATION

        length = f"--steps {self.steps}" if self.steps else f"--minutes {self.minutes:g}"
        command = (
            f"radnet train {self.task} --preset {self.preset} {length} "
            f"--seed {self.seed}{' --data DIR' * len(self.data)}"
            f"{' --manifest FILE' if self.manifest else ''}"
            f"{' --start WEIGHTS' if self.start else ''}"
            f"{' --every-scan' if self.every_scan else ''}"
        )
        listed = [self.manifest] if self.manifest else [one / "MANIFEST.csv" for one in self.data]
        return {
            "task": self.task.value,
            "preset": self.preset,
            "seed": self.seed,
            "minutes": 0 if self.steps else self.minutes,
            "version": version("radnet-node"),
            "preparation": PREPARATION,
            "left_out": not self.every_scan,
            "command": command,
            "start_sha256": _digest([self.start] if self.start else []),
            "manifest_sha256": _digest(listed),
        }


def _digest(paths: Sequence[Path]) -> str:
    """Return the SHA-256 of those of the files that are there, one behind the other."""
    there = [path for path in paths if path.is_file()]
    content = b"".join(path.read_bytes() for path in there)
    return hashlib.sha256(content).hexdigest() if there else ""


def train(  # noqa: PLR0913 (typer wants one parameter per option)
    task: Annotated[TrainingTask, typer.Argument(help="What to train.")],
    preset: Annotated[str, typer.Option(help="Size of the network.")] = "radnet10-tiny",
    minutes: Annotated[float, typer.Option(min=0.01, help="Time for the training steps.")] = 15,
    steps: Annotated[int, typer.Option(min=0, help="Training steps, instead of minutes.")] = 0,
    seed: Annotated[int, typer.Option(help="Drives every random choice.")] = 0,
    phantoms: Annotated[int, typer.Option(min=0, help="Phantoms to draw; 0: as planned.")] = 0,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of real scans, for the liver also LiTS layout; may be repeated."
        ),
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="Parquet of `radnet labels manifest`, instead of --data.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The weights file to write.")] = Path("weights"),
    start: Annotated[
        Path | None,
        typer.Option(
            help="Weights to go on from, or whose encoder to transfer; or MedicalNet's .pth."
        ),
    ] = None,
    mlflow: Annotated[
        str, typer.Option(help="MLflow to tell: a server's URL, or a SQLite file.")
    ] = "",
    *,
    every_scan: Annotated[
        bool, typer.Option("--every-scan", help="Learn from the left-out scans too; liver only.")
    ] = False,
) -> None:
    """Train a network; the same command goes on where it was cut off.

    A checkpoint is written under OUT every minute. On several GPUs: `torchrun --nproc-per-node 4
    --no-python -- radnet train ...`; `--minutes` and `--steps` then count for all together.
    """
    from radnet.training.ranks import joined

    request = TrainingRequest(
        task,
        preset,
        minutes,
        steps,
        seed,
        tuple(data or ()),
        manifest,
        start,
        out,
        every_scan,
        phantoms,
        mlflow,
    )
    _refuse_paths(request)
    with joined() as rank:
        shown.quiet = not rank.first
        if task is TrainingTask.CLASSIFIER:
            _train_classifier(request, rank.first)
        else:
            _train_liver(request, rank.first)


def _refuse_paths(request: TrainingRequest) -> None:
    """Refuse before the work what could not be read in it or written after it."""
    if request.data and request.manifest is not None:
        raise UnusableVolumeError("--data and --manifest exclude each other")
    for path in (*request.data, request.manifest, request.start):
        if path is not None and not path.exists():
            raise UnusableVolumeError(f"{path}: no such file or folder")
    if request.out.is_dir() or not request.out.parent.is_dir():
        raise UnusableVolumeError(
            f"{request.out}: expected the name of a file in a folder that is there"
        )


def _train_classifier(request: TrainingRequest, first: bool) -> None:
    from radnet.datasets.balance import EVEN, balance
    from radnet.datasets.samples import real_samples
    from radnet.inference.preparation import CLASSIFIER_SPACING_MM
    from radnet.network.weights import save_weights
    from radnet.training import classify
    from radnet.training.recalibrate import calibrated

    plan = classify.Plan(request.preset, request.minutes, request.seed, request.steps)
    plan = replace(plan, sources=request.sources())
    if request.phantoms:
        plan = replace(plan, phantoms=request.phantoms, held_out=max(8, request.phantoms // 4))
    for one in request.data:
        if not (one / "MANIFEST.csv").is_file():
            raise UnusableVolumeError(f"{one} holds no MANIFEST.csv; see radnet/datasets/scans.py")
    record = request.record() | {"spacing_mm": CLASSIFIER_SPACING_MM, "temperature": {}}
    archive, validation = _archive(request) if request.manifest else (None, [])
    with shown.status("Drawing phantoms and reading scans"):
        net, batches = classify.start(plan, request.start, request.data, archive)
        held_out = classify.held_out_phantoms(plan) if first else []
    weigh = balance(archive.truths()) if archive else EVEN
    training = classify.train(net, batches, plan, request.checkpoint, weigh)
    glance = (validation or held_out)[:GLANCE]
    with _journal(request, record, first) as journal:
        for steps in _watched(training, journal):
            if first:
                save_weights(request.out, net, record | steps)
                journal.scores(steps["steps"], _scores(net, glance))
                journal.write()
            last = steps
        if first:
            with shown.status("Calibrating"):
                learned = [] if archive else real_samples(request.data)
                record |= calibrated(net, held_out, validation, learned)
            save_weights(request.out, net, record | last)
            journal.scores(last["steps"], _heads(record["held_out"]))
    if first:
        request.checkpoint.unlink(missing_ok=True)
        tell_classifier(shown, request.out, record | last)


def _archive(request: TrainingRequest) -> tuple[Any, list[Any]]:
    """Return the training series of a manifest as a pool, and its validation series."""
    from radnet.datasets.manifest import read_table
    from radnet.datasets.prepared import Archive, prepare
    from radnet.training.ranks import here, wait_for_all

    assert request.manifest is not None  # noqa: S101 (asked for with a manifest only)
    rows = read_table(request.manifest, "train", "validation")
    rank = here()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bar(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=shown) as bar:
        task = bar.add_task("preparing series", total=None)

        def tick(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        prepare(rows, request.cache, tick, (rank.number, rank.world))
        wait_for_all()
        good, bad = prepare(rows, request.cache, tick)
    for one in bad[:10]:
        shown.print(escape(f"left out: {one.reason}"), style="yellow")
    if len(bad) > 10:
        shown.print(f"... and {len(bad) - 10:,} more", style="yellow")
    learn = Archive([one for one in good if one.row.split == "train"])
    if not len(learn):
        raise UnusableVolumeError(f"{request.manifest}: no series of its training side is usable")
    judge = Archive([one for one in good if one.row.split == "validation"])
    shown.print(f"{len(learn):,} series to learn from, {len(judge):,} to validate on")
    return learn, [judge[index] for index in range(min(len(judge), MOST_JUDGED))]


def _scores(net: Any, samples: list[Any]) -> dict[str, float]:
    from radnet.evaluation import calibration
    from radnet.training import classify

    return _heads(calibration.scores(*classify.predict(net, samples)))


def _heads(found: dict[str, float]) -> dict[str, float]:
    """Return the scores that are watched, of heads of which something is known."""
    return {name: found[name] for name in WATCHED if name in found}


def _train_liver(request: TrainingRequest, first: bool) -> None:
    from radnet.datasets import liver_sets
    from radnet.datasets.liver_cases import liver_phantoms
    from radnet.evaluation import liver_score
    from radnet.inference.preparation import LIVER_HU, LIVER_SPACING_MM, LIVER_WINDOW
    from radnet.network.weights import save_weights
    from radnet.training import transfer

    roles = frozenset({"train", "test"} if request.every_scan else {"train"})
    plan = transfer.Plan(request.preset, request.minutes, request.seed, request.steps, roles=roles)
    plan = replace(plan, sources=request.sources())
    if request.phantoms:
        plan = replace(plan, phantoms=request.phantoms)
    record = request.record() | {
        "spacing_mm": LIVER_SPACING_MM,
        "window": LIVER_WINDOW,
        "hu": LIVER_HU,
        "threshold": 0.5,
    }
    with shown.status("Drawing phantoms and reading scans"):
        sets = (request.manifest,) if request.manifest else request.data
        learn, left_out = liver_sets.learn_and_judge(sets, plan.roles)
        net, batches = transfer.start(plan, learn, request.start)
        judge = left_out or liver_phantoms(max(1, plan.phantoms // JUDGED), HELD_OUT_SEED)
        patches = liver_score.fixed_patches(judge)
    training = transfer.train(net, batches, plan, request.checkpoint)
    with _journal(request, record, first) as journal:
        for steps in _watched(training, journal):
            if first:
                save_weights(request.out, net, record | steps)
                journal.scores(
                    steps["steps"], {"Dice in patches": liver_score.glance(net, patches)}
                )
                journal.write()
            last = steps
        if first:
            with shown.status("Scoring held-out scans"):
                found = liver_score.summary(net, judge)
            record |= {
                "held_out": found,
                "judged_on": "left-out scans" if left_out else "phantoms",
            }
            save_weights(request.out, net, record | last)
            journal.scores(last["steps"], {"Dice": found.get("dice", math.nan)})
    if first:
        request.checkpoint.unlink(missing_ok=True)
        tell_liver(shown, request.out, record | last)


@contextmanager
def _journal(request: TrainingRequest, record: dict[str, Any], first: bool) -> Iterator[Any]:
    """Open the journal of a training, and MLflow's where it is asked for; close both."""
    from radnet.training.journal import Journal

    if not first or not request.mlflow:
        journal = Journal(request.out)
        yield journal
        if first:
            journal.write()
        return
    from radnet.training.tracking import MlflowRun

    run = MlflowRun(request.mlflow, request.out.stem, record, request.out.with_suffix(".mlflow"))
    journal = Journal(request.out, run)
    yield journal
    journal.close()
    run.keep(request.out)
    run.end()
    if run.troubles:
        shown.print(f"MLflow did not hear {run.troubles} calls: {run.trouble}", style="yellow")


def _watched(training: Iterator[Any], journal: Any) -> Iterator[dict[str, Any]]:
    """Run `training` under a progress bar; yield what to record, every minute and at the end."""
    from radnet.training.journal import mean_loss

    recent: list[float] = []
    saved, progress = time.monotonic(), None
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Bar(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=shown) as bar:
        task = bar.add_task("training", total=1.0)
        for progress in training:
            journal.step(progress)
            recent = [*recent[-49:], progress.loss]
            loss = mean_loss(recent)
            told = "no finite loss" if loss is None else f"loss {loss:.3f}"
            bar.update(task, completed=progress.share, description=told)
            if time.monotonic() - saved > SAVE_S:
                saved = time.monotonic()
                yield _steps(progress, loss)
    if progress is None:
        raise RadnetError("the time was over before the first step; give more --minutes")
    yield _steps(progress, mean_loss(recent))


def _steps(progress: Any, loss: float | None) -> dict[str, Any]:
    loss = loss and round(loss, 4)
    return {
        "steps": progress.step,
        "skipped": progress.skipped,
        "loss": loss,
        "arithmetic": asdict(progress.arithmetic),
    }
