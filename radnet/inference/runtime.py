"""Run a network without torch: OpenVINO on a CPU. Compiled once, kept warm."""

import sys
import warnings
from pathlib import Path
from threading import Lock
from typing import Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Hardware = Literal["f32", "bf16"]
Precision = Literal["auto", "f32", "bf16"]
CPU_FLAGS: Final = Path("/proc/cpuinfo")


class Runtime(Protocol):
    """Something that turns one stack into the outputs of a network."""

    def __call__(self, stack: Array) -> list[Array]:
        """Return the outputs for `stack`, (1, 1, Z, Y, X) float32."""
        ...


def best_precision() -> Hardware:
    """Return bf16 where the CPU computes it in hardware, else f32."""
    try:
        flags = CPU_FLAGS.read_text(encoding="ascii", errors="replace")
    except OSError:
        return "f32"
    return "bf16" if "avx512_bf16" in flags or "amx_bf16" in flags else "f32"


def openvino() -> Any:
    """Return the module `openvino`, imported without what tells its makers of its use.

    Its converter asks nobody, and forks the process, with the threads that run in it, to call a
    server on the internet. Where the package for it is missing OpenVINO does without.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of importing it; not ours to mend
        import openvino as module

    return module


class OpenVinoRuntime:
    """A network compiled for this CPU, any number of slices.

    Parameters
    ----------
    model
        An OpenVINO model, of `radnet.inference.conversion.converted` or of `read_model`.
    precision
        ``f32``, ``bf16``, or ``auto``: bf16 where the hardware has it.
    """

    def __init__(self, model: Any, precision: Precision) -> None:
        ov = openvino()
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


def read_model(description: bytes, constants: bytes) -> Any:
    """Return the OpenVINO model of the contents of its ``.xml`` and its ``.bin``."""
    return openvino().Core().read_model(description, constants)
