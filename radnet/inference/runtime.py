"""Run a network: OpenVINO on a CPU, torch where there is CUDA. Loaded once, kept warm."""

import warnings
from pathlib import Path
from threading import Lock
from typing import Any, Final, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Array = NDArray[np.float32]
Precision = Literal["auto", "f32", "bf16"]
CPU_FLAGS: Final = Path("/proc/cpuinfo")
TRACED_SLICES: Final = 16  # two cells of the coverage head: a dimension of 1 could be broadcast


class Runtime(Protocol):
    """Something that turns one stack into the outputs of a network."""

    def __call__(self, stack: Array) -> list[Array]:
        """Return the outputs for `stack`, (1, 1, Z, Y, X) float32."""
        ...


def best_precision() -> Literal["f32", "bf16"]:
    """Return bf16 where the CPU computes it in hardware, else f32."""
    try:
        flags = CPU_FLAGS.read_text(encoding="ascii", errors="replace")
    except OSError:
        return "f32"
    return "bf16" if "avx512_bf16" in flags or "amx_bf16" in flags else "f32"


def converted(net: nn.Module, side: tuple[int, int]) -> Any:
    """Return a network as an OpenVINO model that takes any number of slices of one size."""
    example = torch.zeros(1, 1, TRACED_SLICES, *side)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the converter and the tracer; not ours to mend
        import openvino as ov
        from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

        # By itself the converter has torch trace twice and compare: five forward passes.
        traced = TorchScriptPythonDecoder(
            net.eval(), example_input=example, trace_kwargs={"check_trace": False}
        )
        shape = ov.PartialShape([1, 1, -1, *side])
        return ov.convert_model(traced, example_input=example, input=[shape])


class OpenVinoRuntime:
    """A network compiled for this CPU, any number of slices."""

    def __init__(self, net: nn.Module, side: tuple[int, int], precision: Precision) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of importing it; not ours to mend
            import openvino as ov

        model = converted(net, side)
        hint = best_precision() if precision == "auto" else precision
        # OpenVINO chooses bf16 by itself where it can; what runs must be what we say.
        self._model: Any = ov.compile_model(
            model, "CPU", {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
        )
        self.precision = hint
        self._request = self._model.create_infer_request()
        self._lock = Lock()

    def __call__(self, stack: Array) -> list[Array]:
        """Return the outputs for `stack`, (1, 1, Z, Y, X) float32; one caller at a time."""
        with self._lock:
            outputs = self._request.infer([np.ascontiguousarray(stack, np.float32)])
            return [np.array(outputs[port], np.float32) for port in self._model.outputs]


class TorchRuntime:
    """A network on CUDA, in bf16 unless f32 is asked for."""

    def __init__(self, net: nn.Module, precision: Precision) -> None:
        self.precision = "f32" if precision == "f32" else "bf16"
        self._net = net.eval().to("cuda")

    @torch.inference_mode()
    def __call__(self, stack: Array) -> list[Array]:
        """Return the outputs for `stack`, (1, 1, Z, Y, X) float32."""
        half = self.precision == "bf16"
        with torch.autocast("cuda", torch.bfloat16, enabled=half):
            outputs = self._net(torch.from_numpy(stack).to("cuda"))
        several = outputs if isinstance(outputs, tuple) else (outputs,)
        return [output.float().cpu().numpy() for output in several]


def runtime(net: nn.Module, side: tuple[int, int], precision: Precision = "auto") -> Runtime:
    """Return the fastest runtime of this machine for `net`.

    Parameters
    ----------
    net
        Takes (1, 1, Z, Y, X).
    side
        Rows and columns of its input, which do not vary.
    precision
        ``f32``, ``bf16``, or ``auto``: bf16 where the hardware has it.
    """
    if torch.cuda.is_available():
        return TorchRuntime(net, precision)
    return OpenVinoRuntime(net, side, precision)
