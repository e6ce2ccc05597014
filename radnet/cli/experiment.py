"""The command `radnet experiment`: the poster's Tables 2 and 3 on any set of livers."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import TaskID
from rich.table import Table

from radnet.network.weights import shipped
from radnet.training import experiments as ex

app = typer.Typer(no_args_is_help=True, help="The poster's transfer experiments.")
WIDE = 130
plain = Console(width=None if sys.stdout.isatty() else WIDE)
shown = Console(stderr=True)

Data = Annotated[
    Path | None,
    typer.Option(help="LiTS layout, MANIFEST.csv or a Parquet manifest; else phantoms."),
]
Start = Annotated[Path | None, typer.Option(help="Classifier weights to transfer.")]
Quick = Annotated[bool, typer.Option("--quick", help="A few steps: shows that it runs.")]
Steps = Annotated[int, typer.Option(min=0, help="Training steps of each arm and seed.")]
Seeds = Annotated[int, typer.Option(min=0, help="Trainings of each arm.")]


@app.command()
def freeze(
    data: Data = None,
    classifier: Start = None,
    steps: Steps = 0,
    seeds: Seeds = 0,
    *,
    quick: Quick = False,
) -> None:
    """Which parts of the transferred encoder to keep fixed (Table 2)."""
    budget = ex.shortened(ex.QUICK if quick else ex.Budget(), steps, seeds)
    _run("Table 2: frozen part", ex.FREEZE, data, classifier, budget)


@app.command()
def fraction(
    data: Data = None,
    classifier: Start = None,
    steps: Steps = 0,
    seeds: Seeds = 0,
    *,
    quick: Quick = False,
) -> None:
    """How much labelled data a frozen, transferred encoder needs (Table 3)."""
    budget = ex.shortened(ex.QUICK if quick else ex.Budget(), steps, seeds)
    _run("Table 3: share of the data", ex.FRACTION, data, classifier, budget)


def _run(
    title: str,
    arms: Sequence[ex.Arm],
    data: Path | None,
    classifier: Path | None,
    budget: ex.Budget,
) -> None:
    with shown.status("Reading cases"):
        learn, held_out = ex.sides(data, budget)
    rows = []
    with Bar(console=shown) as bar:
        for arm in arms:
            task = bar.add_task(arm.name, total=1.0)
            rows.append(
                ex.run_arm(
                    arm,
                    (learn, held_out),
                    budget,
                    classifier or shipped("classifier", budget.preset),
                    partial(_show, bar, task),
                )
            )
            bar.update(task, completed=1.0)
    what = "phantoms" if data is None else str(data)
    plain.print(
        f"{what}: {len(held_out)} held-out cases, {budget.seeds} seed(s), {budget.steps} steps "
        f"each, {budget.preset}; poster: LiTS, ResNet-50"
    )
    plain.print(_table(title, rows))


def _show(bar: Bar, task: TaskID, done: float) -> None:
    bar.update(task, completed=done)


def _table(title: str, rows: list[ex.Row]) -> Table:
    names = ("mean Dice", "mean IoU", "median Dice", "median IoU")
    table = Table(title.split(": ")[1], "cases", title=title)
    for name in names:
        table.add_column(f"{name} %")
        table.add_column("poster")
    table.add_column("HD95 mm")
    table.add_column("volume error mL")
    for row in rows:
        poster = ex.POSTER.get(row.arm.name, ex.Poster())
        cells = [row.arm.name, str(row.trained_on)]
        for name in names:
            statistic = np.mean if name.startswith("mean") else np.median
            figure = row.of(name.split()[1].lower(), statistic)
            printed = getattr(poster, name.replace(" ", "_").lower())
            cells += [f"{100 * figure:.1f}", "-" if printed is None else f"{printed:.1f}"]
        cells.append(f"{row.of('hd95_mm', np.mean):.1f}")
        cells.append(f"{row.of('volume_error_ml', np.mean):+.0f}")
        table.add_row(*cells)
    return table
