"""From held-out scans: how sure a head must be to be right, and what is strange.

Temperature per head (Guo et al. 2017), a threshold with its stated coverage, and the energy of
the sequence logits (Liu et al. 2020) as the score of what the network never saw.
"""

from typing import Final

import torch
from torch.nn import functional

from radnet.labels.vocabulary import Region
from radnet.network.heads import Heads
from radnet.training.classify import known
from radnet.training.samples import Batch

WANTED: Final = 0.95  # share of the answers that must be right


def temperatures(heads: Heads, truth: Batch) -> dict[str, float]:
    """Return the temperature of every head that makes its probabilities fit `truth` best."""
    tries = torch.logspace(-0.7, 0.9, 60)
    found = {}
    for name in ("sequence", "plane", "contrast"):
        logits, target = getattr(heads, name), getattr(truth, name)
        logits, target = logits[target >= 0], target[target >= 0]
        losses = torch.stack([functional.cross_entropy(logits / t, target) for t in tries])
        found[name] = float(tries[int(losses.argmin())])
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


def abstention(
    heads: Heads, truth: Batch, heat: dict[str, float], wanted: float = WANTED
) -> dict[str, dict[str, float]]:
    """Return per head from which probability on its answers are right often enough.

    Returns
    -------
    dict
        Head to ``above``, the least such probability; ``answered``, the share of the samples
        that reach it; ``right``, the share of those that are right. Where no probability is
        enough, ``above`` is 1 and nothing is answered.
    """
    found = {}
    for name in ("sequence", "plane", "contrast"):
        logits, target = getattr(heads, name), getattr(truth, name)
        logits, target = logits[target >= 0] / heat[name], target[target >= 0]
        sure, said = logits.softmax(dim=1).max(dim=1)
        order = sure.argsort(descending=True)
        right = (said == target)[order].float().cumsum(0) / torch.arange(1, len(order) + 1)
        ends = torch.ones(len(order), dtype=torch.bool)  # of a run of equal probabilities
        ends[:-1] = sure[order][:-1] > sure[order][1:]
        enough = torch.nonzero((right >= wanted) & ends).flatten()
        last = int(enough[-1]) if len(enough) else -1
        found[name] = {
            "above": round(float(sure[order[last]]), 4) if last >= 0 else 1.0,
            "answered": round((last + 1) / max(1, len(order)), 4),
            "right": round(float(right[last]), 4) if last >= 0 else 0.0,
        }
    return found


def usual_energy(heads: Heads, share: float = 0.99) -> float:
    """Return the energy that `share` of known scans stay below: what lies above is strange."""
    return float(torch.quantile(-heads.sequence.logsumexp(dim=1), share))


def scores(heads: Heads, truth: Batch) -> dict[str, float]:
    """Return the share of right answers per head, over the samples whose truth is known."""
    result = {}
    for name in ("sequence", "plane", "contrast"):
        logits, target = getattr(heads, name), getattr(truth, name)
        right = logits.argmax(dim=1) == target
        result[name] = float(right[target >= 0].float().mean())
    said = heads.cells[:, 0] > 0
    right = (said == (truth.scan > 0.5)) | (truth.scan < 0)
    for index, region in enumerate(Region):
        seen = truth.scan[:, index] >= 0
        result[region.value] = float(right[seen, index].float().mean())
    result["coverage exact"] = float(right.all(dim=1).float().mean())
    return result
