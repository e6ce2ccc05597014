"""Memory of a segmentation: bounded for each voxel, so that a whole-body CT fits into 4 GB."""

import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from radnet.datasets.liver_cases import phantom_case

BYTES_FOR_A_VOXEL = 8.0  # 4 as float32, 2 in the file, what the networks' grids take
SEED = 22  # of a phantom of 64 slices with a whole liver
LARGEST = 512 * 512 * 1200
BASE_GIB = 1.65  # interpreter, libraries and both networks, loaded and warm; 1.55 measured
WORK = """
import sys
from pathlib import Path
from radnet.inference.scan_file import read_scan_file
from radnet.inference.segmenter import LiverSegmenter

segmenter = LiverSegmenter.load()
for name in sys.argv[1:]:
    found = segmenter.segment(read_scan_file(Path(name), "CT").volume())
    assert found.mask.any()
    del found
    # Not ru_maxrss: that begins with what the process that started this one had.
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    print(int(status["VmHWM"].split()[0]) * 1024, flush=True)
"""


def scaled(folder: Path, factor: int) -> tuple[Path, int]:
    """Write a phantom whose voxels are divided along every axis; return it and their number."""
    case = phantom_case(SEED)
    array = case.hounsfield.astype(np.int16)
    for axis in range(3):
        array = array.repeat(factor, axis=axis)
    path = folder / f"{factor}.nii"
    affine = np.diag([-2.5 / factor, -2.5 / factor, 4.0 / factor, 1.0])
    nib.save(nib.Nifti1Image(array.transpose(2, 1, 0), affine), path)
    return path, array.size


@pytest.mark.slow
def test_memory_grows_by_a_few_bytes_for_each_voxel(tmp_path: Path) -> None:
    """The peak of a warm process, before and after a scan of eight times the voxels."""
    small, few = scaled(tmp_path, 1)
    large, many = scaled(tmp_path, 2)

    done = subprocess.run(
        [sys.executable, "-c", WORK, str(small), str(large)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    before, after = (int(line) for line in done.stdout.split())
    grown = (after - before) / (many - few)
    assert grown <= BYTES_FOR_A_VOXEL
    assert before <= BASE_GIB * 2**30
    assert BASE_GIB + BYTES_FOR_A_VOXEL * LARGEST / 2**30 < 4
