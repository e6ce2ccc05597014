"""`radnet support`: how much pixels may add to a header, from scans that were left out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress as Bar
from rich.table import Table

from radnet.cli.scans import Classifier, say, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HEAD = ("head or region", "patients", "of their log-odds", "at most, nats", "gain on others", "of")


def support(
    data: Annotated[
        list[Path],
        typer.Option(help="Folder with MANIFEST.csv; what was learned from has no say."),
    ],
    out: Annotated[Path, typer.Option(help="The weights to write: the same, with what it found.")],
    classifier: Classifier = None,
) -> None:
    """Measure on left-out scans how much pixels may add to a header, and keep it in the weights.

    Half of the patients choose, the other half judge. Weights without it go by what was counted of
    the shipped classifier.
    """
    from radnet.training.left_out import supported

    left: list[str] = []
    with Bar(console=shown) as bar:
        task = bar.add_task("classifying", total=None)

        def tick(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        found = supported(classifier, out, data, tick, left)
    for reason in left:
        say(f"no say: {reason}", "yellow")
    plain = Console()
    for modality in found["words"]:
        table = Table(*HEAD, title=f"{modality}: what pixels may add to a header")
        for row in _rows(found, modality):
            table.add_row(*row)
        plain.print(table)
    sides = f"chosen on {found['chosen_on']} patients, stated on {found['stated_on']} others"
    plain.print(f"{out}: {sides}", markup=False, highlight=False, soft_wrap=True)


def _rows(found: "Mapping[str, Any]", modality: str) -> "Iterator[tuple[str, ...]]":
    for name, word in found["words"][modality].items():
        stated = found["stated"][modality][name]
        gain = "-" if stated["gain"] is None else f"{stated['gain']:+.2f}"
        weight, nats = f"{word['weight']:.2f}", f"{word['most_nats']:.2f}"
        yield name, str(word["patients"]), weight, nats, gain, str(stated["patients"])
