"""Train the classifier; reads from top to bottom."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from radnet.datasets.balance import EVEN, Balance
from radnet.datasets.batches import REAL_SHARE, HeldSamples, Pool, batches
from radnet.datasets.heads import head_samples
from radnet.datasets.loading import ahead
from radnet.datasets.samples import (
    Sample,
    SampleBatch,
    collate,
    known,
    phantom_samples,
)
from radnet.datasets.seen_by_eye import UNKNOWN
from radnet.evaluation.intervals import patient_mean
from radnet.network.build import classifier_network
from radnet.network.heads import Heads, RadNet, WithFeatures, scan_coverage, split
from radnet.network.layout2020 import RadNet2020
from radnet.network.medicalnet import MEDICALNET_SUFFIXES, fill_encoder
from radnet.network.weights import fill, load_weights
from radnet.training.loop import Hooks, Progress, optimise
from radnet.training.ranks import here

Batches = Callable[[int], Iterator[SampleBatch]]
HEADS: Final = 0.35  # for each phantom, where there are tissue maps to make them of
ARCHIVE_SHARE: Final = 0.8  # real series of a batch, where there is an archive
HELD_OUT_SEED: Final = 900_000_000
LEARNED_SEED: Final = 1_500_000  # half a million beside every seed of phantoms that are held out


@dataclass(frozen=True)
class ClassifierPlan:
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
    sources: Mapping[str, str] = field(default_factory=dict)  # fingerprints by option
    header_labels: bool = False  # no slices of phantoms, of which no header tells


def masked_loss(heads: Heads, batch: SampleBatch, weigh: Balance = EVEN) -> Tensor:
    """Return the sum of the losses of the heads, each over the samples whose truth is known.

    Parameters
    ----------
    weigh
        What each class counts.
    """
    sequence = functional.cross_entropy(
        heads.sequence, batch.sequence.clamp(min=0), weigh.sequence,
        reduction="none", label_smoothing=0.02,
    )  # fmt: skip
    plane = functional.cross_entropy(
        heads.plane, batch.plane.clamp(min=0), weigh.plane, reduction="none"
    )
    contrast = functional.cross_entropy(
        heads.contrast, batch.contrast.clamp(min=0), weigh.contrast,
        reduction="none", label_smoothing=0.05,
    )  # fmt: skip
    scan = functional.binary_cross_entropy_with_logits(
        scan_coverage(heads.cells, batch.shown), batch.scan.clamp(min=0), reduction="none",
        pos_weight=weigh.covered,
    )  # fmt: skip
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


def batch_loss(net: nn.Module, batch: SampleBatch, half: bool, weigh: Balance = EVEN) -> Tensor:
    """Return the loss of one batch, in bf16 where `half`."""
    device = next(net.parameters()).device
    batch = SampleBatch(*(getattr(batch, part.name).to(device) for part in fields(batch)))
    stack = batch.stack.contiguous(memory_format=torch.channels_last_3d)
    with torch.autocast(device.type, torch.bfloat16, enabled=half):
        scan, cells = net(stack)
    return masked_loss(split(scan.float(), cells.float()), batch, weigh.to(device))


def train(
    net: RadNet | RadNet2020,
    data: Batches,
    plan: ClassifierPlan,
    checkpoint: Path | None = None,
    weigh: Balance = EVEN,
    watched: Sequence[Sample] = (),
) -> Iterator[Progress]:
    """Train `net` as planned; yield after every step.

    Parameters
    ----------
    watched
        Development scans: the weights are kept that cost least on them.
    """
    hooks = Hooks(cost_of=partial(cost, watched) if watched else None)
    return optimise(net, data, partial(batch_loss, weigh=weigh), plan, checkpoint, hooks)


@torch.inference_mode()
def cost(watched: Sequence[Sample], net: nn.Module) -> float:
    """Return the mean loss of `net` on scans, each patient as much as another.

    Parameters
    ----------
    watched
        At least one.
    net
        Left in ``eval()``.

    Returns
    -------
    float
    """
    net.eval()
    losses = [float(batch_loss(net, collate([one]), half=False)) for one in watched]
    return patient_mean(losses, [one.patient for one in watched])


def predict(net: RadNet | RadNet2020, samples: Iterable[Sample]) -> tuple[Heads, SampleBatch]:
    """Return what `net` says of `samples` one by one, cells as the scan's maximum, and truth."""
    heads, truth, _ = look(net, samples)
    return heads, truth


@torch.inference_mode()
def look(net: RadNet | RadNet2020, samples: Iterable[Sample]) -> tuple[Heads, SampleBatch, Tensor]:
    """Return what `predict` returns, and the features of every sample, (N, C)."""
    described = WithFeatures(net).eval()
    device = next(net.parameters()).device
    said, truth, features = [], [], []
    for sample in samples:
        batch = collate([sample])
        scan, cells, seen = described(batch.stack.to(device))
        heads = split(scan.cpu(), cells.cpu())
        said.append((heads, scan_coverage(heads.cells, batch.shown)))
        features.append(seen.cpu())
        truth.append(batch)
    heads = Heads(
        torch.cat([h.sequence for h, _ in said]),
        torch.cat([h.plane for h, _ in said]),
        torch.cat([h.contrast for h, _ in said]),
        torch.cat([h.log_spacing for h, _ in said]),
        torch.cat([scan for _, scan in said])[:, None],
    )
    batch = SampleBatch(
        torch.zeros(0),
        torch.cat([b.sequence for b in truth]),
        torch.cat([b.plane for b in truth]),
        torch.cat([b.contrast for b in truth]),
        torch.cat([b.log_spacing for b in truth]),
        torch.cat([b.scan for b in truth]),
        torch.zeros(0),
        torch.cat([b.shown for b in truth]),
    )
    return heads, batch, torch.cat(features)


def start(
    plan: ClassifierPlan,
    weights: Path | None = None,
    real: Pool | None = None,
    anatomy: Path | None = None,
) -> tuple[RadNet | RadNet2020, Batches]:
    """Return the network and its endless batches of phantoms and real scans.

    Parameters
    ----------
    weights
        A classifier to go on from, or MedicalNet's encoder (``.pth``); a fresh network without.
    real
        A handful of real scans in memory, or prepared series of a manifest.
    anatomy
        Folder of tissue maps: heads that are computed from them stand beside the phantoms.

    Raises
    ------
    DataError
        If `anatomy` holds no tissue maps.
    WeightsError
        If `weights` are not a classifier's, or of another preset.
    """
    torch.manual_seed(plan.seed)
    net = classifier_network(plan.preset)
    if weights and weights.suffix in MEDICALNET_SUFFIXES:
        fill_encoder(net.encoder, weights)
    elif weights:
        fill(net, load_weights(weights, "classifier"), weights.name)
    seed = here().seed(plan.seed)
    first_seed = 1_000_000 * seed + LEARNED_SEED
    drawn = phantom_samples(plan.phantoms, seed=first_seed)
    if anatomy:
        drawn += head_samples(anatomy, max(1, round(HEADS * plan.phantoms)), first_seed)
    phantoms = HeldSamples([by_header(one) for one in drawn] if plan.header_labels else drawn)
    real = real or HeldSamples([])
    share = REAL_SHARE if isinstance(real, HeldSamples) else ARCHIVE_SHARE

    def following(first: int) -> Iterator[SampleBatch]:
        return ahead(batches(phantoms, real, plan.batch, seed, first=first, real_share=share))

    return net, following


def by_header(sample: Sample) -> Sample:
    """Return a sample with what a header tells of it: of its slices only what they do not show."""
    slices = np.full_like(sample.slices, UNKNOWN)
    slices[:, sample.scan == 0] = 0
    return replace(sample, slices=slices)


def held_out_phantoms(plan: ClassifierPlan) -> list[Sample]:
    """Return the phantoms that no training sees."""
    return phantom_samples(plan.held_out, seed=HELD_OUT_SEED)
