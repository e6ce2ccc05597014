"""A process that makes one model of weights, compares it with torch, and keeps it.

It alone needs torch; whoever serves starts it (`radnet.inference.models`) and loads what it kept.
On stdout it says how far it is, a JSON object a line: ``{"done": 0.25}``; at its end, where it
made nothing, ``{"error": ..., "kind": ...}``. It ends when its stdin does: then nobody waits.
"""

import json
import os
import sys
import threading
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock

from radnet.errors import RadnetError, WeightsError
from radnet.inference import kept
from radnet.inference.conversion import converted, served_network, side_of
from radnet.inference.gates import CASES, ExportGate, compared, distances, stacks, torch_run
from radnet.inference.runtime import (
    Hardware,
    OpenVinoRuntime,
    best_precision,
    openvino,
    read_model,
)
from radnet.inference.served import Task
from radnet.network.weights import Weights, load_weights
from radnet.network.weights_file import read_weights_file


def make(folder: Path, weights: Path, model: kept.Wanted, precision: Hardware) -> None:
    """Make a model, compare it and keep it, unless another process just has.

    Parameters
    ----------
    precision
        In which it is to run; it is compared in f32 and in what this processor has besides.

    Raises
    ------
    OSError
        If it cannot be kept.
    WeightsError
        If the weights cannot be used, or are not those that were wanted.
    """
    with FileLock(folder / kept.LOCK, mode=0o600, fallback_to_soft=False):
        if kept.find(folder, model, precision) is not None:
            return
        trained = load_weights(weights, model.task)
        if read_weights_file(weights, model.task).tensors_digest != model.tensors_sha256:
            raise WeightsError(f"{weights.name}: another file meanwhile; try again")
        precisions = compared("bf16" if "bf16" in (precision, best_precision()) else "f32")
        with kept.draft(folder) as place:
            gates = compare(model.task, trained, weights.name, precisions, place)
            kept.keep(place, model, [asdict(one) for one in gates], refusals(gates))
        kept.remove_unused(folder)


def refusals(gates: list[ExportGate]) -> dict[str, str]:
    """Return by precision what speaks against it; what speaks against f32 does against all."""
    found = {one.precision: one.refusal() or "" for one in gates}
    return {name: found["f32"] or reason for name, reason in found.items()}


def compare(
    task: Task, trained: Weights, name: str, precisions: tuple[Hardware, ...], place: Path
) -> list[ExportGate]:
    """Write a model, and return how far it is from torch as it is read again and run."""
    net = served_network(task, trained, name)
    model = converted(net, side_of(task))
    openvino().save_model(model, place / kept.PARTS[0], compress_to_fp16=False)
    description, constants = ((place / part).read_bytes() for part in kept.PARTS)
    runs = {one: OpenVinoRuntime(read_model(description, constants), one) for one in precisions}
    cases = CASES[task]
    progress = _Progress(cases * (1 + len(runs)))
    drawn = stacks(task, cases, progress.tick)
    return distances(task, torch_run(net), runs, drawn, progress.tick)


class _Progress:
    """Says how much is done of so many steps."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._done = 0

    def tick(self) -> None:
        self._done += 1
        say({"done": self._done / self._steps})


def say(what: dict[str, Any]) -> None:
    """Tell whoever started this process."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    """End at once when stdin does: whoever started this process is gone."""

    def wait() -> None:
        while os.read(0, 1024):
            pass
        os._exit(1)

    threading.Thread(target=wait, name="parent watch", daemon=True).start()


def main() -> None:
    """Make what is asked for: folder, weights, what the model is made of as JSON, precision."""
    _end_with_parent()
    warnings.simplefilter("ignore")  # of torch and OpenVINO about themselves
    folder, weights, made_of, precision = sys.argv[1:]
    try:
        model = kept.Wanted(**json.loads(made_of))
        make(Path(folder), Path(weights), model, "bf16" if precision == "bf16" else "f32")
    except RadnetError as error:
        say({"error": str(error), "kind": type(error).__name__})
        raise SystemExit(1) from None
    except OSError as error:
        say({"error": str(kept.not_usable(Path(folder), error)), "kind": "RadnetError"})
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
