"""Weights ready to serve, without torch in this process where OpenVINO runs them.

Their model is loaded from a folder (`radnet.inference.kept`). Where it is not there, because the
weights, the code or OpenVINO are new, a process of its own makes it and compares it with torch:
a minute or two, once.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import IO, Final

from radnet import errors
from radnet.errors import RadnetError
from radnet.inference import kept
from radnet.inference.model_folders import find_among, made_ready, making_folder, model_folders
from radnet.inference.runtime import (
    Hardware,
    OpenVinoRuntime,
    Precision,
    best_precision,
    read_model,
)
from radnet.inference.served import GateRefusedError, Serve, Served, Task
from radnet.network.weights_file import WeightsFile, read_weights_file
from radnet.volume.decoder_pool import environment_of_a_child

COMMAND: Final = (sys.executable, "-P", "-m", "radnet.inference.making")
"""`-P`: the working directory is no place to import from."""

NVIDIA: Final = ("/dev/nvidiactl", "/dev/dxg")
"""Where one of them is, there may be CUDA, and torch is asked."""

Making = Callable[[Task, float], None]
"""Told what share of a model that must be made is done; where it raises, the making ends."""


def _silent(_task: Task, _done: float) -> None:
    """Report nothing."""


def server(folders: Sequence[Path] | None = None, making: Making = _silent) -> Serve:
    """Return what makes weights ready to serve.

    Parameters
    ----------
    folders : sequence of Path or None
        Where models are kept, in order; None: `model_folders`.
    making : callable
        Told the task and what share is done of a model that must be made first, 0 before it is
        begun; where it raises, the making ends.

    Returns
    -------
    Serve
        Takes a task, a weights file and a precision; see `serve`.
    """
    return partial(_serve, folders, making)


def serve(task: Task, path: Path, precision: Precision = "auto") -> Served:
    """Return weights of a task, ready to run; on CUDA where there is some, else by OpenVINO.

    Parameters
    ----------
    task : str
        ``classifier`` or ``liver``.
    path : Path
        A weights file.
    precision : str
        ``f32``, ``bf16``, or ``auto``: bf16 where the hardware has it and it decides as fp32.

    Returns
    -------
    Served
        Warm; its remarks say where it does not run as was asked for.

    Raises
    ------
    GateRefusedError
        If bf16 is asked for and does not decide as fp32 does.
    RadnetError
        If the model of the weights cannot be made or kept.
    WeightsError
        If the weights are missing, damaged, altered in layout, or not of this task.
    """
    return _serve(None, _silent, task, path, precision)


def _serve(
    folders: Sequence[Path] | None,
    making: Making,
    task: Task,
    path: Path,
    precision: Precision,
) -> Served:
    weights = read_weights_file(path, task)  # first: what is wrong with them is said at once
    if _may_have_cuda():
        from radnet.inference import conversion

        if conversion.has_cuda():
            return conversion.in_torch(task, path, precision, "cuda")
    hint = best_precision() if precision == "auto" else precision
    model = _loaded(folders or model_folders(), making, path, _made_of(task, weights), hint)
    refusal, remarks = model.refusals[hint], []
    if refusal and precision == "auto" and hint != "f32":
        remarks.append(f"{path.name}: served in f32, for {refusal}")
        hint, refusal = "f32", model.refusals["f32"]
    if not refusal:
        try:
            run = OpenVinoRuntime(read_model(model.description, model.constants), hint)
        except RuntimeError as error:  # OpenVINO's, such as a processor that was told to be less
            refusal = f"it does not run here: {_last_line(str(error))}"
        else:
            return Served(run, weights.record, weights.digest, tuple(remarks))
    if precision == "bf16":
        raise GateRefusedError(f"{path.name}: {refusal}")
    from radnet.inference import conversion

    served = conversion.in_torch(task, path, "f32", "cpu")
    remark = f"{path.name}: served by torch, more slowly, for in OpenVINO {refusal}"
    return Served(served.run, served.record, served.digest, (remark,))


def _may_have_cuda() -> bool:
    """Tell whether it is worth to import torch and ask."""
    return any(Path(name).exists() for name in NVIDIA)


def _made_of(task: Task, weights: WeightsFile) -> kept.Wanted:
    """Return what the model of these weights is made of."""
    return kept.wanted(task, str(weights.record.get("preset", "")), weights.tensors_digest)


def _loaded(
    folders: Sequence[Path], making: Making, path: Path, model: kept.Wanted, precision: Hardware
) -> kept.Kept:
    """Return the model of a weights file; made first where there is none."""
    if (found := find_among(folders, model, precision)) is not None:
        return found
    folder = making_folder(folders)
    made_ready(folder)
    make(folder, path, model, precision, making)
    found = kept.find(folder, model, precision)
    if found is None:
        raise RadnetError(f"{folder}: the model of {path.name} was made, yet is not there")
    return found


def make(
    folder: Path, path: Path, model: kept.Wanted, precision: Hardware, making: Making
) -> None:
    """Have a model made by another process.

    Raises
    ------
    RadnetError
        As that process says, or that it ended without a word.
    """
    making(model.task, 0.0)
    made_of = json.dumps(asdict(model))
    arguments = [str(folder.absolute()), str(path.absolute()), made_of, precision]
    environment = environment_of_a_child(os.environ)
    for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # it is alone, and to be soon done
        environment.pop(threads, None)
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=subprocess.PIPE,  # its end tells the child that we are gone
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=environment,
            text=True,
        ) as process,
    ):
        try:
            refused = _followed(process, model.task, making)
        except BaseException:
            process.kill()
            raise
        status = process.wait()
        if refused:
            raise refused
        if status != 0:
            raise RadnetError(
                f"{path.name}: the process that makes its model ended with status {status}: "
                f"{_complaint(complaints)}"
            )


def _followed(process: subprocess.Popen[str], task: Task, making: Making) -> RadnetError | None:
    """Pass on what a process says until it ends; return what it complains of."""
    refused: RadnetError | None = None
    assert process.stdout is not None  # noqa: S101
    for line in process.stdout:
        try:
            said = json.loads(line)
        except ValueError:  # a library's word
            continue
        if "error" in said:
            kind = getattr(errors, str(said.get("kind")), RadnetError)
            refused = kind(str(said["error"]))
        elif "done" in said:
            making(task, float(said["done"]))
    return refused


def _complaint(file: IO[bytes]) -> str:
    """Return the last line of what a process wrote to its stderr."""
    file.seek(0)
    return _last_line(file.read().decode(errors="replace")) or "it said nothing"


def _last_line(text: str) -> str:
    """Return the last line of a text; '' where there is none."""
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
