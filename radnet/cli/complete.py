"""The command `radnet labels complete`: more columns for scans that somebody else keeps."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

shown = Console(stderr=True, highlight=False, emoji=False)


def complete(
    folder: Annotated[Path, typer.Argument(help="A folder of scans with a MANIFEST.csv.")],
    additions: Annotated[
        Path, typer.Option("--with", help="CSV: id, and columns whose cells replace its own.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to make; its scans are links.")],
) -> None:
    """Complete the manifest of a folder of scans, beside it: it may be read-only."""
    from radnet.datasets.completion import complete as completed

    count = completed(folder, additions, out)
    shown.print(f"{out}: MANIFEST.csv, {count:,} scans completed", markup=False)
