"""Networks for other runtimes: ONNX and OpenVINO IR, each through a gate before it is kept."""

import json
import warnings
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from radnet.errors import RadnetError, UsageError
from radnet.inference.conversion import side_of
from radnet.inference.gates import CASES, ExportGate, Run, compared, distances, stacks, torch_run
from radnet.inference.preparation import Array
from radnet.inference.runtime import Precision, best_precision, openvino
from radnet.inference.served import GateRefusedError, Task
from radnet.network.build import classifier_network, liver_network
from radnet.network.weights import fill, load_weights

EXAMPLE_SLICES: Final = 48


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
    write_onnx(net, fresh / "model.onnx", side_of(task)[0])
    runs = {name: openvino_run(fresh / "model.onnx", name) for name in compared(best_precision())}
    found = distances(task, torch_run(net), runs, stacks(task, cases))
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
    ov = openvino()
    ov.save_model(ov.convert_model(out / "model.onnx"), out / "model.xml", compress_to_fp16=False)


def openvino_run(path: Path, precision: Precision) -> Run:
    """Return what runs an ONNX file in OpenVINO on the CPU."""
    ov = openvino()
    model: Any = ov.compile_model(
        ov.convert_model(path), "CPU", {"INFERENCE_PRECISION_HINT": precision}
    )

    def run(stack: Array) -> list[Array]:
        found = model([np.ascontiguousarray(stack, np.float32)])
        return [np.array(found[port], np.float32) for port in model.outputs]

    return run
