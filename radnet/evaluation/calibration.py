"""From held-out scans: how sure a head must be to be right, and what is strange.

Temperature per head (Guo et al. 2017), thresholds with a stated coverage, and the directions that
the features of known scans span (see `radnet.inference.strangeness`). Whatever is chosen is chosen
on every second of the held-out patients and stated on the others, who had no say in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import beta
from torch.nn import functional

from radnet.datasets.samples import SampleBatch, known
from radnet.evaluation.intervals import Patients, patients_of
from radnet.inference.strangeness import outside
from radnet.labels.vocabulary import Region
from radnet.network.heads import Heads

CLASS_HEADS: Final = ("sequence", "plane", "contrast")
WANTED: Final = 0.95  # share of the answers that must be right
EVEN: Final = 0.6  # no region is covered below, nor excluded above what is left to 1
SURE: Final = 0.95  # of a stated lower bound
AXES: Final = 32  # directions of known scans; from 16 to 48 strange ones are told apart alike
NOTHING: Final = 1e-6  # of the largest direction
REAL_WEIGHT: Final = 0.25  # of the real scans, which are few beside the phantoms
USUAL: Final = 0.975  # share of known scans that are not called strange


def temperatures(heads: Heads, truth: SampleBatch) -> dict[str, float]:
    """Return the temperature of every head that makes its probabilities fit `truth` best.

    1 for a head of which `truth` knows nothing.

    Parameters
    ----------
    heads : Heads
        Logits of N scans.
    truth : SampleBatch
        Of the same scans; -1 or NaN where it is not known.

    Returns
    -------
    dict of str to float
        By head; logits are divided by it.
    """
    tries = torch.logspace(-0.7, 0.9, 60)
    found = dict.fromkeys((*CLASS_HEADS, "coverage"), 1.0)
    for name in CLASS_HEADS:
        logits, target = getattr(heads, name), getattr(truth, name)
        logits, target = logits[target >= 0], target[target >= 0]
        if not len(target):
            continue
        losses = torch.stack([functional.cross_entropy(logits / t, target) for t in tries])
        found[name] = float(tries[int(losses.argmin())])
    if not (truth.scan >= 0).any():
        return found
    logits = heads.cells[:, 0]
    losses = torch.stack(
        [
            known(
                functional.binary_cross_entropy_with_logits(
                    logits / t, truth.scan.clamp(min=0), reduction="none"
                ),
                truth.scan,
            )
            for t in tries
        ]
    )
    found["coverage"] = float(tries[int(losses.argmin())])
    return found


@dataclass(frozen=True)
class Half:
    """The scans of every second patient, or of the others."""

    heads: Heads
    truth: SampleBatch
    patients: Patients


def halves(heads: Heads, truth: SampleBatch, patients: Sequence[str] = ()) -> tuple[Half, Half]:
    """Return the scans of every second patient, to choose on, and the others, to state on.

    Parameters
    ----------
    heads : Heads
        Logits of N scans.
    truth : SampleBatch
        Of the same scans.
    patients : sequence of str
        Whose each scan is; '' or empty: every scan is the only one of its patient.

    Returns
    -------
    tuple of Half
    """
    whose = patients_of(patients or [""] * len(heads.sequence))
    first = whose.of % 2 == 0
    return _half(heads, truth, whose, first), _half(heads, truth, whose, ~first)


def _half(heads: Heads, truth: SampleBatch, whose: Patients, part: NDArray[np.bool_]) -> Half:
    mine = torch.from_numpy(part)
    return Half(
        Heads(*(getattr(heads, one.name)[mine] for one in fields(Heads))),
        SampleBatch(*(_rows(getattr(truth, one.name), mine) for one in fields(SampleBatch))),
        Patients(whose.of[part], whose.count),
    )


def _rows(values: torch.Tensor, mine: torch.Tensor) -> torch.Tensor:
    """Return the rows of a half; what was not kept (stack, cells) has none."""
    return values[mine] if len(values) else values


def at_least(right: float, answered: int) -> float:
    """Return the share that `right` of `answered` prove with `SURE` (Clopper-Pearson).

    Parameters
    ----------
    right : float
        Answers that were right.
    answered : int
        Answers in all; not less.

    Returns
    -------
    float
        0 to 1.
    """
    return float(beta.ppf(1 - SURE, right, answered - right + 1)) if right else 0.0


def stated(right: NDArray[np.bool_], whose: NDArray[np.int64], known: int) -> dict[str, float]:
    """Return what answers were worth that the scans had no say in.

    Parameters
    ----------
    right
        (N,) of the answers.
    whose
        (N,) number of the patient of each.
    known
        Truths that could have been answered.

    Returns
    -------
    dict
        ``answered``, the share of the `known` truths that got an answer; ``right``, the share of
        the answers that are; ``at_least``, what it is 95 % sure to be at least, counted as one
        answer a patient; ``of`` and ``patients``, how many there were.
    """
    share, patients = float(right.mean()) if len(right) else 0.0, len(set(whose))
    return {
        "answered": round(len(right) / max(1, known), 4),
        "right": round(share, 4),
        "at_least": round(at_least(share * patients, patients), 4),
        "of": len(right),
        "patients": patients,
    }


def threshold(sure: NDArray[np.float64], right: NDArray[np.bool_], wanted: float) -> float:
    """Return from which probability on the share `wanted` of the answers is right; 1 if none.

    That share must be as likely as not (the median bound): the best of many thresholds on few
    scans promises more than it keeps on others.
    """
    order = np.argsort(-sure, kind="stable")
    good = np.cumsum(right[order])
    share = np.nan_to_num(beta.ppf(0.5, good, np.arange(1, len(order) + 1) - good + 1))
    ends = np.ones(len(order), bool)  # of a run of equal probabilities
    ends[:-1] = sure[order][:-1] > sure[order][1:]
    enough = np.flatnonzero((share >= wanted) & ends)
    if not len(enough):
        return 1.0
    return float(np.floor(sure[order[enough[-1]]] * 1e4) / 1e4)  # itself must reach it


def abstention(
    heads: Heads, truth: SampleBatch, heat: dict[str, float], patients: Sequence[str] = ()
) -> dict[str, dict[str, float]]:
    """Return per head from which probability on its answers are right often enough.

    Parameters
    ----------
    heads : Heads
        Logits of N scans.
    truth : SampleBatch
        Of the same scans.
    heat : dict of str to float
        As `temperatures` returns them.
    patients : sequence of str
        Whose each scan is; '' or empty: every scan is the only one of its patient.

    Returns
    -------
    dict
        Head to ``above``, the least such probability, and what `stated` returns. Where no
        probability is enough, ``above`` is 1 and nothing is answered.
    """
    chosen, others = halves(heads, truth, patients)
    found = {}
    for name in CLASS_HEADS:
        sure, right, _ = _answers(chosen, name, heat[name])
        above = threshold(sure, right, WANTED)
        sure, right, whose = _answers(others, name, heat[name])
        answered = (sure >= above) & (above < 1)
        found[name] = {"above": above} | stated(right[answered], whose[answered], len(right))
    return found


def _answers(
    half: Half, name: str, heat: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """Return how sure a head is of what it says, whether that is right, and whose scan it is."""
    logits, target = getattr(half.heads, name), getattr(half.truth, name)
    sure, said = (logits[target >= 0] / heat).double().softmax(dim=1).max(dim=1)
    right = said == target[target >= 0]
    return sure.numpy(), right.numpy(), half.patients.of[(target >= 0).numpy()]


def coverage(
    heads: Heads, truth: SampleBatch, heat: dict[str, float], patients: Sequence[str] = ()
) -> dict[str, dict[str, Any]]:
    """Return per region from where it is covered, up to where it is not; between: unknown.

    Parameters
    ----------
    heads : Heads
        Logits of N scans.
    truth : SampleBatch
        Of the same scans.
    heat : dict of str to float
        As `temperatures` returns them.
    patients : sequence of str
        Whose each scan is; '' or empty: every scan is the only one of its patient.

    Returns
    -------
    dict
        Region to ``above`` and ``below``, probabilities, and under ``covered`` and
        ``not_covered`` what `stated` returns of either answer.
    """
    chosen, others = halves(heads, truth, patients)
    found: dict[str, dict[str, Any]] = {}
    for index, region in enumerate(Region):
        p, there, _ = _region(chosen, index, heat["coverage"])
        above = max(threshold(p, there, WANTED), EVEN)
        below = min(1 - threshold(1 - p, ~there, WANTED), 1 - EVEN)
        p, there, whose = _region(others, index, heat["coverage"])
        yes, no = (p >= above) & (above < 1), (p <= below) & (below > 0)
        found[region.value] = {
            "above": above,
            "below": round(below, 6),
            "covered": stated(there[yes], whose[yes], len(p)),
            "not_covered": stated(~there[no], whose[no], len(p)),
        }
    return found


def _region(
    half: Half, index: int, heat: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    seen = half.truth.scan[:, index] >= 0
    p = torch.sigmoid(half.heads.cells[seen, 0, index].double() / heat)
    there = half.truth.scan[seen, index] > 0.5
    return p.numpy(), there.numpy(), half.patients.of[seen.numpy()]


def usual(
    features: torch.Tensor, real: torch.Tensor, patients: Sequence[str] = ()
) -> dict[str, Any]:
    """Return what known scans look like, for `radnet.inference.strangeness`.

    Parameters
    ----------
    features
        (N, C) of held-out scans: those of every second patient give the axes, the others the
        threshold.
    real
        (M, C) of further real scans, in the axes alone; M may be 0.
    patients : sequence of str
        Whose each scan is; '' or empty: every scan is the only one of its patient.

    Returns
    -------
    dict of str to Any
        Ready for JSON: axes, and the bound above which a scan is strange.
    """
    first = patients_of(patients or [""] * len(features)).of % 2 == 0
    rows = features.double().numpy()[first]
    weight = np.full(len(rows), 1 / len(rows))
    if len(real):
        rows = np.concatenate([rows, real.double().numpy()])
        weight = np.concatenate(
            [weight * (1 - REAL_WEIGHT), np.full(len(real), REAL_WEIGHT / len(real))]
        )
    _, sizes, axes = np.linalg.svd(rows * np.sqrt(weight)[:, None], full_matrices=False)
    axes = axes[sizes > NOTHING * sizes[0]]  # the rest is spanned by no scan
    axes = np.round(axes[:AXES], 5)
    others = np.sort(outside(features.numpy()[~first], axes))
    last = min(len(others), int(np.ceil((len(others) + 1) * USUAL)))  # split conformal
    return {
        "axes": axes.tolist(),
        "above": round(float(others[last - 1]), 4),
        "share": USUAL,
        "chosen_on": f"{int(first.sum())} held-out and {len(real)} real scans",
        "stated_on": f"{len(others)} other held-out scans",
    }


def scores(heads: Heads, truth: SampleBatch) -> dict[str, float]:
    """Return the share of right answers per head, over the samples whose truth is known.

    A head or region of which `truth` knows nothing has none.

    Parameters
    ----------
    heads : Heads
        Logits of N scans.
    truth : SampleBatch
        Of the same scans; -1 or NaN where it is not known.

    Returns
    -------
    dict of str to float
        0 to 1, by head.
    """
    result = {}
    for name in CLASS_HEADS:
        logits, target = getattr(heads, name), getattr(truth, name)
        right = logits.argmax(dim=1) == target
        if (target >= 0).any():
            result[name] = float(right[target >= 0].float().mean())
    said = heads.cells[:, 0] > 0
    right = (said == (truth.scan > 0.5)) | (truth.scan < 0)
    for index, region in enumerate(Region):
        seen = truth.scan[:, index] >= 0
        if seen.any():
            result[region.value] = float(right[seen, index].float().mean())
    some = (truth.scan >= 0).any(dim=1)
    if some.any():
        result["coverage exact"] = float(right[some].all(dim=1).float().mean())
    return result
