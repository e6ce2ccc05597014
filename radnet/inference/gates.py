"""The gates of a network for another runtime: it must say what torch says in fp32.

They compare on phantoms: no fp32 logit further off than 1e-4 and not one decision changed; bf16 at
most 0.5 % of the decisions changed and masks of Dice 0.995. Measured: logits of the shipped
networks differ by up to 8e-6 (classifier) and 3.1e-5 (liver; 8.4e-5 of its twin). The latter is
OpenVINO's rounding (8.5e-5 from float64, torch 1.5e-5), in the empty corners of a scan, where
logits are about -7; there is little room below 1e-4.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from radnet.inference.preparation import (
    CLASSIFIER_SPACING_MM,
    LIVER_SPACING_MM,
    LIVER_WINDOW,
    Array,
    axial,
    classifier_input,
    empty_value,
)
from radnet.inference.runtime import Hardware
from radnet.inference.segmenter import liver_window
from radnet.inference.served import Task
from radnet.labels.vocabulary import Sequence
from radnet.network.outputs import HEAD_SIZES, MR_COLUMNS
from radnet.phantom.acquisition import take
from radnet.phantom.protocols import random_scan

LEAST_LIVER: Final = 8000  # voxels of 25 mm3 in a case of the liver: 200 mL
LOGIT_TOLERANCE: Final = 1e-4
MOST_CHANGED: Final = {"f32": 0.0, "bf16": 0.005}
LEAST_DICE: Final = {"f32": 1.0, "bf16": 0.995}
SEED: Final = 70_000_000
SEEDS: Final[dict[Task, list[int]]] = {
    "classifier": [SEED + one for one in range(1, 25)],  # 264 decisions and more: one is 0.38 %
    # An axial CT that shows `LEAST_LIVER`: of those from `SEED` on the first. To look for them
    # anew takes as long as to compare them; a changed phantom needs others, says a test.
    "liver": [SEED + one for one in (4, 9, 40, 46, 57, 59, 64, 67, 70, 84, 85, 89)],
}
CASES: Final = {task: len(seeds) for task, seeds in SEEDS.items()}

Run = Callable[[Array], list[Array]]
Tick = Callable[[], None]


@dataclass(frozen=True)
class ExportGate:
    """How far an exported network is from torch in fp32.

    Attributes
    ----------
    logit_error
        Largest difference of a logit.
    changed
        Share of the decisions (heads and regions, or voxels) that changed.
    dice
        Of the masks; 1 for a classifier.
    decisions
        How many were compared.
    """

    precision: str
    logit_error: float
    changed: float
    dice: float
    decisions: int

    def refusal(self) -> str | None:
        """Return why the export must not be used, None if it may."""
        if self.precision == "f32" and self.logit_error >= LOGIT_TOLERANCE:
            return f"f32 logits differ by {self.logit_error:.2g}; allowed {LOGIT_TOLERANCE:g}"
        if self.changed > MOST_CHANGED[self.precision]:
            return f"{self.precision}: {self.changed:.2%} of the decisions changed"
        if self.dice < LEAST_DICE[self.precision]:
            return f"{self.precision}: Dice of the masks {self.dice:.4f}"
        return None


def _silent() -> None:
    """Report nothing."""


def stacks(task: Task, count: int, tick: Tick = _silent) -> list[Array]:
    """Return phantoms as the network of a task sees them, (1, 1, Z, Y, X); `tick` after each.

    Parameters
    ----------
    count
        At most those of `CASES`.
    """
    found: list[Array] = []
    for seed in SEEDS[task][:count]:
        found.append(_liver_stack(seed) if task == "liver" else _classifier_stack(seed))
        tick()
    return found


def _classifier_stack(seed: int) -> Array:
    body, wanted = random_scan(np.random.default_rng(seed), CLASSIFIER_SPACING_MM)
    modality = "CT" if wanted.sequence is Sequence.CT else "MR"
    return classifier_input(take(body, wanted, seed).volume, modality).array[None, None]


def _liver_stack(seed: int) -> Array:
    body, wanted = random_scan(np.random.default_rng(seed), LIVER_SPACING_MM)
    volume = take(body, wanted, seed).volume
    grid = liver_window(axial(volume, outside=None).array)[: LIVER_WINDOW[0]]
    return np.pad(grid, ((0, LIVER_WINDOW[0] - grid.shape[0]), (0, 0), (0, 0)))[None, None]


def decisions(task: Task, case: Array, outputs: list[Array]) -> NDArray[np.int64]:
    """Return what a network decides of a case: a class for each head and region, or each voxel.

    Of a CT no sequence: it is never asked for, and what is not learned may turn on a rounding.
    """
    if task == "liver":
        return (outputs[0] > 0).astype(np.int64).ravel()
    scan, cells, *_ = outputs  # features decide nothing
    sequence, plane, contrast, _ = np.split(scan[0], np.cumsum(HEAD_SIZES)[:-1])
    ct = case.min() < empty_value("MR")  # an MR has no value below that
    asked = [plane, contrast] if ct else [sequence[MR_COLUMNS], plane, contrast]
    regions = (cells[0].max(axis=0) > 0).astype(np.int64)
    return np.array([int(head.argmax()) for head in asked] + regions.tolist(), np.int64)


def gate(task: Task, exact: Run, other: Run, precision: str, cases: list[Array]) -> ExportGate:
    """Compare two runs of one network on `cases`."""
    error, changed, total, both, either = 0.0, 0, 0, 0, 0
    for case in cases:
        truth, said = exact(case), other(case)
        for one, two in zip(truth, said, strict=True):
            error = max(error, float(np.abs(one - two).max()))
        first, second = decisions(task, case, truth), decisions(task, case, said)
        changed += int((first != second).sum())
        total += first.size
        if task == "liver":
            both += 2 * int((first & second).sum())
            either += int(first.sum() + second.sum())
    return ExportGate(precision, error, changed / total, both / either if either else 1.0, total)


def distances(
    task: Task,
    exact: Run,
    others: Mapping[Hardware, Run],
    drawn: list[Array],
    tick: Tick = _silent,
) -> list[ExportGate]:
    """Return how far other runs of a network are from `exact`.

    Parameters
    ----------
    exact
        The network in torch, in fp32.
    others
        By their precision.
    drawn
        The cases, of `stacks`.
    tick
        Called after each case of each run.
    """
    truths: dict[int, list[Array]] = {}

    def once(stack: Array) -> list[Array]:
        if id(stack) not in truths:
            truths[id(stack)] = exact(stack)
        tick()
        return truths[id(stack)]

    return [gate(task, once, other, name, drawn) for name, other in others.items()]


def compared(precision: Hardware) -> tuple[Hardware, ...]:
    """Return the precisions to compare before one serves: fp32 always."""
    return ("f32",) if precision == "f32" else ("f32", precision)


def torch_run(net: nn.Module) -> Run:
    """Return what runs a network in torch, in the precision of its weights."""

    @torch.inference_mode()
    def run(stack: Array) -> list[Array]:
        outputs = net(torch.from_numpy(np.ascontiguousarray(stack)))
        several = outputs if isinstance(outputs, tuple) else (outputs,)
        return [output.numpy() for output in several]

    return run
