"""The command `radnet experiment`: the poster's Tables 2 and 3 on any set of livers."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import TaskID
from rich.table import Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from radnet.training.arms import Arm, ArmScores
    from radnet.training.experiments import Experiment, ExperimentRequest

app = typer.Typer(no_args_is_help=True, help="The poster's transfer experiments.")
WIDE = 130
PRESET = "radnet10-tiny"
plain = Console(width=None if sys.stdout.isatty() else WIDE)
shown = Console(stderr=True)

Data = Annotated[
    Path | None,
    typer.Option(help="LiTS layout, MANIFEST.csv or a Parquet manifest; else phantoms."),
]
Start = Annotated[
    Path | None,
    typer.Option(
        help="Classifier weights to transfer, or MedicalNet's .pth; else an encoder is trained "
        "first, on header labels alone."
    ),
]
Headers = Annotated[
    Path | None,
    typer.Option(help="Parquet of `radnet labels manifest` for that encoder; else phantoms."),
]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder of the experiment, where it goes on; else experiment-NAME."),
]
Size = Annotated[str, typer.Option(help="Size of the network: that of the weights to transfer.")]
Quick = Annotated[
    bool, typer.Option("--quick", help="One step on part of each scan: shows that it runs.")
]
Steps = Annotated[int, typer.Option(min=0, help="Training steps of each arm and seed.")]
Seeds = Annotated[int, typer.Option(min=0, help="Trainings of each arm.")]
Only = Annotated[
    list[str] | None, typer.Option("--arm", help="Only this row of the table; may be repeated.")
]


@app.command()
def freeze(  # noqa: PLR0913 (typer wants one parameter per option)
    data: Data = None,
    classifier: Start = None,
    steps: Steps = 0,
    seeds: Seeds = 0,
    preset: Size = PRESET,
    out: Out = None,
    headers: Headers = None,
    *,
    arm: Only = None,
    quick: Quick = False,
) -> None:
    """Which parts of the transferred encoder to keep fixed (Table 2)."""
    from radnet.training.arms import FREEZE
    from radnet.training.experiments import QUICK, ExperimentRequest, TrainingBudget, shortened

    budget = shortened(QUICK if quick else TrainingBudget(), steps, seeds, preset)
    folder = out or Path("experiment-freeze")
    arms = chosen(FREEZE, arm or [])
    _run(
        "Table 2: frozen part",
        ExperimentRequest("freeze", arms, budget, folder, data, classifier, headers),
    )


@app.command()
def fraction(  # noqa: PLR0913 (typer wants one parameter per option)
    data: Data = None,
    classifier: Start = None,
    steps: Steps = 0,
    seeds: Seeds = 0,
    preset: Size = PRESET,
    out: Out = None,
    headers: Headers = None,
    *,
    arm: Only = None,
    quick: Quick = False,
) -> None:
    """How much labelled data a frozen, transferred encoder needs (Table 3)."""
    from radnet.training.arms import FRACTION
    from radnet.training.experiments import QUICK, ExperimentRequest, TrainingBudget, shortened

    budget = shortened(QUICK if quick else TrainingBudget(), steps, seeds, preset)
    folder = out or Path("experiment-fraction")
    arms = chosen(FRACTION, arm or [])
    _run(
        "Table 3: share of the data",
        ExperimentRequest("fraction", arms, budget, folder, data, classifier, headers),
    )


def chosen(arms: "Sequence[Arm]", names: Sequence[str]) -> "list[Arm]":
    """Return the arms with these names, in the table's order; all where none is named.

    Raises
    ------
    typer.BadParameter
        If the table has no row of a name.
    """
    for name in names:
        if name not in {one.name for one in arms}:
            rows = ", ".join(f"'{one.name}'" for one in arms)
            raise typer.BadParameter(f"'{name}' is no row of this table; expected one of {rows}")
    return [one for one in arms if not names or one.name in names]


def _run(title: str, request: "ExperimentRequest") -> None:
    from radnet.training import experiments
    from radnet.training.experiment_table import write_papers

    with Bar(console=shown) as bar:
        reading = bar.add_task("reading cases", total=None)
        tasks: dict[str, TaskID] = {}

        def report(arm: str, share: float) -> None:
            bar.update(reading, visible=False)
            if arm not in tasks:
                tasks[arm] = bar.add_task(arm, total=1.0)
            bar.update(tasks[arm], completed=share)

        found = experiments.run(request, report)
    about = _about(request, found)
    papers = write_papers(title, about, found, request.out)
    plain.print(about, soft_wrap=True)
    plain.print(f"encoder: {found.encoder}", soft_wrap=True)
    plain.print(poster_table(title, found.rows))
    plain.print(further_table(title, found.rows))
    if len(found.rows) > 1:
        plain.print(pairs_table(found.rows))
    shown.print(" and ".join(str(one) for one in papers), soft_wrap=True, markup=False)


def _about(request: "ExperimentRequest", found: "Experiment") -> str:
    from radnet.inference.preparation import LIVER_SPACING_MM

    budget = request.budget
    what = "phantoms" if request.data is None else str(request.data)
    spacing = " x ".join(f"{step:g}" for step in LIVER_SPACING_MM)
    return (
        f"{what}: {found.held_out} held-out cases of {found.patients} patients, {budget.seeds} "
        f"seed(s), {budget.steps} steps each in {found.precision}, {budget.preset}, on the grid "
        f"of {spacing} mm; poster: LiTS, ResNet-50"
    )


def pairs_table(rows: "Sequence[ArmScores]") -> Table:
    """Return the differences to the first row, and what each would need to be told from it."""
    from radnet.training.experiment_table import PAIRS, pair_rows

    told = f"Paired differences; all {len(rows) - 1} intervals hold together with 95 %"
    table = Table(*PAIRS, title=told)
    for row in pair_rows(rows):
        table.add_row(*row)
    return table


def poster_table(title: str, rows: "Sequence[ArmScores]") -> Table:
    """Return our Dice and IoU in %, each beside what the poster printed."""
    import numpy as np

    from radnet.training.arms import POSTER

    names = ("mean Dice", "mean IoU", "median Dice", "median IoU")
    table = Table(title.split(": ")[1], "cases", title=title)
    for name in names:
        table.add_column(f"{name} %")
        table.add_column("poster")
    for row in rows:
        cells = [row.arm.name, str(row.trained_on)]
        for name in names:
            statistic = np.mean if name.startswith("mean") else np.median
            figure = row.of(name.split()[1].lower(), statistic)
            printed = getattr(POSTER[row.arm.name], name.replace(" ", "_").lower())
            cells += [f"{100 * figure:.1f}", f"{printed:.1f}"]
        table.add_row(*cells)
    return table


def further_table(title: str, rows: "Sequence[ArmScores]") -> Table:
    """Return what the poster does not have: seeds apart, surface distance, volume error."""
    table = Table(
        title.split(": ")[1], "mean Dice by seed %", "HD95 mm", "livers missed",
        "volume error mL", "its size mL", title="Beyond the poster: means over the cases",
    )  # fmt: skip
    for row in rows:
        table.add_row(row.arm.name, *_figures(row))
    return table


def _figures(row: "ArmScores") -> tuple[str, ...]:
    import numpy as np

    low, high = (100 * mean for mean in row.over_seeds("dice"))
    distance = row.of("hd95_mm", np.mean)
    far = "-" if np.isnan(distance) else f"{distance:.1f}"
    return (
        f"{low:.1f}-{high:.1f}",
        far,
        f"{row.missed} of {row.livers}",
        f"{row.of('volume_error_ml', np.mean):+.0f}",
        f"{row.of('volume_error_ml', _mean_size):.0f}",
    )


def _mean_size(values: "NDArray[np.float32]") -> "np.floating":
    import numpy as np

    return np.mean(np.abs(values))
