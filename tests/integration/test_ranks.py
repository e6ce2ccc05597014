"""Training by `torchrun`: ranks hold the same weights, and a kill -9 costs nothing."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.distributed.run import get_args_parser

from radnet.datasets.batches import HeldSamples, batches
from radnet.datasets.samples import phantom_sample
from radnet.network.heads import RadNet
from radnet.training import classify
from radnet.training.loop import LARGEST_GRADIENT, POWER, WARM_UP
from radnet.training.ranks import SEED_STEP
from tests.small_training import SMALL

STEPS = 4
SEED = 3
# What each rank runs: a few steps on two phantoms, a checkpoint after every step; then every
# rank writes what it holds.
WORK = f"""
import os
import sys
import time
from itertools import islice
from pathlib import Path
import torch
from safetensors.torch import save_file
from radnet.network.heads import RadNet
from radnet.network.presets import Preset
from radnet.training import arithmetic, classify, loop
from radnet.datasets.batches import HeldSamples, batches
from radnet.training.ranks import joined
from radnet.datasets.samples import phantom_sample

SMALL = {SMALL!r}
folder, slow = Path(sys.argv[1]), float(sys.argv[2])
loop.CHECKPOINT_S = 0.0
arithmetic.of_this_machine = lambda: arithmetic.Arithmetic("f32", "to be compared")
with joined() as rank:
    torch.set_num_threads(1)
    torch.manual_seed(SEED := {SEED} + 100 * rank.number)  # rank 0's weights are to win
    net = RadNet(SMALL)
    plan = classify.ClassifierPlan(SMALL.name, minutes=0, seed={SEED}, steps={STEPS}, batch=2)
    pool = HeldSamples([phantom_sample(seed) for seed in (4, 5)])
    def following(first):
        return batches(pool, HeldSamples([]), plan.batch, rank.seed(plan.seed), first=first)
    for progress in classify.train(net, following, plan, folder / "c.checkpoint"):
        print(f"step {{progress.step}}", flush=True)
        if slow and progress.step == 2:
            print(f"waiting {{os.getpid()}}", flush=True)
            time.sleep(slow)
    tensors = {{name: tensor.contiguous() for name, tensor in net.state_dict().items()}}
    save_file(tensors, folder / f"rank{{rank.number}}.safetensors")
"""


def started(folder: Path, slow: float = 0) -> subprocess.Popen[str]:
    """Start two ranks."""
    script = folder / "work.py"
    script.write_text(WORK, encoding="utf-8")
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        str(script), str(folder), str(slow),
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=environment,
    )  # fmt: skip


def expected() -> dict[str, torch.Tensor]:
    """Return the weights that two ranks must come to, computed by one process step by step.

    The gradients of both ranks' batches from the same weights, averaged; in the end the mean of
    the weights after each of so few steps. The running statistics of batch normalisation are
    rank 0's.
    """
    torch.manual_seed(SEED)
    net = RadNet(SMALL)
    net.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    plan = classify.ClassifierPlan(SMALL.name, minutes=0, seed=SEED, steps=STEPS, batch=2)
    pool = HeldSamples([phantom_sample(seed) for seed in (4, 5)])
    streams = [
        batches(pool, HeldSamples([]), plan.batch, plan.seed + SEED_STEP * rank) for rank in (0, 1)
    ]
    optimizer = torch.optim.AdamW(net.parameters(), lr=plan.rate, weight_decay=plan.decay)
    after: list[dict[str, torch.Tensor]] = []
    for step in range(STEPS):
        rate = plan.rate * min(1.0, (step + 1) / WARM_UP) * (1 - step / STEPS) ** POWER
        for group in optimizer.param_groups:
            group["lr"] = rate
        net.train()
        before = {name: tensor.clone() for name, tensor in net.named_buffers()}
        optimizer.zero_grad(set_to_none=True)
        statistics: dict[str, torch.Tensor] = {}
        for rank, stream in enumerate(streams):
            for name, buffer in net.named_buffers():
                buffer.copy_(before[name])
            torch.manual_seed((SEED + SEED_STEP * rank) * 1_000_003 + step)
            (classify.batch_loss(net, next(stream), half=False) / 2).backward()
            if rank == 0:
                statistics = {name: tensor.clone() for name, tensor in net.named_buffers()}
        for name, buffer in net.named_buffers():
            buffer.copy_(statistics[name])
        nn.utils.clip_grad_norm_(net.parameters(), LARGEST_GRADIENT)
        optimizer.step()
        after.append({name: value.detach().clone() for name, value in net.named_parameters()})
    return {name: torch.stack([one[name] for one in after]).mean(dim=0) for name in after[0]}


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Add in the order in which a rank adds."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_torchrun_takes_the_readmes_words_and_ours_behind_them() -> None:
    """Without the two dashes it takes --start for an abbreviation of an option of its own."""
    readme = Path(__file__).parents[2] / "radnet" / "README.md"
    (words,) = re.findall(r"`torchrun (.*?) \.\.\.`", readme.read_text(encoding="utf-8"))

    read = get_args_parser().parse_args([*words.split(), "liver", "--start", "w.safetensors"])

    assert (read.nproc_per_node, read.training_script) == ("4", "radnet")
    assert read.training_script_args == ["train", "liver", "--start", "w.safetensors"]


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_two_ranks_train_one_network_also_across_a_kill(tmp_path: Path) -> None:
    """Killed and started again, both ranks hold what one process computes."""
    killed = started(tmp_path, slow=600)
    worker = int(wait_for(killed, "waiting").split()[-1])
    os.kill(worker, signal.SIGKILL)  # torchrun ends the other
    killed.communicate(timeout=120)
    assert killed.returncode != 0
    stands = torch.load(tmp_path / "c.checkpoint", weights_only=True)
    assert stands["state"]["step"] >= 1
    assert not list(tmp_path.glob("rank*"))

    resumed = started(tmp_path)
    output, _ = resumed.communicate(timeout=300)

    assert resumed.returncode == 0, output
    assert f"step {STEPS}" in output
    assert "step 1\n" not in output
    first, second = (load_file(tmp_path / f"rank{number}.safetensors") for number in (0, 1))
    truth: Any = expected()
    names = [name for name, _ in RadNet(SMALL).named_parameters()]
    for name in names:
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], truth[name], rtol=1e-4, atol=2e-5, msg=name)


def wait_for(process: subprocess.Popen[str], word: str) -> str:
    """Return the first line that says `word`."""
    assert process.stdout is not None
    told = []
    limit = time.monotonic() + 300
    for line in process.stdout:
        told.append(line)
        if word in line:
            return line
        assert time.monotonic() < limit, "".join(told)
    raise AssertionError(f"ended without {word!r}: {''.join(told)}")
