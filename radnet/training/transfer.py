"""Train the liver network under the classifier's encoder; reads from top to bottom."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from radnet.datasets.liver_cases import Case, phantom_cases
from radnet.datasets.liver_patches import Patches, patches
from radnet.datasets.loading import ahead
from radnet.errors import WeightsError
from radnet.evaluation import liver_score
from radnet.network.build import liver_network
from radnet.network.decoder import LiverNet
from radnet.network.encoder import hold_frozen
from radnet.network.layout2020 import LiverNet2020
from radnet.network.medicalnet import MEDICALNET_SUFFIXES, fill_encoder
from radnet.network.weights import fill, load_weights
from radnet.network.weights_file import task_of
from radnet.training.loop import Hooks, Progress, optimise
from radnet.training.ranks import here

Batches = Callable[[int], Iterator[Patches]]
LEARNED_SEED: Final = 2_500_000  # half a million beside every seed of phantoms that are held out


@dataclass(frozen=True)
class LiverPlan:
    """How to train."""

    preset: str
    minutes: float
    seed: int
    steps: int = 0  # 0: by the clock
    phantoms: int = 48
    batch: int = 2
    rate: float = 1e-3
    decay: float = 1e-3
    freeze: str = "none"
    roles: frozenset[str] = frozenset({"train"})
    sources: Mapping[str, str] = field(default_factory=dict)  # fingerprints by option


def transfer(net: LiverNet | LiverNet2020, path: Path) -> None:
    """Put the encoder of trained classifier weights into `net`, or all of a liver network's.

    Raises
    ------
    WeightsError
        If they are neither, or of another preset.
    """
    if task_of(path) == "liver":
        fill(net, load_weights(path, "liver"), path.name)
        return
    weights = load_weights(path, "classifier")
    prefix = "encoder."
    state = {
        name.removeprefix(prefix): tensor
        for name, tensor in weights.state.items()
        if name.startswith(prefix)
    }
    try:
        net.encoder.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(f"{path.name}: another preset's encoder: {error}") from error


def liver_loss(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Return cross-entropy plus one minus Dice, both over the known voxels alone."""
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    entropy = (entropy * known).sum() / known.sum().clamp(min=1)
    said = torch.sigmoid(logits) * known
    target = target * known
    both = (said * target).sum()
    dice = (2 * both + 1) / (said.sum() + target.sum() + 1)
    return entropy + 1 - dice


def batch_loss(net: nn.Module, batch: Patches, half: bool) -> Tensor:
    """Return the loss of one batch, in bf16 where `half`."""
    device = next(net.parameters()).device
    stack = batch.stack.to(device).contiguous(memory_format=torch.channels_last_3d)
    with torch.autocast(device.type, torch.bfloat16, enabled=half):
        logits = net(stack)
    return liver_loss(logits.float(), batch.liver.to(device), batch.known.to(device))


def train(
    net: LiverNet | LiverNet2020,
    data: Batches,
    plan: LiverPlan,
    checkpoint: Path | None = None,
    watched: Sequence[Case] = (),
) -> Iterator[Progress]:
    """Train `net` as planned; yield after every step.

    Parameters
    ----------
    watched
        Development cases: the weights are kept that cost least on them.
    """

    def hold() -> None:
        hold_frozen(net.encoder, plan.freeze)

    cost_of = partial(liver_score.cost, watched) if watched else None
    return optimise(net, data, batch_loss, plan, checkpoint, Hooks(hold, cost_of))


def start(
    plan: LiverPlan, real: list[Case], weights: Path | None
) -> tuple[LiverNet | LiverNet2020, Batches]:
    """Return the network, begun from `weights`, and its endless batches.

    Parameters
    ----------
    real
        The cases to learn from, beside phantoms.
    weights
        A classifier, a liver network, or MedicalNet's encoder (``.pth``).
    """
    torch.manual_seed(plan.seed)
    net = liver_network(plan.preset)
    if weights and weights.suffix in MEDICALNET_SUFFIXES:
        fill_encoder(net.encoder, weights)
    elif weights:
        transfer(net, weights)
    seed = here().seed(plan.seed)
    phantoms = phantom_cases(plan.phantoms, seed=2_000_000 * seed + LEARNED_SEED)

    def following(first: int) -> Iterator[Patches]:
        return ahead(patches(real, phantoms, plan.batch, seed, first=first))

    return net, following
