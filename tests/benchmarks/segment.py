"""From the last C-STORE response to the SEG, and to the SRs, at Orthanc, for a 512 x 512 x 100 CT.

Prints the seconds, and for the SEG their ratio to the 60 s that are allowed on two processor
cores::

    python tests/benchmarks/segment.py
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pydicom
from pydicom.uid import generate_uid

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from node.deliver.build import build  # noqa: E402
from node.deliver.destination import OutboundInstance  # noqa: E402
from radnet.phantom.study import write_phantom_study  # noqa: E402
from tests.node_process import NodeProcess, running, wait_for  # noqa: E402
from tests.peers import RunningOrthanc, running_orthanc  # noqa: E402

ALLOWED_S: Final = 60.0
SLICES: Final = 100
SIDE: Final = 512
RESULTS: Final = 3
"""The SEG, the SR of its volume, the SR of what was recognised."""


def enlarged(folder: Path) -> Iterator[OutboundInstance]:
    """Yield the phantom's abdominal CT as 100 slices of 512 x 512 that cover the same body."""
    source = [pydicom.dcmread(path) for path in write_phantom_study(folder / "phantom", seed=3)]
    stack = [ds for ds in source if ds.Modality == "CT" and ds.Rows == 256]
    stack.sort(key=lambda ds: float(ds.ImagePositionPatient[2]))
    first, last = (float(stack[i].ImagePositionPatient[2]) for i in (0, -1))
    series = generate_uid()
    for number, place in enumerate(np.linspace(0, len(stack) - 1, SLICES)):
        ds = stack[round(place)]
        pixels = np.kron(ds.pixel_array, np.ones((2, 2), ds.pixel_array.dtype))
        ds.SOPInstanceUID, ds.SeriesInstanceUID = generate_uid(), series
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.InstanceNumber = number + 1
        height = first + (last - first) * number / (SLICES - 1)
        ds.ImagePositionPatient = [*ds.ImagePositionPatient[:2], f"{height:.6g}"]
        spacing = [float(value) for value in ds.PixelSpacing]
        ds.PixelSpacing = [f"{value / 2:.6g}" for value in spacing]
        ds.SliceThickness = (last - first) / (SLICES - 1)
        original = (ds.Rows, ds.Columns, ds.PixelData)
        ds.Rows = ds.Columns = SIDE
        ds.PixelData = pixels.tobytes()
        path = folder / f"{number:03d}.dcm"
        ds.save_as(path, enforce_file_format=True)
        ds.Rows, ds.Columns, ds.PixelData = original
        ds.PixelSpacing = [f"{value:.6g}" for value in spacing]
        yield OutboundInstance(
            ds.SOPInstanceUID, ds.SOPClassUID, ds.file_meta.TransferSyntaxUID, path
        )


def results(orthanc: RunningOrthanc) -> set[str]:
    """Return the descriptions of the series of SEG and SR that Orthanc holds."""
    return {
        series["MainDicomTags"].get("SeriesDescription", "")
        for series in orthanc.get("/series?expand")
        if series["MainDicomTags"].get("Modality") in ("SEG", "SR")
    }


def settings(orthanc: RunningOrthanc) -> str:
    """Return destinations and rules for this Orthanc."""
    return (
        f'[[destinations]]\nname = "pacs"\nkind = "dimse"\nae_title = "{orthanc.ae_title}"\n'
        f'host = "127.0.0.1"\nport = {orthanc.dicom_port}\n'
        '[[rules]]\nname = "all"\nwhen = "true"\ndeliver = ["pacs"]\n'
        '[[rules]]\nname = "liver"\nwhen = \'"liver" in findings.coverage.value\'\n'
        'segment = ["liver"]\nresults_to = ["pacs"]\n'
    )


def seconds(
    node: NodeProcess, orthanc: RunningOrthanc, instances: list[OutboundInstance]
) -> dict[str, float]:
    """Send a series and return how long each of its results took, in seconds, by description."""
    outcomes = list(build(node.peer, "BENCH").send(instances))
    begin = time.perf_counter()
    assert all(outcome.state == "delivered" for outcome in outcomes)
    took: dict[str, float] = {}

    def all_there() -> bool:
        for one in results(orthanc) - set(took):
            took[one] = time.perf_counter() - begin
        return len(took) == RESULTS

    wait_for(all_there, "SEG and SRs at Orthanc")
    return took


def main() -> None:
    """Run the benchmark once and print it."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_orthanc(Path(folder)) as orthanc,
        running(Path(folder), settings(orthanc)) as node,
    ):
        instances = list(enlarged(Path(folder)))
        wait_for(lambda: "worker ready" in node.log(), "the worker")
        took = seconds(node, orthanc, instances)
    print(f"last C-STORE response to Orthanc, {SIDE}x{SIDE}x{SLICES}:")
    for result, each in sorted(took.items(), key=lambda item: item[1]):
        print(
            f"{result}: {each:.1f} s, ratio to the {ALLOWED_S:g} s allowed {each / ALLOWED_S:.2f}"
        )


if __name__ == "__main__":
    main()
