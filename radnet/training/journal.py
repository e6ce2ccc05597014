"""What a training writes down beside its weights: figures step by step, and their picture.

``NAME.metrics.jsonl`` holds a line for every few steps and one for every validation; lines that
a cut-off training wrote behind its last checkpoint are dropped when it goes on. ``NAME.png``
shows them.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from radnet.training.loop import Progress

EVERY: Final = 10  # steps that one line sums up
SMOOTH: Final = 20  # lines under the running mean
FEW: Final = 30  # points that are marked; a line through one point is nothing


class Tracker(Protocol):
    """Something else that wants to know, such as MLflow."""

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Take figures of one step."""

    def keep(self, path: Path) -> None:
        """Take a file."""


class Journal:
    """The figures of one training.

    Parameters
    ----------
    out
        The weights file beside which they are written.
    tracker
        Told the same figures.
    """

    def __init__(self, out: Path, tracker: Tracker | None = None) -> None:
        self.path = out.with_suffix(".metrics.jsonl")
        self.picture = out.with_suffix(".png")
        self._tracker = tracker
        self._lines: list[dict[str, Any]] | None = None
        self._recent: list[Progress] = []

    def step(self, progress: Progress) -> None:
        """Take one step; every tenth, the mean of the last ten becomes a line."""
        if self._lines is None:
            self._lines = self._before(progress.step)
        self._recent.append(progress)
        if progress.step % EVERY == 0:
            self._sum_up()
        if np.isfinite(progress.cost):
            self._add({"step": progress.step, "cost": round(progress.cost, 5)})

    def scores(self, step: int, found: Mapping[str, float]) -> None:
        """Take the figures of a validation, those that are numbers."""
        told = {name: round(value, 4) for name, value in found.items() if np.isfinite(value)}
        if told:
            self._add({"step": step, "scores": told})

    def write(self) -> None:
        """Write figures and picture; each file is whole, or is the one before."""
        if self._recent:
            self._sum_up()
        fresh = self.path.with_suffix(".partial")
        lines = "".join(json.dumps(line) + "\n" for line in self._lines or ())
        fresh.write_text(lines, encoding="utf-8")
        fresh.replace(self.path)
        draw(self._lines or [], self.picture)

    def close(self) -> None:
        """Write everything, and hand the files over."""
        self.write()
        if self._tracker:
            self._tracker.keep(self.path)
            self._tracker.keep(self.picture)

    def _before(self, step: int) -> list[dict[str, Any]]:
        """Return the lines of earlier runs of this training up to `step`."""
        if step == 1 or not self.path.is_file():
            return []
        with self.path.open(encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        return [line for line in lines if line["step"] < step]

    def _sum_up(self) -> None:
        last = self._recent[-1]
        loss = mean_loss([one.loss for one in self._recent])
        self._recent = []
        line = {"step": last.step, "loss": loss and round(loss, 5), "rate": last.rate}
        self._add(line | {"skipped": last.skipped})

    def _add(self, line: dict[str, Any]) -> None:
        self._lines = [*(self._lines or ()), line]
        if self._tracker:
            figures = line.get("scores") or {k: v for k, v in line.items() if k != "step"}
            known = {name: value for name, value in figures.items() if value is not None}
            self._tracker.log(known, int(line["step"]))


def mean_loss(losses: Sequence[float]) -> float | None:
    """Return the mean of the losses that are numbers; None if none is: JSON knows no NaN."""
    numbers = [one for one in losses if np.isfinite(one)]
    return float(np.mean(numbers)) if numbers else None


def draw(lines: list[dict[str, Any]], path: Path) -> None:
    """Draw loss, learning rate and the scores on held-out scans over the steps."""
    figure = Figure(figsize=(8, 7), layout="constrained")
    top, middle, low = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1))
    steps = [line["step"] for line in lines if "loss" in line]
    losses = np.array([line["loss"] for line in lines if "loss" in line], float)  # None: nan
    top.plot(steps, losses, color="lightsteelblue", linewidth=0.8, label=f"mean of {EVERY} steps")
    top.plot(steps, _running_mean(losses), color="navy", marker=".", label="running mean")
    costs = [(line["step"], line["cost"]) for line in lines if "cost" in line]
    if costs:
        top.plot(*zip(*costs, strict=True), "o", color="darkorange", label="on development scans")
    top.set(ylabel="loss")
    top.legend(loc="upper right", frameon=False)
    rates = [line["rate"] for line in lines if "loss" in line]
    low.plot(steps, rates, color="grey", marker="." if len(rates) <= FEW else "")
    low.set(xlabel="step", ylabel="learning rate")
    low.set_xlim(left=0)
    low.set_ylim(bottom=0)
    low.xaxis.set_major_locator(MaxNLocator(integer=True))  # of all three
    curves: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for line in lines:
        for name, value in line.get("scores", {}).items():
            curves[name].append((line["step"], value))
    for name, points in curves.items():
        middle.plot(*zip(*points, strict=True), marker=".", label=name)
    middle.set(ylabel="share right or Dice, held out", ylim=(0, 1.02))
    if curves:
        middle.legend(loc="lower right", frameon=False, ncols=2, fontsize="small")
    fresh = path.with_suffix(".partial")
    figure.savefig(fresh, dpi=100, format="png")
    fresh.replace(path)


def _running_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of each value and up to `SMOOTH` before it; nan counts for nothing."""
    known = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - SMOOTH)
    return np.asarray((sums[ends] - sums[starts]) / np.maximum(1, counts[ends] - counts[starts]))
