"""The evaluation as one HTML page that needs no other file."""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from statistics import mean, median

from matplotlib.figure import Figure

from radnet.evaluation.render import render
from radnet.evaluation.scorecard import (
    ALONE,
    BINS,
    POSTER,
    Line,
    calibration,
    confusion,
    scorecard,
)
from radnet.evaluation.scoring import About, ScanReport
from radnet.evaluation.witnesses import WITNESS_HEAD, remark, witness_rows
from radnet.inference.fusion import CLASS_HEADS
from radnet.labels.vocabulary import HEADS

CLASSES = (
    "class", "samples", "judged", "accuracy %", "95 % interval", "AUC %", "95 % interval",
    "poster: samples", "accuracy %", "AUC %",
)  # fmt: skip
LIVERS = ("liver of", "Dice", "HD95 mm", "liver mL", "said mL", "error mL")
RELIABILITY = ("said with", "answers", "mean %", "right %")
MAKERS = ("manufacturer", "scans", "sequence", "plane", "contrast", "coverage exact")
HEADINGS = {
    "classes": CLASSES,
    "livers": LIVERS,
    "reliability": RELIABILITY,
    "makers": MAKERS,
    "witnesses": WITNESS_HEAD,
}  # as the template names them


def percent(share: float) -> str:
    """Return a share as a percentage, '-' where there is none.

    Parameters
    ----------
    share : float
        0 to 1, or NaN.

    Returns
    -------
    str
        With one decimal, without a sign.
    """
    return "-" if math.isnan(share) else f"{100 * share:.1f}"


def between(low: float, high: float) -> str:
    """Return an interval of a share, '-' where there is none."""
    return "-" if math.isnan(low) else f"{percent(low)}-{percent(high)}"


def cells(line: Line) -> list[str]:
    """Return one line of the table as text: ours, then the poster's.

    Parameters
    ----------
    line : Line
        Of the scorecard.

    Returns
    -------
    list of str
        As many as the table has columns.
    """
    samples, accuracy, auc = POSTER.get(line.name, (None, None, None))
    return [
        line.name,
        str(line.samples),
        str(line.judged),
        percent(line.accuracy),
        between(line.low, line.high),
        percent(line.auc),
        between(line.auc_low, line.auc_high),
        *("-" if figure is None else str(figure) for figure in (samples, accuracy, auc)),
    ]


@dataclass(frozen=True)
class Matrix:
    """What was said of one head, how often, for each true class."""

    head: str
    names: Sequence[str]
    rows: Sequence[tuple[str, Sequence[int]]]


def page(found: Sequence[ScanReport], lines: Sequence[Line], about: About) -> str:
    """Return the report of an evaluation as HTML."""
    error, bins = calibration(found)
    return render(
        "evaluation.html",
        about=about,
        alone=ALONE,
        heads=HEADINGS,
        classes=[cells(line) for line in lines],
        error=percent(error),
        diagram=_reliability(bins),
        reliability=reliability_rows(bins),
        matrices=[_matrix(found, head) for head in CLASS_HEADS],
        wrong=wrong_rows(found),
        makers=maker_rows(found),
        witnesses=[] if about.labels_from_headers else witness_rows(found),
        witness_remark=remark(found, about),
        livers=liver_rows(found),
        liver_remark=liver_remark(found),
    )


def wrong_rows(found: Sequence[ScanReport]) -> list[tuple[str, str, str, str, str]]:
    """Return every wrong answer: scan, head, truth, what was said and how surely."""
    return [
        (one.scan.name, v.head, v.truth, v.said, f"{v.probability:.2f}")
        for one in found
        for v in one.verdicts
        if not v.right
    ]


def confusion_rows(found: Sequence[ScanReport]) -> list[tuple[str, str]]:
    """Return for each true class of each head what was said of its scans, how often."""
    rows = []
    for head in CLASS_HEADS:
        counts = confusion(found, head)
        for truth in dict.fromkeys(str(label) for label in HEADS[head]):
            said = sorted((-n, name) for (true, name), n in counts.items() if true == truth)
            if said:
                rows.append((f"{head}: {truth}", ", ".join(f"{name} {-n}" for n, name in said)))
    return rows


def reliability_rows(bins: Sequence[tuple[float, float, int]]) -> list[tuple[str, ...]]:
    """Return for each bin of probabilities how many answers were in it, and how many right."""
    rows: list[tuple[str, ...]] = []
    for p, share, count in bins:
        number = max(1, math.ceil(round(p * BINS, 6)))
        span = f"{(number - 1) / BINS:.1f}-{number / BINS:.1f}"
        rows.append((span, str(count), percent(p), percent(share)))
    return rows


def liver_rows(found: Sequence[ScanReport]) -> list[tuple[str, ...]]:
    """Return for each liver overlap, distance of the surfaces, and volumes.

    Parameters
    ----------
    found : sequence of ScanReport
        Of the scans that were judged.

    Returns
    -------
    list of tuple of str
        One for each liver: Dice, HD95 in mm, volumes in mL.
    """
    return [
        (
            one.scan.name,
            f"{one.liver.dice:.3f}",
            "-" if math.isnan(one.liver.hd95_mm) else f"{one.liver.hd95_mm:.1f}",
            f"{one.liver.truth_ml:.0f}",
            f"{one.liver.said_ml:.0f}",
            f"{one.liver.error_ml:+.0f}",
        )
        for one in found
        if one.liver
    ]


def liver_remark(found: Sequence[ScanReport]) -> str:
    """Return means over the livers in one sentence, those missed counted; '' without any.

    Parameters
    ----------
    found : sequence of ScanReport
        Of the scans that were judged.

    Returns
    -------
    str
    """
    scores = [one.liver for one in found if one.liver]
    if not scores:
        return ""
    dice, errors = [s.dice for s in scores], [s.error_ml for s in scores]
    near = [s.hd95_mm for s in scores if not math.isnan(s.hd95_mm)]
    surface = f"mean {mean(near):.1f} mm" if near else "-"
    there, none = [s for s in scores if s.truth_ml > 0], [s for s in scores if s.truth_ml == 0]
    missed = f"livers missed: {len(there) - len(near)} of {len(there)}"
    if none:
        missed += f", found where there is none: {sum(s.said_ml > 0 for s in none)} of {len(none)}"
    return (
        f"Dice: mean {mean(dice):.3f}, median {median(dice):.3f}, of {len(dice)} scans; HD95 "
        f"{surface}, {missed}; volume error mean {mean(errors):+.0f} mL, its size "
        f"{mean(abs(e) for e in errors):.0f} mL."
    )


def maker_rows(found: Sequence[ScanReport]) -> list[list[str]]:
    """Return for each manufacturer how often the heads are right, the most frequent first.

    Parameters
    ----------
    found : sequence of ScanReport
        Of the scans that were judged.

    Returns
    -------
    list of list of str
    """
    groups: dict[str, list[ScanReport]] = {}
    for one in found:
        groups.setdefault(one.vendor or "(not told)", []).append(one)
    rows = []
    for name, members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        totals = {line.name: line for line in scorecard(members)}
        rows.append([name, str(len(members)), *(_share(totals.get(head)) for head in MAKERS[2:])])
    return rows


def _share(line: Line | None) -> str:
    if line is None:
        return "-"
    return f"{percent(line.accuracy)}, {between(line.low, line.high)} ({line.judged})"


def _matrix(found: Sequence[ScanReport], head: str) -> Matrix:
    counts = confusion(found, head)
    names = [str(label) for label in HEADS[head]]
    names = [name for name in dict.fromkeys(names) if any(name in pair for pair in counts)]
    rows = [(truth, [counts[truth, said] for said in names]) for truth in names]
    return Matrix(head, names, rows)


def _reliability(bins: Sequence[tuple[float, float, int]]) -> str:
    figure = Figure(figsize=(4, 4), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    total = sum(count for _, _, count in bins)
    sizes = [20 + 400 * count / total for _, _, count in bins]
    axis.scatter([p for p, _, _ in bins], [share for _, share, _ in bins], s=sizes, alpha=0.7)
    for p, share, count in bins:
        axis.annotate(f"{count}", (p, share), textcoords="offset points", xytext=(7, -12))
    axis.set(xlabel="probability said", ylabel="share right", xlim=(0, 1.05), ylim=(-0.05, 1.05))
    axis.set_title("answers of sequence, plane, contrast", fontsize="small")
    png = BytesIO()
    figure.savefig(png, dpi=90)
    return base64.b64encode(png.getvalue()).decode()
