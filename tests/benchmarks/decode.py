"""What it costs to decode elsewhere: ``python tests/benchmarks/decode.py``.

A CT series of 300 compressed slices of 512 x 512 is recognised in turn with its pixels decoded in
child processes, as the node does, and in this process, as it did. Printed is the ratio of the two
times, and what is allowed.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final
from unittest.mock import patch

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from pydicom import Dataset  # noqa: E402
from pydicom.uid import UID, JPEG2000Lossless, RLELossless, generate_uid  # noqa: E402

from node.classify.recognise import recognise  # noqa: E402
from radnet.inference.classifier import Classifier  # noqa: E402
from radnet.volume import series  # noqa: E402
from radnet.volume.decoding import each_decoded  # noqa: E402
from radnet.volume.headers import quiet_headers, read_file  # noqa: E402
from radnet.volume.pixels import stored_values  # noqa: E402
from tests.benchmarks.inference import abdomen  # noqa: E402
from tests.made_ct import made_slice  # noqa: E402

ALLOWED: Final = 1.10
SYNTAXES: Final = {"RLE lossless": RLELossless, "JPEG 2000 lossless": JPEG2000Lossless}


def written(folder: Path, count: int, syntax: UID) -> list[Path]:
    """Write a CT of a phantom's trunk, 1 mm apart, compressed."""
    array = abdomen().array
    folder.mkdir()
    paths = []
    for index in range(count):
        ds = made_slice(0)
        hu = array[index * len(array) // count]
        noise = np.random.default_rng(index).normal(0, 12, hu.shape)
        ds.Rows, ds.Columns = hu.shape
        ds.PixelSpacing = [0.8, 0.8]
        ds.SliceThickness = 1
        ds.ImagePositionPatient = [-200, -200, index]
        ds.SOPInstanceUID = generate_uid()
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.PixelData = (hu + noise + 1024).clip(0, 4095).astype("<u2").tobytes()
        ds["PixelData"].VR = "OW"
        ds.compress(syntax, generate_instance_uid=False)
        paths.append(folder / f"{index}.dcm")
        ds.save_as(paths[-1], enforce_file_format=True)
    return paths


def decoded_here(paths: Sequence[Path], _headers: Sequence[Dataset]) -> Iterator[NDArray[Any]]:
    """Decode in this process, as it was done before."""
    for path in paths:
        with quiet_headers():
            yield stored_values(read_file(path, pixels=True))


def seconds(paths: Sequence[Path], classifier: Classifier, *, isolated: bool) -> float:
    """Return how long the series takes to be recognised."""
    with patch.object(series, "each_decoded", each_decoded if isolated else decoded_here):
        start = time.perf_counter()
        known = recognise(paths, classifier, 0.6)
        took = time.perf_counter() - start
    if known.unusable:
        raise SystemExit(known.unusable.reason)
    return took


def main() -> None:
    """Run the rounds; exit with 1 if the isolation costs more than is allowed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    classifier = Classifier.load()
    worst = 0.0
    with tempfile.TemporaryDirectory() as name:
        for kind, syntax in SYNTAXES.items():
            paths = written(Path(name) / kind, arguments.slices, syntax)
            few = paths[:8]
            first = seconds(few, classifier, isolated=True)
            again = seconds(few, classifier, isolated=True)
            print(f"{kind}: 8 slices {first:.2f} s at first, {again:.2f} s then", flush=True)
            ratios = []
            for _ in range(arguments.rounds):
                apart = seconds(paths, classifier, isolated=True)
                here = seconds(paths, classifier, isolated=False)
                ratios.append(apart / here)
                print(f"  isolated {apart:.2f} s, in process {here:.2f} s", flush=True)
            worst = max(worst, median(ratios))
            print(f"{kind}: ratio {median(ratios):.3f}, allowed {ALLOWED}", flush=True)
    raise SystemExit(worst > ALLOWED)


if __name__ == "__main__":
    main()
