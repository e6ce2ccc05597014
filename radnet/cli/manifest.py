"""The command `radnet labels manifest`: from labels to what a training may learn from."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from radnet.errors import UsageError

shown = Console(stderr=True, highlight=False, emoji=False)


def manifest(  # noqa: PLR0913 (typer wants one parameter per option)
    labels: Annotated[Path, typer.Argument(help="A Parquet file of `radnet labels scan`.")],
    out: Annotated[Path, typer.Option(help="The Parquet file to write.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the images, DICOM or SERIES_UID.nii.gz; without: to be fetched."
        ),
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Folder of liver masks, SERIES_UID.nii.gz.")
    ] = None,
    sure: Annotated[
        float, typer.Option(min=0, max=1, help="Labels less sure are not learned from.")
    ] = 0.9,
    per_patient: Annotated[
        int, typer.Option(min=1, help="Series of a patient in a collection, at most.")
    ] = 6,
    per_collection: Annotated[
        int, typer.Option(min=0, help="Series of a collection, at most; 0: all.")
    ] = 2000,
    test: Annotated[float, typer.Option(min=0, max=0.9, help="Share of the patients.")] = 0.15,
    validation: Annotated[float, typer.Option(min=0, max=0.9, help="Share of them.")] = 0.1,
    modality: Annotated[
        list[str] | None, typer.Option(help="Only these; may be repeated.")
    ] = None,
    licence: Annotated[
        list[str] | None,
        typer.Option("--license", help="Only these, such as 'CC BY ?.0'; may be repeated."),
    ] = None,
) -> None:
    """Choose series to train on and split them by patient: train, validation, test."""
    from radnet.datasets.manifest import ManifestOrder, make_manifest

    if not labels.is_file():
        raise UsageError(f"{labels}: no such file")
    wanted = ManifestOrder(
        sure,
        per_patient,
        per_collection,
        test,
        validation,
        tuple(name.upper() for name in modality or ("CT", "MR")),
        tuple(licence or ()),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with shown.status("Looking for files"):
        found = _masks(masks) if masks else None
        files = series_files(data, (found or {}).values()) if data else None
    counts = make_manifest(labels, out, wanted, files, found)
    table = Table("side", "series")
    for side, count in counts.items():
        table.add_row(side, f"{count:,}")
    Console(highlight=False).print(table)
    shown.print(f"{out}: written")


def series_files(data: Path, masks: Iterable[Path] = ()) -> dict[str, list[Path]]:
    """Return the files of every series below a folder, by its UID: DICOM, or UID.nii.gz.

    Parameters
    ----------
    masks
        Files that are called alike and are no images.
    """
    from radnet.harvest.label_scan import clean
    from radnet.harvest.sources import Folder
    from radnet.volume.nifti import is_nifti

    if not data.is_dir():
        raise UsageError(f"{data}: no such folder")
    others = {path.resolve() for path in masks}
    converted = {
        path.name.lower().split(".nii")[0]: [path]
        for path in sorted(data.rglob("*.nii*"))
        if is_nifti(path) and path.resolve() not in others
    }
    return converted | {
        clean(one.uid): [data / name for name in one.handle] for one in Folder(data).series()
    }


def _masks(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    return {path.name.split(".nii")[0]: path for path in sorted(folder.glob("*.nii*"))}
