"""From weights to what runs them, where torch is at hand: to make models, to train, to judge.

What serves loads models that were made before: `radnet.inference.models`.
"""

import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from radnet.inference.preparation import CLASSIFIER_SIDE, LIVER_WINDOW
from radnet.inference.runtime import Array, OpenVinoRuntime, Precision, openvino
from radnet.inference.served import Served, Task
from radnet.network.build import classifier_network, liver_network
from radnet.network.heads import WithFeatures
from radnet.network.weights import Weights, fill, load_weights

TRACED_SLICES: Final = 16  # two cells of the coverage head: a dimension of 1 could be broadcast


def side_of(task: Task) -> tuple[int, int]:
    """Return rows and columns of what the network of a task takes, which do not vary."""
    if task == "classifier":
        return (CLASSIFIER_SIDE, CLASSIFIER_SIDE)
    return (LIVER_WINDOW[1], LIVER_WINDOW[2])


def served_network(task: Task, weights: Weights, name: str) -> nn.Module:
    """Return the network of a task as it serves: a classifier also returns its features.

    Raises
    ------
    WeightsError
        If the weights do not fit their preset.
    """
    named = weights.record["preset"]
    net: nn.Module = classifier_network(named) if task == "classifier" else liver_network(named)
    fill(net, weights, name)
    return (WithFeatures(net) if task == "classifier" else net).eval()


def converted(net: nn.Module, side: tuple[int, int]) -> Any:
    """Return a network as an OpenVINO model that takes any number of slices of one size."""
    example = torch.zeros(1, 1, TRACED_SLICES, *side)
    ov = openvino()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the converter and the tracer; not ours to mend
        from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

        # By itself the converter has torch trace twice and compare: five forward passes.
        traced = TorchScriptPythonDecoder(
            net.eval(), example_input=example, trace_kwargs={"check_trace": False}
        )
        shape = ov.PartialShape([1, 1, -1, *side])
        return ov.convert_model(traced, example_input=example, input=[shape])


class TorchRuntime:
    """A network in torch: on CUDA, in bf16 unless f32 is asked for; on a CPU in f32."""

    def __init__(self, net: nn.Module, precision: Precision, device: str = "cuda") -> None:
        self.precision = "f32" if precision == "f32" or device == "cpu" else "bf16"
        self._device = device
        self._net = net.eval().to(device)

    @torch.inference_mode()
    def __call__(self, stack: Array) -> list[Array]:
        """Return the outputs for `stack`, (1, 1, Z, Y, X) float32."""
        half = self.precision == "bf16"
        with torch.autocast(self._device, torch.bfloat16, enabled=half):
            outputs = self._net(torch.from_numpy(np.ascontiguousarray(stack)).to(self._device))
        several = outputs if isinstance(outputs, tuple) else (outputs,)
        return [output.float().cpu().numpy() for output in several]


def has_cuda() -> bool:
    """Tell whether torch can compute on CUDA here."""
    return torch.cuda.is_available()


def in_torch(task: Task, path: Path, precision: Precision, device: str) -> Served:
    """Return weights that torch itself runs.

    Raises
    ------
    WeightsError
        If they are missing, damaged, altered in layout, or not of this task.
    """
    weights = load_weights(path, task)
    net = served_network(task, weights, path.name)
    return Served(TorchRuntime(net, precision, device), weights.record, weights.digest)


def unkept(task: Task, path: Path, precision: Precision = "auto") -> Served:
    """Return weights as they would serve, of a model that is made now and kept by nobody.

    For weights that are judged or tried: nothing compares them with torch.

    Parameters
    ----------
    task : str
        ``classifier`` or ``liver``.
    path : Path
        A weights file.
    precision : str
        ``f32``, ``bf16``, or ``auto``: bf16 where the processor has it.

    Returns
    -------
    Served
        Warm.

    Raises
    ------
    WeightsError
        If they are missing, damaged, altered in layout, or not of this task.
    """
    if has_cuda():
        return in_torch(task, path, precision, "cuda")
    weights = load_weights(path, task)
    model = converted(served_network(task, weights, path.name), side_of(task))
    return Served(OpenVinoRuntime(model, precision), weights.record, weights.digest)
