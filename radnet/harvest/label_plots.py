"""Pictures of a table of labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.figure import Figure

from radnet.harvest.label_report import Report, TableGroup
from radnet.labels.evidence import HEADS

MOST_BARS: Final = 12


def plot(found: Report, folder: Path) -> list[Path]:
    """Draw the values of each label and what is known by collection and by vendor.

    Parameters
    ----------
    found : Report
        Of a table of labels.
    folder : Path
        Made if it is not there.

    Returns
    -------
    list of Path
        PNG files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {
        "labels.png": _values(found),
        "collections.png": _heat(found.collections, "collection"),
        "vendors.png": _heat(found.vendors, "vendor"),
    }
    for name, figure in drawn.items():
        figure.savefig(folder / name, dpi=110)
    return [folder / name for name in drawn]


def _values(found: Report) -> Figure:
    figure = Figure(figsize=(13, 8), layout="constrained")
    axes = figure.subplots(2, 3).ravel()
    for axis, head in zip(axes, HEADS, strict=True):
        most = list(found.values[head].items())[:MOST_BARS][::-1]
        names = [_short(name) if name else "unknown" for name, _ in most]
        counts = [count for _, count in most]
        colours = ["lightgrey" if not name else "tab:blue" for name, _ in most]
        axis.barh(names, counts, color=colours)
        for y, count in enumerate(counts):
            axis.text(
                count, y, f" {count:,} ({count / found.series:.1%})", va="center", fontsize=8
            )
        axis.set_xlim(0, max(counts, default=1) * 1.45)
        axis.set_xticks([])
        axis.spines[["top", "right", "bottom"]].set_visible(False)
        conflicts = found.conflicts[head]
        axis.set_title(f"{head} (evidence divided in {conflicts:,})", fontsize=10)
    figure.suptitle(f"{found.series:,} series: labels from DICOM metadata")
    return figure


def _short(regions: str) -> str:
    return (
        regions.replace("upper_head_neck;lower_head_neck", "head-neck")
        .replace("liver;kidney;intestine", "abdomen")
        .replace(";", " + ")
    )


def _heat(groups: Sequence[TableGroup], kind: str) -> Figure:
    figure = Figure(figsize=(8, 1.6 + 0.24 * len(groups)), layout="constrained")
    axis = figure.subplots()
    shares = np.array([[group.known[head] for head in HEADS] for group in groups])
    axis.imshow(
        shares.reshape(len(groups), len(HEADS)), vmin=0, vmax=1, cmap="RdYlGn", aspect="auto"
    )
    axis.set_xticks(range(len(HEADS)), HEADS)
    names = [f"{group.name[:34]} ({group.series:,})" for group in groups]
    axis.set_yticks(range(len(groups)), names, fontsize=8)
    for y, group in enumerate(groups):
        for x, head in enumerate(HEADS):
            axis.text(x, y, f"{group.known[head]:.0%}", ha="center", va="center", fontsize=7)
    axis.set_title(f"Share of CT and MR series of which a label is known, by {kind}", fontsize=10)
    return figure
