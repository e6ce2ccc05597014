"""`radnet classify` and `radnet segment`: one scan on disk, and what is found in it.

The answer goes to stdout, alone; progress, remarks and refusals go to stderr.
"""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress as Bar
from rich.table import Table

from radnet.errors import DataError, RadnetError, UsageError

if TYPE_CHECKING:
    from radnet.inference.served import Serve

shown = Console(stderr=True)
WRITTEN = (".nii", ".nii.gz")

Scan = Annotated[
    Path, typer.Argument(exists=True, help="NIfTI, NRRD, MetaImage, a DICOM folder or file.")
]
Series = Annotated[
    str | None, typer.Option(help="Series Instance UID, where a folder holds several.")
]
Orientation = Annotated[
    str | None,
    typer.Option(
        help="Where the axes of a NIfTI point that does not say: RAS, LPS …; or which of its two "
        "forms counts where they disagree: qform, sform."
    ),
]


Classifier = Annotated[
    Path | None, typer.Option(help="Classifier weights, as `radnet train` writes them.")
]


def say(text: str, style: str | None = None) -> None:
    """Write one line to stderr as it stands: brackets in it are no markup, and it is not cut."""
    shown.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def classify(  # noqa: PLR0913 (typer wants one parameter per option)
    scan: Scan,
    modality: Annotated[
        str | None,
        typer.Option(help="Of a file other than DICOM: CT or MR; else as its voxels look."),
    ] = None,
    unknown_below: Annotated[float, typer.Option(min=0, max=1, help="Less sure: unknown.")] = 0.6,
    series: Series = None,
    orientation: Orientation = None,
    classifier: Classifier = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what is in one scan, from its header and its pixels."""
    from radnet.inference import classifier as networks
    from radnet.inference.recognise import recognise_scan, told
    from radnet.inference.scan_file import read_scan_file

    if modality is not None and modality.upper() not in ("CT", "MR"):
        raise UsageError(f"--modality {modality}: expected CT or MR")
    with shown.status("Reading"):  # first: a scan that will not do is refused within a moment
        source = read_scan_file(scan, modality, series, orientation)
    remarked(source.remarks)
    with ready_to_serve() as ready:
        network = networks.Classifier.load(classifier, "auto", ready)
    remarked(network.remarks)
    with shown.status("Classifying"):
        found = recognise_scan(source, unknown_below, network)
    plain = Console()
    if as_json:
        plain.print_json(data=told(found) | {"weights": network.digest})
        return
    _tell_weights("classifier", network.digest)
    table = Table("head", "answer", "sure", "header", "pixels")
    answers = told(found)
    for head in ("sequence", "plane", "contrast", "coverage"):
        table.add_row(*(str(cell) for cell in _row(head, answers)))
    plain.print(table)
    if unknown := answers["labels"]["coverage_unknown"]:
        plain.print(f"covered or not is unknown: {'; '.join(unknown)}")
    if (seen := found.prediction) and seen.strangeness is not None:
        verdict = "strange: its pixels are no witness" if seen.strange else "usual"
        verdict = "yet noise: its pixels are no witness" if seen.noise else verdict
        plain.print(
            f"strangeness {seen.strangeness:.2f}; {seen.strange_share:.1%} of known scans stay "
            f"below {seen.strange_above:.2f}: {verdict}",
            highlight=False,
            soft_wrap=True,
        )
    if found.fused.disagreements:
        plain.print(f"header and pixels disagree: {', '.join(found.fused.disagreements)}")
    if found.unusable:
        plain.print(f"from the header alone: {found.unusable}", markup=False, soft_wrap=True)


def _row(head: str, answers: dict[str, Any]) -> tuple[Any, ...]:
    value = answers["labels"][head]
    if isinstance(value, list):
        value = "; ".join(value) or "none of the nine"
    spread = answers[head]
    sure = f"{max(spread.values()):.2f}" if spread and head != "coverage" else ""
    header, pixels = answers["header"][head] or "silent", answers["pixels"].get(head)
    return head, value or "unknown", sure, header, pixels or "-"


def segment(
    scan: Scan,
    out: Annotated[Path, typer.Option(help="The NIfTI mask to write: .nii or .nii.gz.")],
    series: Series = None,
    orientation: Orientation = None,
    classifier: Classifier = None,
    liver: Annotated[
        Path | None, typer.Option(help="Liver weights, as `radnet train` writes them.")
    ] = None,
) -> None:
    """Find the liver in one CT and write its mask on the same grid.

    Exit status 0 also where there is no liver. 2: the scan will not do, with the reason.
    """
    import numpy as np

    from radnet.inference import classifier as networks
    from radnet.inference.preparation import usable
    from radnet.inference.refusals import refuse_other_than_ct
    from radnet.inference.scan_file import read_scan_file
    from radnet.inference.segmenter import LiverSegmenter
    from radnet.volume.axes import UPRIGHT, turn_to

    _refuse_output(scan, out)
    with shown.status("Reading"):  # first: a scan that will not do is refused within a moment
        source = read_scan_file(scan, "CT", series, orientation)
        remarked(source.remarks)
        if source.modality != "CT":
            raise DataError(f"{scan.name}: modality {source.modality}; expected CT")
        volume = source.volume()
        refuse_other_than_ct(turn_to(volume.affine, UPRIGHT).there(usable(volume)))
    with ready_to_serve() as ready:
        labeller = networks.Classifier.load(classifier, "auto", ready)
        segmenter = LiverSegmenter.load(liver, labeller, "auto", ready)
    remarked((*labeller.remarks, *segmenter.remarks))
    _tell_weights("liver", segmenter.digest)
    with Bar(console=shown) as bar:
        task = bar.add_task("liver", total=1.0)
        found = segmenter.segment(volume, lambda done: bar.update(task, completed=done))
    try:
        source.write_mask(volume, found.mask, out)
    except OSError as error:
        raise RadnetError(f"{out}: cannot be written ({error.strerror})") from error
    voxel_ml = abs(float(np.linalg.det(volume.affine[:3, :3]))) / 1000
    verdict = f"{found.mask.sum() * voxel_ml:.0f} mL" if found.mask.any() else "no liver"
    Console().print(f"{out}: {verdict}", markup=False, highlight=False, soft_wrap=True)


def _tell_weights(task: str, digest: str) -> None:
    say(f"radnet: {task} weights {digest[:12]}")


@contextmanager
def ready_to_serve() -> Iterator["Serve"]:
    """Yield what makes weights ready to run, and show how far it is where that takes a minute."""
    from radnet.inference.models import server

    with shown.status("Loading weights") as status:

        def making(task: str, done: float) -> None:
            status.update(f"Making the {task}'s model of its weights, once: {done:.0%}")

        yield server(making=making)


def remarked(remarks: Iterable[str]) -> None:
    """Tell what was taken for granted, or is not as asked for."""
    for remark in remarks:
        say(f"radnet: {remark}")


def _refuse_output(scan: Path, out: Path) -> None:
    """Refuse before the work what could not be written after it, and what would be lost by it."""
    if not out.name.lower().endswith(WRITTEN):
        raise UsageError(f"{out}: expected a name that ends with .nii or .nii.gz")
    if out.is_dir() or not out.parent.is_dir():
        raise UsageError(f"{out}: expected the name of a file in a folder that is there")
    if out.exists() and out.samefile(scan):
        raise UsageError(f"{out}: is the scan itself; expected another file")
    try:
        with tempfile.TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise UsageError(f"{out.parent}: cannot write in it ({error.strerror})") from error
