"""What `radnet train` says at its end: how far it came, and what the weights are worth."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

NOTHING: Final = "-"
WARM_UP: Final = 50  # steps, as `radnet.training.loop` has it, which is slow to import


def tell_classifier(console: Console, out: Path, record: Mapping[str, Any]) -> None:
    """Print what the record of a trained classifier says of its answers by pixels alone."""
    console.print(_came(out, record), soft_wrap=True)
    console.print(f"By pixels alone, on {record['calibrated_on']}:")
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("head or region", no_wrap=True)
    for title in ("right of all", "answered", "of these right", "at least"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, stated in _rows(record):
        table.add_row(name, *_cells(record["held_out"].get(name), stated))
    console.print(table)
    console.print("At least: the share of right answers that is 95 % sure.")
    exact = record["held_out"].get("coverage exact")
    if exact is not None:
        console.print(f"All known regions of a scan right: {exact:.1%} of the scans.")


def tell_liver(console: Console, out: Path, record: Mapping[str, Any]) -> None:
    """Print what the record of a trained liver network says of held-out scans."""
    found = record["held_out"]
    console.print(_came(out, record), soft_wrap=True)
    if found["livers"]:
        told = f"mean Dice {found['dice']:.3f}, the least {found['least_dice']:.3f}"
        console.print(f"On {record['judged_on']}: {_counted(found['livers'], 'liver')}, {told}.")
    else:
        console.print(f"On {record['judged_on']}: no liver to find, so no Dice.")
    if found["without_liver"]:
        scans = _counted(found["without_liver"], "scan")
        console.print(f"In {scans} without a liver: {found['false_ml']:.1f} mL called liver.")


def _came(out: Path, record: Mapping[str, Any]) -> str:
    """Return how many steps were made, with which loss, and where the weights lie."""
    loss = record["loss"]
    first = record.get("first_loss")
    told = "no finite loss" if loss is None else f"loss {loss:.3f} at the end"
    if loss is not None and first is not None:
        told = f"loss {first:.3f} at first, {loss:.3f} at the end"
    skipped = record["skipped"]
    left = f", {skipped:,} of them skipped (a gradient was no number)" if skipped else ""
    computed = record["arithmetic"]
    kept = record.get("kept_step")
    chosen = (
        f" Kept are the weights of step {kept:,}, the best on development scans." if kept else ""
    )
    return escape(
        f"{out}: {_counted(record['steps'], 'step')}{left} in {computed['precision']} "
        f"({computed['because']}); {told}.{chosen}"
        f"{_little(record['steps'] - record['skipped'])}"
    )


def _little(learned: int) -> str:
    """Return a warning where a training ended before its learning rate had risen."""
    if learned >= WARM_UP:
        return ""
    return (
        f" Next to nothing was learned: the learning rate rises until step {WARM_UP}; give more "
        "--minutes or --steps."
    )


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _rows(record: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, float]]]:
    """Return what is stated of the answers of every head, and of both answers on every region."""
    from radnet.evaluation.calibration import at_least

    yield from record["abstention"].items()
    for name, row in record["coverage"].items():
        yes, no = row["covered"], row["not_covered"]
        count = yes["of"] + no["of"]
        right = round(yes["right"] * yes["of"]) + round(no["right"] * no["of"])
        patients = max(yes.get("patients", count), no.get("patients", count))
        yield (
            name,
            {
                "answered": yes["answered"] + no["answered"],
                "right": right / max(1, count),
                "at_least": at_least(right / max(1, count) * patients, patients),
                "of": count,
            },
        )


def _cells(score: float | None, stated: Mapping[str, float]) -> tuple[str, str, str, str]:
    """Return a row's figures; a head that never answers has no share of right answers."""
    if score is None:
        return NOTHING, "truth unknown", NOTHING, NOTHING
    if not stated["of"]:
        return f"{score:.1%}", "never", NOTHING, NOTHING
    right = f"{stated['right']:.1%} of {stated['of']:,}"
    return f"{score:.1%}", f"{stated['answered']:.0%}", right, f"{stated['at_least']:.1%}"
