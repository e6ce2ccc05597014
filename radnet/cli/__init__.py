"""The command `radnet`: labels, train, evaluate, classify, segment.

Exit status: 0 done, 1 failed, 2 wrong usage or input.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress as Bar
from rich.table import Table

from radnet.cli import labels
from radnet.errors import RadnetError, UnusableVolumeError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(labels.app, name="labels")
shown = Console(stderr=True)
CHECKPOINT_S = 60.0


class Task(StrEnum):
    """What to train."""

    CLASSIFIER = "classifier"
    LIVER = "liver"


@dataclass(frozen=True)
class _Request:
    """What `radnet train` was asked for."""

    task: Task
    preset: str
    minutes: float
    seed: int
    data: Path | None
    start: Path | None
    out: Path

    def record(self) -> dict[str, Any]:
        """Return the part of the weights' record that is known before training."""
        manifest = (self.data / "MANIFEST.csv").read_bytes() if self.data else b""
        before = self.start.read_bytes() if self.start else b""
        command = (
            f"radnet train {self.task} --preset {self.preset} --minutes {self.minutes:g} "
            f"--seed {self.seed}{' --data DIR' if self.data else ''}"
            f"{' --start CLASSIFIER' if self.start else ''}"
        )
        return {
            "task": self.task.value,
            "preset": self.preset,
            "seed": self.seed,
            "minutes": self.minutes,
            "version": version("radnet-node"),
            "command": command,
            "start_sha256": hashlib.sha256(before).hexdigest() if before else "",
            "manifest_sha256": hashlib.sha256(manifest).hexdigest() if manifest else "",
        }


@app.callback()
def radnet() -> None:
    """Recognise scans and find the liver in them: data, training, evaluation."""


@app.command()
def train(  # noqa: PLR0913 (typer wants one parameter per option)
    task: Annotated[Task, typer.Argument(help="What to train.")],
    preset: Annotated[str, typer.Option(help="Size of the network.")] = "radnet10-tiny",
    minutes: Annotated[float, typer.Option(min=0.01, help="Time for the training steps.")] = 15,
    seed: Annotated[int, typer.Option(help="Drives every random choice.")] = 0,
    data: Annotated[Path | None, typer.Option(help="Folder of real scans.")] = None,
    out: Annotated[Path, typer.Option(help="The weights file to write.")] = Path("weights"),
    start: Annotated[
        Path | None, typer.Option(help="Classifier weights to go on from, or to transfer.")
    ] = None,
) -> None:
    """Train a network; a checkpoint is written under OUT every minute."""
    if data is not None and not (data / "MANIFEST.csv").is_file():
        raise UnusableVolumeError(f"{data} holds no MANIFEST.csv; see radnet/training/scans.py")
    request = _Request(task, preset, minutes, seed, data, start, out)
    if task is Task.CLASSIFIER:
        _train_classifier(request)
    else:
        _train_liver(request)


def _train_classifier(request: _Request) -> None:
    from radnet.inference.preparation import CLASSIFIER_SPACING_MM
    from radnet.network.weights import save_weights
    from radnet.training import classify

    plan = classify.Plan(request.preset, request.minutes, request.seed)
    record = request.record() | {"spacing_mm": CLASSIFIER_SPACING_MM, "temperature": {}}
    with shown.status("Drawing phantoms and reading scans"):
        net, batches, held_out = classify.start(plan, request.data, request.start)
    for steps in _watched(classify.train(net, batches, plan)):
        save_weights(request.out, net, record | steps)
        last = steps
    heads, truth = classify.predict(net, held_out)
    record["temperature"] = classify.temperatures(heads, truth)
    right = classify.scores(heads, truth)
    record["held_out_phantoms"] = {name: round(value, 4) for name, value in right.items()}
    save_weights(request.out, net, record | last)
    shown.print(f"{request.out}: {last}; on 300 held-out phantoms {record['held_out_phantoms']}")


def _train_liver(request: _Request) -> None:
    from radnet.inference.preparation import (
        LIVER_HU,
        LIVER_SPACING_MM,
        LIVER_WINDOW,
    )
    from radnet.network.weights import save_weights
    from radnet.training import transfer

    plan = transfer.Plan(request.preset, request.minutes, request.seed)
    record = request.record() | {
        "spacing_mm": LIVER_SPACING_MM,
        "window": LIVER_WINDOW,
        "hu": LIVER_HU,
        "threshold": 0.5,
    }
    with shown.status("Drawing phantoms and reading scans"):
        net, batches = transfer.start(plan, request.data, request.start)
    for steps in _watched(transfer.train(net, batches, plan)):
        save_weights(request.out, net, record | steps)
    shown.print(f"{request.out}: written")


def _watched(training: Iterator[Any]) -> Iterator[dict[str, Any]]:
    """Run `training` under a progress bar; yield what to record, every minute and at the end."""
    recent: list[float] = []
    saved, progress = time.monotonic(), None
    with Bar(console=shown) as bar:
        task = bar.add_task("training", total=1.0)
        for progress in training:
            recent = [*recent[-49:], progress.loss]
            loss = sum(recent) / len(recent)
            bar.update(task, completed=progress.share, description=f"loss {loss:.3f}")
            if time.monotonic() - saved > CHECKPOINT_S:
                saved = time.monotonic()
                yield _steps(progress, loss)
    if progress is None:
        raise RadnetError("the time was over before the first step; give more --minutes")
    yield _steps(progress, sum(recent) / len(recent))


def _steps(progress: Any, loss: float) -> dict[str, Any]:
    return {"steps": progress.step, "skipped": progress.skipped, "loss": round(loss, 4)}


@app.command()
def evaluate(
    data: Annotated[Path, typer.Option(help="Folder of real scans.")],
    classifier: Annotated[Path | None, typer.Option(help="Classifier weights.")] = None,
    liver: Annotated[Path | None, typer.Option(help="Liver weights.")] = None,
    split: Annotated[Path | None, typer.Option(help="Write the split as JSON here.")] = None,
) -> None:
    """Score weights on the scans that were left out of training."""
    from radnet.inference.classifier import Classifier
    from radnet.inference.segmenter import LiverSegmenter
    from radnet.training import evaluate as scoring

    if not (data / "MANIFEST.csv").is_file():
        raise UnusableVolumeError(f"{data} holds no MANIFEST.csv; see radnet/training/scans.py")
    with shown.status("Loading weights"):
        labeller = Classifier.load(classifier)
        segmenter = LiverSegmenter.load(liver, labeller)
    with shown.status("Scoring"):
        found = list(scoring.reports(data, labeller, segmenter))
    plain = Console()
    heads = Table("head", "right", "judged", "of these covered", title="Left-out scans")
    for head, (right, judged, positive) in scoring.summary(found).items():
        heads.add_row(head, str(right), str(judged), str(positive))
    plain.print(heads)
    wrong = Table("scan", "head", "truth", "said", "probability", title="Wrong answers")
    livers = Table("scan", "Dice", "liver mL", "said mL", title="Liver masks")
    for report in found:
        for verdict in report.verdicts:
            if not verdict.right:
                wrong.add_row(
                    report.scan.name, verdict.head, verdict.truth, verdict.said,
                    f"{verdict.probability:.2f}",
                )  # fmt: skip
        if report.liver:
            score = report.liver
            livers.add_row(
                report.scan.name, f"{score.dice:.3f}", f"{score.truth_ml:.0f}",
                f"{score.said_ml:.0f}",
            )  # fmt: skip
    plain.print(wrong)
    plain.print(livers)
    if split:
        split.write_text(json.dumps(scoring.split_record(data), indent=1) + "\n", encoding="utf-8")


@app.command()
def classify(
    scan: Annotated[Path, typer.Argument(exists=True, help="A DICOM folder or file, or NIfTI.")],
    modality: Annotated[str, typer.Option(help="Of a NIfTI file: CT or MR.")] = "CT",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what is in one scan."""
    from radnet.inference.classifier import Classifier

    volume, modality = _read(scan, modality)
    with shown.status("Classifying"):
        said = Classifier.load().classify(volume, modality)
    heads = {
        "sequence": said.sequence,
        "plane": said.plane,
        "contrast": said.contrast,
        "coverage": said.coverage,
    }
    plain = Console()
    if as_json:
        rounded = {
            head: {label.value: round(p, 4) for label, p in values.items()}  # type: ignore[attr-defined]
            for head, values in heads.items()
        }
        plain.print_json(data=rounded | {"spacing_mm": round(said.spacing_mm, 2)})
        return
    table = Table("head", "label", "probability")
    for head, values in heads.items():
        for label, p in sorted(values.items(), key=lambda item: -item[1]):  # type: ignore[attr-defined]
            table.add_row(head, str(label), f"{p:.3f}")
    plain.print(table)


@app.command()
def segment(
    scan: Annotated[Path, typer.Argument(exists=True, help="A CT: NIfTI, DICOM folder or file.")],
    out: Annotated[Path, typer.Option(help="The NIfTI mask to write.")],
) -> None:
    """Find the liver in one CT and write its mask on the same grid."""
    import nibabel as nib
    import numpy as np

    from radnet.inference.segmenter import LiverSegmenter

    volume, _ = _read(scan, "CT")
    with shown.status("Loading weights"):
        segmenter = LiverSegmenter.load()
    with Bar(console=shown) as bar:
        task = bar.add_task("liver", total=1.0)
        found = segmenter.segment(volume, lambda done: bar.update(task, completed=done))
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.asarray(volume.affine)[:, [2, 1, 0, 3]]
    image = nib.Nifti1Image(found.mask.transpose(2, 1, 0).astype(np.uint8), affine)
    nib.save(image, out)
    voxel_ml = abs(float(np.linalg.det(np.asarray(volume.affine)[:3, :3]))) / 1000
    verdict = f"{found.mask.sum() * voxel_ml:.0f} mL" if found.mask.any() else "no liver"
    Console().print(f"{out}: {verdict}")


def _read(scan: Path, modality: str) -> tuple[Any, str]:
    """Return the volume of a NIfTI file, or of DICOM files, and its modality."""
    from radnet.training.evaluate import volume_of
    from radnet.training.scans import read_nifti
    from radnet.volume.series import read_headers, read_volume

    if scan.name.endswith((".nii", ".nii.gz")):
        try:
            return volume_of(read_nifti(scan)), modality
        except (ValueError, OSError) as error:
            raise UnusableVolumeError(f"{scan.name}: not a NIfTI volume: {error}") from error
    paths = sorted(path for path in scan.rglob("*") if path.is_file()) if scan.is_dir() else [scan]
    headers = read_headers(paths)
    if not headers:
        raise UnusableVolumeError(f"{scan}: no DICOM images in it")
    return read_volume(paths), str(headers[0].get("Modality", modality))


def main() -> None:
    """Run the command; a mistake in the input is one line and exit status 2, no traceback."""
    os.environ.setdefault("OPENVINO_TELEMETRY_DISABLED", "1")
    try:
        app()
    except UnusableVolumeError as error:
        shown.print(f"radnet: {error}", style="red", highlight=False)
        raise SystemExit(2) from error
    except RadnetError as error:
        shown.print(f"radnet: {error}", style="red", highlight=False)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
