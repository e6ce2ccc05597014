"""The command `radnet`: labels, train, evaluate, classify, segment.

Exit status: 0 done, 1 failed, 2 wrong usage or input.
"""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress as Bar
from rich.table import Table

from radnet.cli import experiment, fetch, labels, manifest
from radnet.cli.evaluate import evaluate
from radnet.cli.train import Task, train
from radnet.errors import RadnetError, UnusableVolumeError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(labels.app, name="labels")
app.add_typer(experiment.app, name="experiment")
app.add_typer(fetch.app, name="fetch")
labels.app.command("manifest")(manifest.manifest)
app.command()(train)
app.command()(evaluate)
shown = Console(stderr=True)


@app.callback()
def radnet() -> None:
    """Recognise scans and find the liver in them: data, training, evaluation."""


@app.command()
def classify(
    scan: Annotated[Path, typer.Argument(exists=True, help="A DICOM folder or file, or NIfTI.")],
    modality: Annotated[str, typer.Option(help="Of a NIfTI file: CT or MR.")] = "CT",
    unknown_below: Annotated[float, typer.Option(min=0, max=1, help="Less sure: unknown.")] = 0.6,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what is in one scan, from its header and its pixels."""
    from radnet.inference.recognise import recognise_scan, told

    with shown.status("Classifying"):
        found = recognise_scan(scan, modality, unknown_below)
    plain = Console()
    if as_json:
        plain.print_json(data=told(found))
        return
    table = Table("head", "answer", "sure", "header", "pixels")
    answers = told(found)
    for head in ("sequence", "plane", "contrast", "coverage"):
        table.add_row(*(str(cell) for cell in _row(head, answers)))
    plain.print(table)
    if found.fused.disagreements:
        plain.print(f"header and pixels disagree: {', '.join(found.fused.disagreements)}")
    if found.unusable:
        plain.print(f"from the header alone: {found.unusable}")


def _row(head: str, answers: dict[str, Any]) -> tuple[Any, ...]:
    value = answers["labels"][head]
    if isinstance(value, list):
        value = "; ".join(value) or "none of the nine"
    spread = answers[head]
    sure = f"{max(spread.values()):.2f}" if spread and head != "coverage" else ""
    header, pixels = answers["header"][head] or "silent", answers["pixels"].get(head)
    return head, value or "unknown", sure, header, pixels or "-"


@app.command()
def export(
    task: Annotated[Task, typer.Argument(help="What the weights are for.")],
    out: Annotated[Path, typer.Option(help="Folder for model.onnx, model.xml and gates.json.")],
    weights: Annotated[Path | None, typer.Option(help="The weights; else the shipped.")] = None,
) -> None:
    """Write a network as ONNX and OpenVINO IR, if it still says what the trained one says."""
    from radnet.inference.export import export as through_gates
    from radnet.network.weights import shipped

    with shown.status("Exporting and comparing"):
        gates = through_gates(task.value, weights or shipped(task.value), out)
    table = Table("precision", "largest logit error", "decisions changed", "Dice of masks")
    for gate in gates:
        changed = f"{gate.changed:.3%}"
        table.add_row(gate.precision, f"{gate.logit_error:.2g}", changed, f"{gate.dice:.4f}")
    Console().print(table)


@app.command()
def segment(
    scan: Annotated[Path, typer.Argument(exists=True, help="A CT: NIfTI, DICOM folder or file.")],
    out: Annotated[Path, typer.Option(help="The NIfTI mask to write.")],
) -> None:
    """Find the liver in one CT and write its mask on the same grid."""
    import nibabel as nib
    import numpy as np

    from radnet.inference.classifier import stack_of
    from radnet.inference.recognise import read_scan_file
    from radnet.inference.refusals import refuse_other_than_ct
    from radnet.inference.segmenter import LiverSegmenter

    source = read_scan_file(scan, "CT")
    if source.modality != "CT":
        raise UnusableVolumeError(f"{scan}: modality {source.modality}; expected CT")
    volume = source.volume()
    refuse_other_than_ct(stack_of(volume))
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
