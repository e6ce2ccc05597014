"""The evaluation as one HTML page that needs no other file."""

import base64
import math
from collections.abc import Iterable, Sequence
from html import escape
from io import BytesIO

from matplotlib.figure import Figure

from radnet.training.evaluate import ScanReport
from radnet.training.scorecard import POSTER, Line, by_group, calibration, confusion

STYLE = (
    "body{font:15px sans-serif;max-width:60em;margin:2em auto}table{border-collapse:collapse}"
    "td,th{padding:.2em .8em;border-bottom:1px solid #ddd;text-align:right}"
    "td:first-child,th:first-child{text-align:left}"
)


def percent(share: float) -> str:
    """Return a share as a percentage, '-' where there is none."""
    return "-" if math.isnan(share) else f"{100 * share:.1f}"


def cells(line: Line) -> list[str]:
    """Return one line of the table as text: ours, then the poster's."""
    samples, accuracy, auc = POSTER.get(line.name, (None, None, None))
    return [
        line.name,
        str(line.samples),
        percent(line.accuracy),
        f"{percent(line.low)}-{percent(line.high)}",
        percent(line.auc),
        *("-" if figure is None else str(figure) for figure in (samples, accuracy, auc)),
    ]


def page(found: Sequence[ScanReport], lines: Sequence[Line], about: str) -> str:
    """Return the report of an evaluation as HTML.

    Parameters
    ----------
    about
        What was evaluated, on what.
    """
    error, bins = calibration(found)
    livers = [(one.scan.name, one.liver) for one in found if one.liver]
    parts = [
        f"<h1>3D-RADNet evaluation</h1><p>{escape(about)}</p>",
        _table(
            ("class", "samples", "accuracy %", "95 % interval", "AUC %",
             "poster: samples", "accuracy %", "AUC %"),
            (cells(line) for line in lines),
        ),
        f"<h2>Calibration</h2><p>Expected calibration error {percent(error)} %</p>",
        f'<img alt="reliability" src="data:image/png;base64,{_reliability(bins)}">',
        "<h2>Confusion</h2>",
        *(
            f"<h3>{head}</h3>" + _table(
                ("truth", "said", "scans"),
                ((t, s, str(n)) for (t, s), n in sorted(confusion(found, head).items())),
            )
            for head in ("sequence", "plane", "contrast")
        ),
        "<h2>By manufacturer</h2>",
        _table(
            ("manufacturer", "right", "judged"),
            ((name or "(not told)", str(right), str(judged))
             for name, (right, judged) in sorted(by_group(found, lambda o: o.vendor).items())),
        ),
        "<h2>Liver</h2>",
        _table(
            ("scan", "Dice", "true mL", "said mL"),
            ((name, f"{s.dice:.3f}", f"{s.truth_ml:.0f}", f"{s.said_ml:.0f}")
             for name, s in livers),
        ),
    ]  # fmt: skip
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>3D-RADNet evaluation</title>'
        f"<style>{STYLE}</style><body>{''.join(parts)}</body></html>"
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{top}</tr>{body}</table>"


def _reliability(bins: Sequence[tuple[float, float, int]]) -> str:
    figure = Figure(figsize=(4, 4), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    sizes = [20 + 8 * count for _, _, count in bins]
    axis.scatter([p for p, _, _ in bins], [share for _, share, _ in bins], s=sizes)
    axis.set(xlabel="probability", ylabel="share right", xlim=(0, 1.02), ylim=(0, 1.02))
    png = BytesIO()
    figure.savefig(png, dpi=90)
    return base64.b64encode(png.getvalue()).decode()
