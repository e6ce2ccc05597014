"""Train the classifier; reads from top to bottom."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from radnet.labels.vocabulary import Region
from radnet.network.heads import Heads, RadNet, scan_coverage, split
from radnet.network.presets import preset
from radnet.network.weights import fill, load_weights
from radnet.training.loading import ahead
from radnet.training.loop import Progress, optimise
from radnet.training.samples import (
    Batch,
    Sample,
    batches,
    collate,
    phantom_samples,
    real_samples,
)

Batches = Callable[[int], Iterator[Batch]]


WANTED: Final = 0.95  # share of the answers that must be right


@dataclass(frozen=True)
class Plan:
    """How to train."""

    preset: str
    minutes: float
    seed: int
    steps: int = 0  # 0: by the clock
    phantoms: int = 1400
    held_out: int = 300
    batch: int = 6
    rate: float = 2e-3
    decay: float = 0.02


def known(loss: Tensor, target: Tensor) -> Tensor:
    """Return the mean of `loss` where `target` is known; zero when nothing is."""
    mask = (target >= 0).to(loss.dtype)
    return (loss * mask).sum() / mask.sum().clamp(min=1)


def masked_loss(heads: Heads, batch: Batch) -> Tensor:
    """Return the sum of the losses of the heads, each over the samples whose truth is known."""
    sequence = functional.cross_entropy(
        heads.sequence, batch.sequence.clamp(min=0), reduction="none", label_smoothing=0.02
    )
    plane = functional.cross_entropy(heads.plane, batch.plane.clamp(min=0), reduction="none")
    contrast = functional.cross_entropy(
        heads.contrast, batch.contrast.clamp(min=0), reduction="none", label_smoothing=0.05
    )
    scan = functional.binary_cross_entropy_with_logits(
        scan_coverage(heads.cells), batch.scan.clamp(min=0), reduction="none"
    )
    cells = functional.binary_cross_entropy_with_logits(
        heads.cells, batch.cells.clamp(min=0), reduction="none"
    )
    spacing = functional.smooth_l1_loss(heads.log_spacing, batch.log_spacing)
    return (
        known(sequence, batch.sequence)
        + known(plane, batch.plane)
        + known(contrast, batch.contrast)
        + 2 * known(scan, batch.scan)
        + 2 * known(cells, batch.cells)
        + 0.1 * spacing
    )


def batch_loss(net: nn.Module, batch: Batch, half: bool) -> Tensor:
    """Return the loss of one batch, in bf16 where `half`."""
    device = next(net.parameters()).device
    batch = Batch(*(getattr(batch, part.name).to(device) for part in fields(batch)))
    stack = batch.stack.contiguous(memory_format=torch.channels_last_3d)
    with torch.autocast(device.type, torch.bfloat16, enabled=half):
        scan, cells = net(stack)
    return masked_loss(split(scan.float(), cells.float()), batch)


def train(
    net: RadNet, data: Batches, plan: Plan, checkpoint: Path | None = None
) -> Iterator[Progress]:
    """Train `net` as planned; yield after every step."""
    return optimise(net, data, batch_loss, plan, checkpoint)


@torch.inference_mode()
def predict(net: RadNet, samples: list[Sample]) -> tuple[Heads, Batch]:
    """Return what `net` says of `samples` one by one, cells as the scan's maximum, and truth."""
    net.eval()
    said, truth = [], []
    for sample in samples:
        batch = collate([sample])
        heads = split(*net(batch.stack))
        said.append((heads, scan_coverage(heads.cells)))
        truth.append(batch)
    heads = Heads(
        torch.cat([h.sequence for h, _ in said]),
        torch.cat([h.plane for h, _ in said]),
        torch.cat([h.contrast for h, _ in said]),
        torch.cat([h.log_spacing for h, _ in said]),
        torch.cat([scan for _, scan in said])[:, None],
    )
    batch = Batch(
        torch.zeros(0),
        torch.cat([b.sequence for b in truth]),
        torch.cat([b.plane for b in truth]),
        torch.cat([b.contrast for b in truth]),
        torch.cat([b.log_spacing for b in truth]),
        torch.cat([b.scan for b in truth]),
        torch.zeros(0),
    )
    return heads, batch


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


def start(
    plan: Plan, data: Path | None, weights: Path | None = None
) -> tuple[RadNet, Batches, list[Sample]]:
    """Return the network, its endless batches and the phantoms held out for calibration.

    The network is fresh, or goes on from the classifier in `weights`.

    Raises
    ------
    WeightsError
        If `weights` are not a classifier's, or of another preset.
    """
    torch.manual_seed(plan.seed)
    net = RadNet(preset(plan.preset))
    if weights:
        fill(net, load_weights(weights, "classifier"), weights.name)
    phantoms = phantom_samples(plan.phantoms, seed=1_000_000 * (plan.seed + 1))
    held_out = phantom_samples(plan.held_out, seed=900_000_000)
    real = real_samples(data) if data else []

    def following(first: int) -> Iterator[Batch]:
        return ahead(batches(phantoms, real, plan.batch, plan.seed, first=first))

    return net, following, held_out
