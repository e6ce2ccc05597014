"""Networks for other runtimes: ONNX and OpenVINO IR, each through a gate before it is kept.

The gates compare with torch in fp32 on phantoms: no fp32 logit further off than 1e-4 and not one
decision changed; bf16 at most 0.5 % of the decisions changed and masks of Dice 0.995. Measured:
logits of the shipped networks differ by up to 8e-6 (classifier) and 3.1e-5 (liver; 8.4e-5 of its
twin). The latter is OpenVINO's rounding (8.5e-5 from float64, torch 1.5e-5), in the empty corners
of a scan, where logits are about -7; there is little room below 1e-4.
"""

import json
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from radnet.errors import RadnetError, UsageError
from radnet.inference.preparation import (
    CLASSIFIER_SIDE,
    CLASSIFIER_SPACING_MM,
    LIVER_SPACING_MM,
    LIVER_WINDOW,
    Array,
    axial,
    classifier_input,
)
from radnet.inference.runtime import Precision, best_precision
from radnet.inference.segmenter import liver_window
from radnet.labels.vocabulary import Plane, Sequence
from radnet.network.build import classifier_network, liver_network
from radnet.network.heads import HEAD_SIZES
from radnet.network.weights import fill, load_weights
from radnet.phantom.acquisition import take
from radnet.phantom.protocols import random_scan

Task = Literal["classifier", "liver"]
LEAST_LIVER: Final = 8000  # voxels of 25 mm3 in a case of the liver: 200 mL
LOGIT_TOLERANCE: Final = 1e-4
MOST_CHANGED: Final = {"f32": 0.0, "bf16": 0.005}
LEAST_DICE: Final = {"f32": 1.0, "bf16": 0.995}
CASES: Final = {"classifier": 24, "liver": 12}  # 288 decisions: one of them is 0.35 %
SEED: Final = 70_000_000
EXAMPLE_SLICES: Final = 48

Run = Callable[[Array], list[Array]]


class GateRefusedError(RadnetError):
    """An exported network does not say what the trained one says."""


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


def stacks(task: Task, count: int) -> list[Array]:
    """Return phantoms as the network of a task sees them, (1, 1, Z, Y, X)."""
    found: list[Array] = []
    seed = SEED
    while len(found) < count:
        seed += 1
        rng = np.random.default_rng(seed)
        liver = task == "liver"
        body, wanted = random_scan(rng, LIVER_SPACING_MM if liver else CLASSIFIER_SPACING_MM)
        if liver and (wanted.plane is not Plane.AXIAL or wanted.sequence is not Sequence.CT):
            continue
        phantom = take(body, wanted, seed)
        if liver:
            shown = phantom.volume.with_array(phantom.liver.astype(np.float32))
            if axial(shown, outside=0.0).array[: LIVER_WINDOW[0]].sum() < LEAST_LIVER:
                continue
            grid = liver_window(axial(phantom.volume, outside=None).array)[: LIVER_WINDOW[0]]
            rest = LIVER_WINDOW[0] - grid.shape[0]
            found.append(np.pad(grid, ((0, rest), (0, 0), (0, 0)))[None, None])
        else:
            modality = "CT" if wanted.sequence is Sequence.CT else "MR"
            found.append(classifier_input(phantom.volume, modality).array[None, None])
    return found


def decisions(task: Task, outputs: list[Array]) -> NDArray[np.int64]:
    """Return what a network decides: a class for each head and each region, or each voxel."""
    if task == "liver":
        return (outputs[0] > 0).astype(np.int64).ravel()
    scan, cells = outputs
    heads = np.split(scan[0], np.cumsum(HEAD_SIZES)[:-1])[:3]
    regions = (cells[0].max(axis=0) > 0).astype(np.int64)
    return np.array([int(head.argmax()) for head in heads] + regions.tolist(), np.int64)


def gate(task: Task, exact: Run, other: Run, precision: str, cases: list[Array]) -> ExportGate:
    """Compare two runs of one network on `cases`."""
    error, changed, total, both, either = 0.0, 0, 0, 0, 0
    for case in cases:
        truth, said = exact(case), other(case)
        for one, two in zip(truth, said, strict=True):
            error = max(error, float(np.abs(one - two).max()))
        first, second = decisions(task, truth), decisions(task, said)
        changed += int((first != second).sum())
        total += first.size
        if task == "liver":
            both += 2 * int((first & second).sum())
            either += int(first.sum() + second.sum())
    return ExportGate(precision, error, changed / total, both / either if either else 1.0, total)


def export(task: Task, weights: Path, out: Path, cases: int = 0) -> list[ExportGate]:
    """Write ``model.onnx``, ``model.xml`` with ``model.bin`` and ``gates.json`` under `out`.

    Parameters
    ----------
    task : str
        ``classifier`` or ``liver``.
    weights : Path
        A weights file.
    out : Path
        The folder; what another export left there is replaced once this one has passed.
    cases
        Phantoms to compare on; 0: as many as resolve the share that may change.

    Returns
    -------
    list of ExportGate
        What was compared, for each precision.

    Raises
    ------
    GateRefusedError
        If an export says something else than the network; `out` is as it was before then.
    RadnetError
        If `out` cannot be written.
    UsageError
        If the package onnx is not installed.
    """
    cases = cases or CASES[task]
    trained = load_weights(weights, task)
    named = trained.record["preset"]
    net: nn.Module = classifier_network(named) if task == "classifier" else liver_network(named)
    fill(net, trained, weights.name)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="export-", dir=out) as name:
            fresh = Path(name)
            found = _through_gates(task, net, fresh, cases, weights.name)
            write_ir(fresh)
            gates = {"cases": cases, "gates": [asdict(one) for one in found]}
            told = json.dumps({"weights_sha256": trained.digest} | gates, indent=1)
            (fresh / "gates.json").write_text(told + "\n", encoding="utf-8")
            for path in fresh.iterdir():
                path.replace(out / path.name)
    except OSError as error:
        raise RadnetError(f"{out}: cannot be written ({error.strerror})") from error
    finally:
        with suppress(OSError):  # it holds something, or never came to be
            out.rmdir()
    return found


def _through_gates(
    task: Task, net: nn.Module, fresh: Path, cases: int, weights: str
) -> list[ExportGate]:
    """Write ``model.onnx`` and return how far it is from `net`, if that is near enough."""
    side = CLASSIFIER_SIDE if task == "classifier" else LIVER_WINDOW[1]
    write_onnx(net, fresh / "model.onnx", side)
    drawn = stacks(task, cases)
    precisions: tuple[Precision, ...] = ("f32",)
    if best_precision() == "bf16":
        precisions = ("f32", "bf16")
    found = [
        gate(task, torch_run(net), openvino_run(fresh / "model.onnx", precision), precision, drawn)
        for precision in precisions
    ]
    for one in found:
        if reason := one.refusal():
            raise GateRefusedError(f"{weights}: {reason}; the export was thrown away")
    return found


def write_onnx(net: nn.Module, path: Path, side: int) -> None:
    """Write a network as ONNX that takes stacks of any number of slices of `side` x `side`.

    Raises
    ------
    UsageError
        If the package onnx is not installed.
    """
    example = torch.zeros(1, 1, EXAMPLE_SLICES, side, side)
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise UsageError("onnx is not installed: pip install radnet-node[export]") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about itself
        torch.onnx.export(
            net.eval(),
            (example,),
            str(path),
            input_names=["stack"],
            dynamic_axes={"stack": {2: "slices"}},
            dynamo=False,
        )


def write_ir(out: Path) -> None:
    """Write ``model.xml`` and ``model.bin`` beside the ``model.onnx`` of a folder."""
    import openvino as ov

    ov.save_model(ov.convert_model(out / "model.onnx"), out / "model.xml", compress_to_fp16=False)


def torch_run(net: nn.Module) -> Run:
    """Return what runs a network in torch, in the precision of its weights."""

    @torch.inference_mode()
    def run(stack: Array) -> list[Array]:
        outputs = net(torch.from_numpy(np.ascontiguousarray(stack)))
        several = outputs if isinstance(outputs, tuple) else (outputs,)
        return [output.numpy() for output in several]

    return run


def openvino_run(path: Path, precision: Precision) -> Run:
    """Return what runs an ONNX file in OpenVINO on the CPU."""
    import openvino as ov

    model: Any = ov.compile_model(
        ov.convert_model(path), "CPU", {"INFERENCE_PRECISION_HINT": precision}
    )

    def run(stack: Array) -> list[Array]:
        found = model([np.ascontiguousarray(stack, np.float32)])
        return [np.array(found[port], np.float32) for port in model.outputs]

    return run
