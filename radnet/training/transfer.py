"""Train the liver network under the classifier's encoder; reads from top to bottom."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from radnet.errors import WeightsError
from radnet.network.decoder import LiverNet
from radnet.network.encoder import hold_frozen
from radnet.network.presets import preset
from radnet.network.weights import load_weights
from radnet.training.classify import Progress
from radnet.training.liver_cases import Patches, patches, phantom_cases, real_cases
from radnet.training.loading import ahead
from radnet.training.soundness import bf16_gradients_sound, finite


@dataclass(frozen=True)
class Plan:
    """How to train."""

    preset: str
    minutes: float
    seed: int
    phantoms: int = 48
    batch: int = 2
    rate: float = 1e-3
    decay: float = 1e-3
    freeze: str = "none"


def transfer(net: LiverNet, classifier: Path) -> None:
    """Put the encoder of trained classifier weights into `net`.

    Raises
    ------
    WeightsError
        If they are not a classifier's, or of another preset.
    """
    weights = load_weights(classifier, "classifier")
    prefix = "encoder."
    state = {
        name.removeprefix(prefix): tensor
        for name, tensor in weights.state.items()
        if name.startswith(prefix)
    }
    try:
        net.encoder.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(f"{classifier.name}: another preset's encoder: {error}") from error


def liver_loss(logits: Tensor, target: Tensor, scanned: Tensor) -> Tensor:
    """Return cross-entropy plus one minus Dice, both over the scanned voxels alone."""
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    entropy = (entropy * scanned).sum() / scanned.sum().clamp(min=1)
    said = torch.sigmoid(logits) * scanned
    target = target * scanned
    both = (said * target).sum()
    dice = (2 * both + 1) / (said.sum() + target.sum() + 1)
    return entropy + 1 - dice


def train(net: LiverNet, data: Iterator[Patches], plan: Plan) -> Iterator[Progress]:
    """Train `net` for the minutes of `plan`; yield after every step."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=plan.rate, weight_decay=plan.decay)
    net.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    half = bf16_gradients_sound()
    start, step, skipped = time.monotonic(), 0, 0
    while (share := (time.monotonic() - start) / (60 * plan.minutes)) < 1:
        batch = next(data)
        for group in optimizer.param_groups:
            group["lr"] = plan.rate * min(1.0, (step + 1) / 50) * (1 - share) ** 0.9
        net.train()
        hold_frozen(net.encoder, plan.freeze)
        stack = batch.stack.contiguous(memory_format=torch.channels_last_3d)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits = net(stack)
        loss = liver_loss(logits.float(), batch.liver, batch.scanned)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if finite(net):
            nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimizer.step()
        else:
            skipped += 1
        step += 1
        yield Progress(step, share, float(loss.detach()), skipped)


def start(
    plan: Plan, data: Path | None, classifier: Path | None
) -> tuple[LiverNet, Iterator[Patches]]:
    """Return the network, its encoder transferred, and its endless batches."""
    torch.manual_seed(plan.seed)
    net = LiverNet(preset(plan.preset))
    if classifier:
        transfer(net, classifier)
    phantoms = phantom_cases(plan.phantoms, seed=2_000_000 * (plan.seed + 1))
    real = real_cases(data, "train") if data else []
    return net, ahead(patches(real, phantoms, plan.batch, plan.seed))


def dice(said: np.ndarray, truth: np.ndarray) -> float:
    """Return the Dice coefficient of two masks; 1 when both are empty."""
    total = int(said.sum()) + int(truth.sum())
    return 2 * int((said & truth).sum()) / total if total else 1.0
