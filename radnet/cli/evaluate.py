"""The command `radnet evaluate`: the poster's first table, and what else a reader must know."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

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

from radnet.errors import UnusableVolumeError

shown = Console(stderr=True)
WIDE = 130  # columns where the output is no terminal
MOST = 40  # wrong answers that are printed; the page has them all


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
    from radnet.evaluation import scoring
    from radnet.evaluation.report_card import tables
    from radnet.evaluation.report_page import page
    from radnet.evaluation.scorecard import scorecard

    folders = data or []
    where = _checked(folders, manifest)
    for path in (split, html, card):
        _refuse_output(path)
    labeller, segmenter = _loaded(classifier, liver)
    unusable: list[str] = []
    source = (
        scoring.table_reports(manifest, labeller, segmenter, unusable)
        if manifest
        else scoring.reports(folders, labeller, segmenter, unusable)
    )
    found = list(_watched(source))
    for reason in unusable[:MOST]:
        shown.print(escape(f"refused, not scored: {reason}"), style="yellow")
    if not found:
        raise UnusableVolumeError(f"{where}: no scan to judge")
    lines = scorecard(found)
    about = scoring.About(
        f"{labeller.name} {labeller.digest[:12]}, {segmenter.name} {segmenter.digest[:12]} "
        f"on {len(found)} scans of {where}; {len(unusable)} more refused",
        tuple(unusable),
        labels_from_headers=manifest is not None,
    )
    _print(found, lines, about)
    if card:
        card.write_text(tables(found, lines, about), encoding="utf-8")
    if html:
        html.write_text(page(found, lines, about), encoding="utf-8")
    if split and folders:
        record = scoring.split_record(folders)
        split.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _checked(folders: list[Path], manifest: Path | None) -> str:
    """Return the names of what is given: folders, or a manifest."""
    from radnet.datasets.liver_sets import lits_files

    if bool(folders) == bool(manifest):
        raise UnusableVolumeError("expected either --data or --manifest")
    for folder in folders:
        if not (folder / "MANIFEST.csv").is_file():
            lits_files(folder)  # or the reason why it holds none
    given = [manifest] if manifest else folders
    return " and ".join(one.name for one in given)


def _refuse_output(path: Path | None) -> None:
    """Refuse before the work what could not be written after it."""
    if path is None:
        return
    if path.is_dir() or not path.parent.is_dir():
        raise UnusableVolumeError(f"{path}: expected the name of a file in a folder that is there")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UnusableVolumeError(f"{path}: cannot be written")


def _loaded(classifier: Path | None, liver: Path | None) -> tuple[Any, Any]:
    """Load classifier and liver; say so where the liver learned from the left-out scans too."""
    from radnet.inference.classifier import Classifier
    from radnet.inference.segmenter import LiverSegmenter
    from radnet.network.weights import shipped

    with shown.status("Loading weights"):
        labeller = Classifier.load(classifier)
        segmenter = LiverSegmenter.load(liver or shipped("liver-left-out"), labeller)
    if segmenter.record.get("left_out") is False:
        shown.print(
            "these liver weights learned from the left-out scans too: of a folder only what is "
            "`test only` is judged, and of a manifest their figures say nothing",
            style="yellow",
        )
    return labeller, segmenter


def _watched(source: Any) -> Iterator[Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bar(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=shown) as bar:
        task = bar.add_task("scoring", total=source.count)
        for report in source.reports:
            if report is not None:
                yield report
            bar.advance(task)


def _print(found: list[Any], lines: list[Any], about: Any) -> None:
    from radnet.evaluation.report_page import (
        CLASSES,
        MAKERS,
        cells,
        liver_remark,
        maker_rows,
        percent,
    )
    from radnet.evaluation.scorecard import calibration
    from radnet.evaluation.witnesses import remark

    plain = Console(width=None if sys.stdout.isatty() else WIDE)
    heads = Table(*CLASSES, title="Left-out scans, pixels alone")
    for line in lines:
        heads.add_row(*cells(line))
    makers = Table(*MAKERS, title="By manufacturer: right %, 95 % interval (judged)")
    for row in maker_rows(found):
        makers.add_row(*row)
    for table in (heads, makers, _wrong(found), _witnesses(found, about), _livers(found)):
        if table.row_count:
            plain.print(table)
    plain.print(f"expected calibration error: {percent(calibration(found)[0])} %")
    for told in (remark(found, about), liver_remark(found)):
        if told:
            plain.print(told)


def _wrong(found: list[Any]) -> Table:
    table = Table("scan", "head", "truth", "said", "probability", title="Wrong answers")
    wrong = [(report, v) for report in found for v in report.verdicts if not v.right]
    for report, verdict in wrong[:MOST]:
        told = (verdict.head, verdict.truth, verdict.said, f"{verdict.probability:.2f}")
        table.add_row(report.scan.name, *told)
    if len(wrong) > MOST:
        table.add_row(f"... and {len(wrong) - MOST:,} more")
    return table


def _witnesses(found: list[Any], about: Any) -> Table:
    from radnet.evaluation.witnesses import WITNESS_HEAD, witness_rows

    table = Table(*WITNESS_HEAD, title="Header and pixels, as `radnet classify` answers")
    for row in [] if about.labels_from_headers else witness_rows(found):
        table.add_row(*row)
    return table


def _livers(found: list[Any]) -> Table:
    from radnet.evaluation.report_page import LIVERS, liver_rows

    table = Table(*LIVERS, title="Liver masks, on the grid of each scan")
    for row in liver_rows(found):
        table.add_row(*row)
    return table
