"""The command `radnet`: labels, train, evaluate, classify, segment.

Exit status: 0 done, 1 failed, 2 wrong usage or input.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from radnet.cli import complete, experiment, fetch, labels, manifest
from radnet.cli.evaluate import evaluate
from radnet.cli.models import models
from radnet.cli.scans import classify, say, segment, shown
from radnet.cli.support import support
from radnet.cli.train import train
from radnet.errors import (
    DataError,
    RadnetError,
    UnusableVolumeError,
    UsageError,
    WeightsError,
)
from radnet.training.request import TrainingTask

WRONG_INPUT = (UsageError, DataError, UnusableVolumeError, WeightsError)
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(labels.app, name="labels")
app.add_typer(experiment.app, name="experiment")
app.add_typer(fetch.app, name="fetch")
labels.app.command("manifest")(manifest.manifest)
labels.app.command("complete")(complete.complete)
app.command()(train)
app.command()(evaluate)
app.command()(classify)
app.command()(segment)
app.command()(support)
app.command()(models)


def _tell_version(asked: bool) -> None:
    if asked:
        Console().print(f"radnet {version('radnet-node')}", highlight=False)
        raise typer.Exit


@app.callback()
def radnet(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Tell the version."),
    ] = False,
) -> None:
    """Recognise scans and find the liver in them: data, training, evaluation."""


@app.command()
def export(
    task: Annotated[TrainingTask, typer.Argument(help="What the weights are for.")],
    out: Annotated[Path, typer.Option(help="Folder for model.onnx, model.xml and gates.json.")],
    weights: Annotated[Path | None, typer.Option(help="The weights; else the shipped.")] = None,
) -> None:
    """Write a network as ONNX and OpenVINO IR, if it still says what the trained one says."""
    from radnet.inference.export import export as through_gates
    from radnet.network.weights_file import shipped

    with shown.status("Exporting and comparing"):
        gates = through_gates(task.value, weights or shipped(task.value), out)
    table = Table("precision", "largest logit error", "decisions changed", "Dice of masks")
    for gate in gates:
        changed = f"{gate.changed:.3%} of {gate.decisions:,}"
        table.add_row(gate.precision, f"{gate.logit_error:.2g}", changed, f"{gate.dice:.4f}")
    Console().print(table)


def main() -> None:
    """Run the command; a mistake in the input is one line and exit status 2, no traceback."""
    try:
        app()
    except WRONG_INPUT as error:
        say(f"radnet: {error}", "red")
        raise SystemExit(2) from error
    except RadnetError as error:
        say(f"radnet: {error}", "red")
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
