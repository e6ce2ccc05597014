"""The command `radnet labels`: explain one series, label tables and archives, report."""

import csv
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from radnet.errors import DataError, UsageError
from radnet.labels.evidence import HEADS, SeriesLabels

if TYPE_CHECKING:
    from radnet.harvest.label_report import Difference, Report, TableGroup
    from radnet.harvest.label_scan import Scanned, Tick

app = typer.Typer(no_args_is_help=True, help="Labels from DICOM metadata, with their reasons.")
WIDE = 150  # columns where the output is no terminal
said = Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else WIDE)
shown = Console(stderr=True, highlight=False, emoji=False)

Site = Annotated[Path | None, typer.Option(help="Rules of the site, TOML.")]
COLUMNS = ("modality", "series_description", "body_part", "collection")


@app.command()
def explain(
    file: Annotated[Path, typer.Argument(help="A DICOM file, or a folder with one series.")],
    site: Site = None,
) -> None:
    """Say which labels a series gets, and which attribute and rule gave each."""
    from radnet.labels.header import read_header
    from radnet.labels.rules import load_rules
    from radnet.volume.headers import read_file

    if not file.exists():
        raise UsageError(f"{file}: no such file")
    paths = sorted(path for path in file.rglob("*") if path.is_file()) if file.is_dir() else [file]
    headers = [read_file(path, pixels=False) for path in paths]
    if not headers:
        raise DataError(f"{file}: an empty folder; expected DICOM files")
    found = {str(header.get("SeriesInstanceUID", "")) for header in headers}
    if len(found) > 1:
        raise UsageError(f"{file}: holds {len(found)} series; name a file or one series")
    _explain(read_header(headers, load_rules(site)))
    _condition(paths)


def _condition(paths: list[Path]) -> None:
    """Say what is odd in the files; refuse those that cannot be whole."""
    from radnet.volume.condition import condition_of

    found = {path.name: condition_of(path) for path in paths}
    odd = Counter(sentence for one in found.values() for sentence in one.odd)
    for sentence, count in sorted(odd.items()):
        said.print(escape(f"odd in {count} of {len(paths)} files: {sentence}"), style="yellow")
    broken = [f"{name}: {sentence}" for name, one in found.items() for sentence in one.broken]
    if broken:
        raise DataError("; ".join(broken))


def _explain(labels: SeriesLabels) -> None:
    table = Table("label", "value", "sure", "weight", "attribute", "rule", "found")
    for head in HEADS:
        label = getattr(labels, head)
        value = escape(str(label.value)).replace(";", "; ") or "[yellow]unknown[/]"
        row = [head, value, f"{label.confidence:.2f}" if label.evidence else "-"]
        for one in label.evidence:
            speaks = "" if one.value == label.value else f" → {one.value}"
            told = (f"{one.weight:.1f}", one.attribute, one.rule, one.found + speaks)
            table.add_row(*row, *(escape(text) for text in told))
            row = ["", "", ""]
        if not label.evidence:
            table.add_row(*row, "", "", "", "nothing was said")
        table.add_section()
    said.print(table)
    if labels.oblique_degrees is not None:
        said.print(f"plane: {labels.oblique_degrees:.0f} degrees oblique")
    if labels.slice_spacing_mm is not None:
        said.print(f"slices: {labels.slice_spacing_mm:g} mm apart")
    for head in HEADS:
        for sentence in getattr(labels, head).conflicts:
            said.print(escape(f"conflict in {head}: {sentence}"), style="yellow")


@app.command()
def table(
    rows: Annotated[Path, typer.Argument(help=f"CSV with the columns {', '.join(COLUMNS)}.")],
    out: Annotated[Path, typer.Option(help="The CSV to write.")],
    site: Site = None,
) -> None:
    """Label the rows of a CSV; what the texts do not tell stays empty."""
    from radnet.labels.row import TableRow, label_row, row_columns
    from radnet.labels.rules import load_rules

    rules = load_rules(site)
    try:
        with rows.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(
                    f"{rows}: no column {', '.join(missing)}; expected {', '.join(COLUMNS)}"
                )
            told = [{name: row[name] or "" for name in COLUMNS} for row in reader]
    except (OSError, csv.Error) as error:
        raise DataError(f"{rows}: cannot be read as CSV ({error})") from error
    with _progress("rows") as tick, out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, HEADS)
        writer.writeheader()
        for number, row in enumerate(told, start=1):
            writer.writerow(row_columns(label_row(TableRow(**row), rules)))
            tick(number, len(told))
    shown.print(f"{out}: {len(told)} rows")


@app.command()
def scan(
    source: Annotated[
        str, typer.Argument(help="A folder, idc, orthanc+http://host:port or dicomweb+https://.")
    ],
    out: Annotated[Path, typer.Option(help="The Parquet file to write or to complete.")],
    site: Site = None,
    modality: Annotated[
        list[str] | None, typer.Option(help="Only these; may be repeated.")
    ] = None,
    *,
    force: Annotated[bool, typer.Option(help="Label anew what OUT already holds.")] = False,
) -> None:
    """Label every series of an archive; the same command goes on where it was cut off."""
    from radnet.harvest.label_idc import index_file, scan_index
    from radnet.harvest.label_scan import LabelScan, scan_series
    from radnet.harvest.sources import open_source

    asked = LabelScan(out, site, frozenset(name.upper() for name in modality or ()), force)
    out.parent.mkdir(parents=True, exist_ok=True)
    with _progress("series" if source != "idc" else "distinct texts") as tick:
        if source == "idc":
            done, broken = scan_index(index_file(), asked, tick), []
        else:
            place = open_source(source)
            done, broken = scan_series(place, asked, tick), place.broken
    _scanned(out, done, broken)


def _scanned(out: Path, done: "Scanned", broken: list[str]) -> None:
    kept = f", {done.kept:,} were there before" if done.kept else ""
    shown.print(f"{out}: {done.labelled:,} series labelled{kept}")
    if done.stale:
        shown.print(
            "those before were labelled by other rules; --force labels all", style="yellow"
        )
    for name in broken[:20]:
        shown.print(escape(f"unreadable: {name}"), style="yellow")
    if len(broken) > 20:
        shown.print(f"... and {len(broken) - 20:,} more", style="yellow")


@app.command()
def report(
    table: Annotated[Path, typer.Argument(help="A Parquet file of `radnet labels scan`.")],
    truth: Annotated[Path | None, typer.Option(help="CSV of what a person sees.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the pictures.")] = None,
) -> None:
    """Print what is known, unknown and in conflict, by collection and by vendor."""
    from radnet.harvest.label_plots import plot
    from radnet.harvest.label_report import report as figures

    found = figures(table, truth)
    _values(found)
    for title, groups in (
        ("Known share", found.totals),
        ("Known share of CT and MR by collection", found.collections),
        ("Known share of CT and MR by vendor", found.vendors),
    ):
        _groups(title, groups)
    _quarrels(found)
    if truth:
        _differences(found)
    if out:
        with shown.status("Drawing"):
            for path in plot(found, out):
                shown.print(f"{path}: written")


def _values(found: "Report") -> None:
    table = Table("label", "value", "series", "share", title=f"{found.series:,} series")
    for head in HEADS:
        for value, count in list(found.values[head].items())[:15]:
            share = f"{count / found.series:.1%}"
            table.add_row(head, escape(value) or "[yellow]unknown[/]", f"{count:,}", share)
        table.add_row(head, "[yellow]evidence divided[/]", f"{found.conflicts[head]:,}", "")
        table.add_section()
    said.print(table)


def _groups(title: str, groups: "tuple[TableGroup, ...]") -> None:
    table = Table("", "series", *HEADS, title=title)
    for group in groups:
        shares = (f"{group.known[head]:.0%}" for head in HEADS)
        table.add_row(escape(group.name), f"{group.series:,}", *shares)
    said.print(table)


def _quarrels(found: "Report") -> None:
    table = Table("label", "attribute", "says", "rule", "series", title="What contradicts a label")
    for one in found.quarrels:
        told = (one.head, one.attribute, one.says, one.rule, f"{one.series:,}")
        table.add_row(*(escape(text) for text in told))
    if found.quarrels:
        said.print(table)


def _differences(found: "Report") -> None:
    table = Table(
        "series", "label", "header", "a person sees", "what the header quarrels about",
        title=f"Header against truth: {found.judged} labels judged, "
        f"{sum(one.misleads for one in found.differences)} differ, "
        f"{sum(not one.misleads for one in found.differences)} not told",
    )  # fmt: skip
    for one in sorted(found.differences, key=lambda one: (not one.misleads, one.series)):
        table.add_row(*(escape(text) for text in _difference(one)))
    said.print(table)


def _difference(one: "Difference") -> tuple[str, ...]:
    quarrel = "\n".join(one.conflicts)
    return (one.series, one.head, one.header or "unknown", one.truth or "none", quarrel)


@contextmanager
def _progress(of: str) -> "Iterator[Tick]":
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(of),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=shown) as bar:
        task = bar.add_task("labelling", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
