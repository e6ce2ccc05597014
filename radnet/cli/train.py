"""The command `radnet train`: classifier or liver, on one processor, one GPU or several."""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Annotated, Self

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

from radnet.cli.trained import tell_classifier, tell_liver
from radnet.training.report import (
    Began,
    LearnedBefore,
    Preparing,
    SeriesCounted,
    Stepped,
    TrainingEvent,
    Unheard,
)
from radnet.training.request import TrainingRequest, TrainingTask

shown = Console(stderr=True)
MOST = 10  # reasons that are printed


def train(  # noqa: PLR0913 (typer wants one parameter per option)
    task: Annotated[TrainingTask, typer.Argument(help="What to train.")],
    preset: Annotated[str, typer.Option(help="Size of the network.")] = "radnet10-tiny",
    minutes: Annotated[float, typer.Option(min=0.01, help="Time for the training steps.")] = 15,
    steps: Annotated[int, typer.Option(min=0, help="Training steps, instead of minutes.")] = 0,
    seed: Annotated[int, typer.Option(help="Drives every random choice.")] = 0,
    phantoms: Annotated[int, typer.Option(min=0, help="Phantoms to draw; 0: as planned.")] = 0,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of real scans, for the liver also LiTS layout; may be repeated."
        ),
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="Parquet of `radnet labels manifest`, instead of --data.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The weights file to write.")] = Path("weights"),
    start: Annotated[
        Path | None,
        typer.Option(
            help="Weights to go on from, or whose encoder to transfer; or MedicalNet's .pth."
        ),
    ] = None,
    mlflow: Annotated[
        str, typer.Option(help="MLflow to tell: a server's URL, or a SQLite file.")
    ] = "",
    rate: Annotated[
        float, typer.Option(min=0, help="The highest learning rate; 0: as planned.")
    ] = 0.0,
    anatomy: Annotated[
        Path | None,
        typer.Option(help="Folder of tissue maps to make MR of heads from; classifier only."),
    ] = None,
    *,
    every_scan: Annotated[
        bool, typer.Option("--every-scan", help="Learn from the left-out scans too; liver only.")
    ] = False,
    header_labels: Annotated[
        bool,
        typer.Option(
            "--header-labels",
            help="Learn from what headers tell of a series alone: no slices; classifier only.",
        ),
    ] = False,
) -> None:
    """Train a network; the same command goes on where it was cut off.

    A checkpoint is written under OUT every minute. On several GPUs: `torchrun --nproc-per-node 4
    --no-python -- radnet train ...`; `--minutes` and `--steps` then count for all together.
    """
    from radnet.training import runs

    request = TrainingRequest(
        task,
        preset,
        minutes,
        steps,
        seed,
        tuple(data or ()),
        manifest,
        start,
        out,
        every_scan,
        phantoms,
        mlflow,
        rate,
        header_labels,
        anatomy,
    )
    with TrainingDisplay(shown) as display:
        trained = runs.train(request, display)
    if trained.first:
        tell = tell_classifier if task is TrainingTask.CLASSIFIER else tell_liver
        tell(shown, out, trained.record)


class TrainingDisplay:
    """Shows the events of a training on a console, one live line at a time."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = ExitStack()
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        """Show nothing yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the console as it was."""
        self._end()

    def __call__(self, event: TrainingEvent) -> None:
        """Show one event."""
        match event:
            case Began(stage):
                self._end()
                self._live.enter_context(self._console.status(stage.value))
            case Preparing(done, total):
                self._move("preparing series", MofNCompleteColumn(), done, total)
            case Stepped(share, loss):
                told = "no finite loss" if loss is None else f"loss {loss:.3f}"
                self._move(told, TaskProgressColumn(), share, 1.0)
            case SeriesCounted():
                self._end()
                self._list(event)
            case LearnedBefore(known, scans):
                self._end()
                told = f"{known:,} of {scans:,} scans to judge by are left out: --start learned"
                self._console.print(f"{told} from them, or from their patients", style="yellow")
            case Unheard(calls, reason):
                self._end()
                self._console.print(f"MLflow did not hear {calls} calls: {reason}", style="yellow")

    def _end(self) -> None:
        self._live.close()
        self._bar = None

    def _move(self, what: str, column: ProgressColumn, done: float, total: float) -> None:
        """Move the bar, which is begun where there is none."""
        if self._bar is None:
            self._end()
            columns = (TextColumn("{task.description}"), BarColumn(), column)
            elapsed = (TimeElapsedColumn(), TimeRemainingColumn())
            self._bar = self._live.enter_context(Bar(*columns, *elapsed, console=self._console))
            self._bar.add_task(what, total=total)
        self._bar.update(self._bar.task_ids[0], completed=done, total=total, description=what)

    def _list(self, series: SeriesCounted) -> None:
        for reason in series.left_out[:MOST]:
            self._console.print(escape(f"left out: {reason}"), style="yellow")
        if len(series.left_out) > MOST:
            self._console.print(f"... and {len(series.left_out) - MOST:,} more", style="yellow")
        self._console.print(
            f"{series.learn:,} series to learn from, {series.validate:,} to validate on"
        )
