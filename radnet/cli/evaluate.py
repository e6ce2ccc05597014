"""The command `radnet evaluate`: the poster's first table, and what else a reader must know."""

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar
from rich.table import Table

if TYPE_CHECKING:
    from radnet.evaluation.evaluate import EvaluationEvent
    from radnet.evaluation.scorecard import Line
    from radnet.evaluation.scoring import About, ScanReport

shown = Console(stderr=True)
WIDE = 130  # columns where the output is no terminal
MOST = 40  # wrong answers that are printed; the page has them all
LEARNED_FROM_ALL = (
    "these liver weights learned from the left-out scans too: of a folder only what is "
    "`test only` is judged, and of a manifest their figures say nothing"
)


def evaluate(  # noqa: PLR0913 (typer wants one parameter per option)
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Folder with MANIFEST.csv or in LiTS layout; may be repeated."),
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="Parquet of `radnet labels manifest`: its test side.")
    ] = None,
    classifier: Annotated[Path | None, typer.Option(help="Classifier weights.")] = None,
    liver: Annotated[
        Path | None, typer.Option(help="Liver weights; else the shipped twin that left scans out.")
    ] = None,
    split: Annotated[Path | None, typer.Option(help="Write the split as JSON here.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a report for the browser here.")] = None,
    card: Annotated[
        Path | None, typer.Option(help="Write the tables of a model card (Markdown) here.")
    ] = None,
) -> None:
    """Score weights on the scans that were left out of training."""
    from radnet.evaluation import evaluate as evaluation

    request = evaluation.EvaluationRequest(
        tuple(data or ()), manifest, classifier, liver, split, html, card
    )
    with ExitStack() as live:
        found = evaluation.evaluate(request, _display(live))
    _print(found.reports, found.lines, found.about)


def _display(live: ExitStack) -> "Callable[[EvaluationEvent], None]":
    """Return what shows the events of an evaluation, one live line at a time."""
    from radnet.evaluation.evaluate import Loaded, Loading, Refused, Scored

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Bar(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=shown)

    def show(event: "EvaluationEvent") -> None:
        match event:
            case Loading():
                live.enter_context(shown.status("Loading weights"))
            case Loaded(left_out):
                live.close()
                if not left_out:
                    shown.print(LEARNED_FROM_ALL, style="yellow")
                live.enter_context(bar).add_task("scoring", total=None)
            case Scored(done, total):
                bar.update(bar.task_ids[0], completed=done, total=total)
            case Refused(reasons):
                live.close()
                for reason in reasons[:MOST]:
                    shown.print(escape(f"refused, not scored: {reason}"), style="yellow")

    return show


def _print(found: "Sequence[ScanReport]", lines: "Sequence[Line]", about: "About") -> None:
    from radnet.evaluation.report_page import (
        CLASSES,
        MAKERS,
        cells,
        liver_remark,
        maker_rows,
        percent,
    )
    from radnet.evaluation.scorecard import ALONE, calibration
    from radnet.evaluation.witnesses import remark

    plain = Console(width=None if sys.stdout.isatty() else WIDE)
    heads = Table(*CLASSES, title="Left-out scans, pixels alone")
    for line in lines:
        heads.add_row(*cells(line))
    makers = Table(*MAKERS, title="By manufacturer: right %, 95 % interval (judged)")
    for row in maker_rows(found):
        makers.add_row(*row)
    plain.print(ALONE)
    for table in (heads, makers, _wrong(found), _witnesses(found, about), _livers(found)):
        if table.row_count:
            plain.print(table)
    for told in (*about.excluded[:MOST], *about.remarks):
        plain.print(escape(told), style="yellow")
    plain.print(f"expected calibration error: {percent(calibration(found)[0])} %")
    for told in filter(None, (remark(found, about), liver_remark(found))):
        plain.print(told)


def _wrong(found: "Sequence[ScanReport]") -> Table:
    table = Table("scan", "head", "truth", "said", "probability", title="Wrong answers")
    wrong = [(report, v) for report in found for v in report.verdicts if not v.right]
    for report, verdict in wrong[:MOST]:
        told = (verdict.head, verdict.truth, verdict.said, f"{verdict.probability:.2f}")
        table.add_row(report.scan.name, *told)
    if len(wrong) > MOST:
        table.add_row(f"... and {len(wrong) - MOST:,} more")
    return table


def _witnesses(found: "Sequence[ScanReport]", about: "About") -> Table:
    from radnet.evaluation.witnesses import WITNESS_HEAD, witness_rows

    table = Table(*WITNESS_HEAD, title="Header and pixels, as `radnet classify` answers")
    for row in [] if about.labels_from_headers else witness_rows(found):
        table.add_row(*row)
    return table


def _livers(found: "Sequence[ScanReport]") -> Table:
    from radnet.evaluation.report_page import LIVERS, liver_rows

    table = Table(*LIVERS, title="Liver masks, on the grid of each scan")
    for row in liver_rows(found):
        table.add_row(*row)
    return table
