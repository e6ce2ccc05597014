"""The papers of an experiment: every run as a table, and a page with a picture."""

import base64
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
from matplotlib.figure import Figure

from radnet.evaluation.paired import PairedDifference, difference, sentence
from radnet.evaluation.render import render
from radnet.harvest.durable import publish
from radnet.harvest.label_scan import quoted
from radnet.training.arms import POSTER, ArmScores
from radnet.training.experiments import Experiment

COLUMNS: Final = {
    "arm": "VARCHAR", "seed": "INTEGER", "case": "VARCHAR", "patient": "VARCHAR",
    "trained_on": "INTEGER", "liver": "BOOLEAN", "dice": "DOUBLE", "iou": "DOUBLE",
    "hd95_mm": "DOUBLE", "volume_error_ml": "DOUBLE", "steps": "INTEGER", "skipped": "INTEGER",
    "first_loss": "DOUBLE", "loss": "DOUBLE", "precision": "VARCHAR", "seconds": "DOUBLE",
    "encoder": "VARCHAR",
}  # fmt: skip
ROWS: Final = (
    "row", "cases", "mean Dice %", "poster", "by seed", "median Dice %", "poster",
    "mean IoU %", "poster", "HD95 mm", "livers missed", "volume error mL",
)  # fmt: skip
PAIRS: Final = ("row", "minus", "Dice, points", "interval", "what it would need")
RUNS: Final = (
    "row", "seed", "cases", "steps", "skipped", "loss at first", "at the end", "in", "s", "Dice %",
)  # fmt: skip
TOLD: Final = ("steps", "skipped", "first_loss", "loss", "precision", "seconds")
POINTS: Final = 100.0


def records(found: Experiment) -> Iterator[tuple[object, ...]]:
    """Yield a record for each held-out case of each run, by `COLUMNS`."""
    for trial in (trial for row in found.rows for trial in row.trials):
        told = [trial.told[name] for name in TOLD]
        for case, patient, score in zip(trial.cases, trial.patients, trial.scores, strict=True):
            yield (
                trial.arm, trial.seed, case, patient, trial.trained_on, score.liver, score.dice,
                score.iou, score.hd95_mm if np.isfinite(score.hd95_mm) else None,
                score.volume_error_ml, *told, found.encoder,
            )  # fmt: skip


def write_table(found: Experiment, path: Path) -> None:
    """Write every run as Parquet; the file is whole, or the one before."""
    part = path.with_name(f".{path.name}.partial")
    columns = ", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items())
    marks = ", ".join("?" for _ in COLUMNS)
    with duckdb.connect() as db:
        db.execute(f"CREATE TABLE runs ({columns})")
        db.executemany(f"INSERT INTO runs VALUES ({marks})", list(records(found)))  # noqa: S608
        db.execute(f"COPY runs TO {quoted(part)} (FORMAT parquet, COMPRESSION zstd)")
    publish(part, path)


def differences(rows: Sequence[ArmScores]) -> list[tuple[str, PairedDifference]]:
    """Return by how much the Dice of each row differs from that of the first."""
    first, *others = rows
    reference = first.by_patient("dice")
    return [
        (row.arm.name, difference(row.by_patient("dice"), reference, len(others)))
        for row in others
    ]


def pair_rows(rows: Sequence[ArmScores]) -> list[tuple[str, str, str, str, str]]:
    """Return the lines of the table under `PAIRS`; none of a single row."""
    lines = []
    for name, found in differences(rows):
        between = "-"
        if np.isfinite(found.low):
            between = f"{POINTS * found.low:+.1f} to {POINTS * found.high:+.1f}"
        mean = f"{POINTS * found.mean:+.1f}"
        lines.append((name, rows[0].arm.name, mean, between, sentence(found, POINTS)))
    return lines


def row_lines(rows: Sequence[ArmScores]) -> list[list[str]]:
    """Return the lines of the table under `ROWS`: ours, each beside the poster's."""
    return [_row_line(row) for row in rows]


def _row_line(row: ArmScores) -> list[str]:
    poster = POSTER[row.arm.name]
    low, high = (POINTS * mean for mean in row.over_seeds("dice"))
    far = row.of("hd95_mm", np.mean)
    return [
        row.arm.name,
        str(row.trained_on),
        f"{POINTS * row.of('dice', np.mean):.1f}",
        f"{poster.mean_dice:.1f}",
        f"{low:.1f}-{high:.1f}",
        f"{POINTS * row.of('dice', np.median):.1f}",
        f"{poster.median_dice:.1f}",
        f"{POINTS * row.of('iou', np.mean):.1f}",
        f"{poster.mean_iou:.1f}",
        "-" if np.isnan(far) else f"{far:.1f}",
        f"{row.missed} of {row.livers}",
        f"{row.of('volume_error_ml', np.mean):+.0f}",
    ]


def run_lines(rows: Sequence[ArmScores]) -> list[list[str]]:
    """Return the lines of the table under `RUNS`, one for each run."""
    return [
        [
            trial.arm,
            *(str(x) for x in (trial.seed, trial.trained_on)),
            *(str(trial.told[name]) for name in ("steps", "skipped")),
            *(_loss(trial.told[name]) for name in ("first_loss", "loss")),
            str(trial.told["precision"]),
            f"{trial.told['seconds']:.0f}",
            f"{POINTS * float(np.mean([score.dice for score in trial.scores])):.1f}",
        ]
        for row in rows
        for trial in row.trials
    ]


def _loss(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def page(title: str, about: str, found: Experiment) -> str:
    """Return the experiment as one HTML page that needs no other file.

    Parameters
    ----------
    title
        Of the table.
    about
        A sentence on set and budget.
    found : Experiment
        All its rows.
    """
    return render(
        "experiment.html",
        title=title,
        about=about,
        encoder=found.encoder,
        heads={"rows": ROWS, "pairs": PAIRS, "runs": RUNS},
        rows=row_lines(found.rows),
        pairs=pair_rows(found.rows),
        compared=len(found.rows) - 1,
        runs=run_lines(found.rows),
        picture=base64.b64encode(picture(found.rows)).decode(),
    )


def picture(rows: Sequence[ArmScores]) -> bytes:
    """Return a PNG: Dice of every patient and seed in each row, and differences to the first."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    names = [row.arm.name for row in rows]
    for at, row in enumerate(rows):
        table = POINTS * row.by_patient("dice")
        seeds, patients = table.shape
        for seed, scores in enumerate(table):
            place = at + 0.12 * (seed - (seeds - 1) / 2)
            left.scatter(scores, [place] * patients, s=14, alpha=0.5, color="steelblue")
        left.plot(table.mean(axis=1), [at] * seeds, "|", color="navy", markersize=18)
        left.plot(POSTER[row.arm.name].mean_dice, at, "D", color="darkorange", markersize=5)
    left.set(xlabel="Dice %: patients (dots), mean of a seed (bars), poster (diamond)")
    left.set_yticks(range(len(rows)), names)
    left.invert_yaxis()
    right.axvline(0, color="grey", linewidth=0.8)
    for at, (_, one) in enumerate(differences(rows), start=1):
        right.plot(POINTS * one.mean, at, "o", color="navy")
        if np.isfinite(one.low):
            right.plot([POINTS * one.low, POINTS * one.high], [at, at], color="navy")
    right.set(xlabel=f"Dice minus '{names[0]}', points, with interval")
    png = BytesIO()
    figure.savefig(png, dpi=100, format="png")
    return png.getvalue()


def write_papers(title: str, about: str, found: Experiment, folder: Path) -> tuple[Path, Path]:
    """Write ``runs.parquet`` and ``page.html`` into the folder of an experiment; return both."""
    table, html = folder / "runs.parquet", folder / "page.html"
    write_table(found, table)
    html.write_text(page(title, about, found), encoding="utf-8")
    return table, html
