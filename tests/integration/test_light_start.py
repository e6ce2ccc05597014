"""What serves starts light: no torch and no MONAI in its process, and within bounds."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from radnet.datasets.liver_cases import phantom_case
from tests.node_process import models_made

HEAVY = {"torch", "monai", "torchvision", "torchmetrics", "matplotlib", "SimpleITK"}
TOLD = """
import json, sys
from resource import RUSAGE_SELF, getrusage

def tell():
    with open("/proc/self/status") as status:
        resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    used = getrusage(RUSAGE_SELF)
    modules = sorted({name.split(".")[0] for name in sys.modules})
    print("TOLD", json.dumps([used.ru_utime + used.ru_stime, resident, modules]), flush=True)
"""
COMMAND = """
from radnet.cli import main
from radnet.inference.segmenter import LiverSegmenter

try:
    main()
finally:
    tell()
"""
WORKER = """
import threading, time
from pathlib import Path
from node import worker
from node.settings import load

stop = threading.Event()
ready = worker.log.info

class Log:
    def __getattr__(self, name):
        return getattr(log, name)
    def info(self, event, **told):
        if event == "worker ready":
            tell()
            stop.set()

log, worker.log = worker.log, Log()
worker.work(load(Path(sys.argv[1])), stop)
"""
READY_CPU_S = 15.0  # 1.9 to 5.4 measured, by machine; 26 with torch, MONAI and conversions
READY_KIB = 500 * 1024  # 240 MB measured; 1.33 GB


def told(source: str, *arguments: str) -> tuple[float, int, set[str]]:
    """Run Python, and return its processor seconds, its KiB, and what it imported."""
    models_made()
    done = subprocess.run(
        [sys.executable, "-c", TOLD + source, *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (line,) = [one for one in done.stdout.splitlines() if one.startswith("TOLD")]
    cpu, resident, modules = json.loads(line.removeprefix("TOLD "))
    return cpu, resident, set(modules)


def scan(folder: Path) -> Path:
    """Write a phantom's CT."""
    array = phantom_case(2).hounsfield.transpose(2, 1, 0).astype(np.int16)
    path = folder / "ct.nii.gz"
    nib.save(nib.Nifti1Image(array, np.diag([-2.5, -2.5, 4.0, 1.0])), path)
    return path


@pytest.mark.slow
def test_classify_and_segment_import_no_torch(tmp_path: Path) -> None:
    """`radnet segment` spent 10 of its 24 seconds before it read the scan."""
    path = str(scan(tmp_path))

    for arguments in (
        ("classify", path, "--json"),
        ("segment", path, "--out", str(tmp_path / "mask.nii.gz")),
    ):
        assert told(COMMAND, *arguments)[2] & HEAVY == set()


@pytest.mark.slow
def test_a_worker_is_ready_soon_and_small_without_torch(tmp_path: Path) -> None:
    """It took 26 s of processor time and 1.33 GB; a node shares its machine."""
    config = tmp_path / "node.toml"
    config.write_text('[node]\ndata = "data"\nport = 0\n', encoding="utf-8")

    cpu, resident, modules = told(WORKER, str(config))

    assert modules & HEAVY == set()
    assert cpu < READY_CPU_S
    assert resident < READY_KIB
