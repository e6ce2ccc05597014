"""Speed of inference as ratios measured in one run; prints figure, ratio and what is allowed.

::

    python tests/benchmarks/inference.py
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Final

import highdicom as hd
import numpy as np
import openvino as ov
import torch

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from radnet.inference.classifier import Classifier  # noqa: E402
from radnet.inference.preparation import CLASSIFIER_SIDE, LIVER_WINDOW  # noqa: E402
from radnet.inference.segmenter import LiverSegmenter, window_starts  # noqa: E402
from radnet.inference.sliding import sliding_cells  # noqa: E402
from radnet.labels.vocabulary import Plane  # noqa: E402
from radnet.network.heads import RadNet  # noqa: E402
from radnet.network.presets import preset  # noqa: E402
from radnet.network.weights import fill, load_weights  # noqa: E402
from radnet.network.weights_file import shipped  # noqa: E402
from radnet.phantom.acquisition import take  # noqa: E402
from radnet.phantom.protocols import random_scan  # noqa: E402

ROUNDS: Final = 7
SLICES: Final = 160


def seconds(work: Callable[[], object]) -> float:
    """Return how long one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ratio(slow: Callable[[], object], fast: Callable[[], object]) -> float:
    """Return the median ratio of two works, called in turn."""
    slow(), fast()
    return median(seconds(slow) / seconds(fast) for _ in range(ROUNDS))


def abdomen() -> hd.Volume:
    """Return a phantom's trunk as 200 slices of 512 x 512, 2 mm apart."""
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        body, wanted = random_scan(rng, (4.0, 2.5, 2.5), ct=True)
        if wanted.plane is Plane.AXIAL and wanted.shape[0] >= 100:
            phantom = take(body, wanted, seed)
            if phantom.liver.any():
                break
    image = phantom.image[:100].repeat(2, axis=0)
    grid = np.round(np.linspace(0, image.shape[1] - 1, 512)).astype(int)
    across = np.round(np.linspace(0, image.shape[2] - 1, 512)).astype(int)
    array = np.ascontiguousarray(image[:, grid][:, :, across])
    scale = np.array([0.5, image.shape[1] / 512, image.shape[2] / 512, 1.0])
    return hd.Volume(array, affine=phantom.affine * scale, coordinate_system="PATIENT")


def main() -> None:
    """Print every ratio of issue 4."""
    net = RadNet(preset("radnet10-tiny"))
    fill(net, load_weights(shipped("classifier"), "classifier"), "shipped")
    side = (CLASSIFIER_SIDE, CLASSIFIER_SIDE)
    stack = np.random.default_rng(0).standard_normal((1, 1, SLICES, *side)).astype(np.float32)
    serving = Classifier.load(precision="f32").run
    model = ov.convert_model(
        net, example_input=torch.zeros(1, 1, 24, *side), input=[ov.PartialShape([1, 1, -1, *side])]
    )
    bare = ov.compile_model(
        model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    ).create_infer_request()
    with torch.inference_mode():
        tensor = torch.from_numpy(stack)
        figures = {
            "serving path / bare OpenVINO forward (at most 1.15)": ratio(
                lambda: serving(stack), lambda: bare.infer([stack])
            ),
            "torch eager / serving path (at least 2)": ratio(
                lambda: net(tensor), lambda: serving(stack)
            ),
            "sliding window / one pass (at least 3)": ratio(
                lambda: sliding_cells(serving, stack[0, 0]), lambda: serving(stack)
            ),
        }
    segmenter = LiverSegmenter.load()
    volume = abdomen()
    window = np.zeros((1, 1, *LIVER_WINDOW), np.float32)
    passes = len(window_starts(round(volume.shape[0] * volume.spacing[0] / 4)))
    figures["whole liver, 512 x 512 x 200 / its bare forwards (at most 3)"] = ratio(
        lambda: segmenter.segment(volume), lambda: [segmenter.run(window) for _ in range(passes)]
    )
    for name, value in figures.items():
        print(f"{value:6.2f}  {name}")


if __name__ == "__main__":
    main()
