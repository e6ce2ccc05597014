"""How fast instances come in, beside Orthanc: ``python tests/benchmarks/receive.py``.

dcmtk's dcmsend sends a made-up CT over one association, in turn to this node's receiver (each
instance fsynced and its row committed before its response) and to Orthanc 1.12 with
``SyncStorageArea``. Both start empty in every round, with ``TCP_NODELAY=1`` on every side.
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from pydicom.uid import generate_uid  # noqa: E402

from node.receive.storage_scp import StorageScp  # noqa: E402
from node.settings import NodeSection, Settings  # noqa: E402
from node.store.catalog import Catalog  # noqa: E402
from node.store.files import InstanceFiles  # noqa: E402
from tests.made_ct import made_slice  # noqa: E402
from tests.peers import NO_NAGLE, running_orthanc, tool  # noqa: E402

SIDE = 512


def main() -> None:
    """Run the rounds and print instances per second and their ratio."""
    arguments = _arguments()
    if arguments.orthanc is not None:
        os.environ["RADNET_ORTHANC"] = str(arguments.orthanc)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        study = write_study(folder / "study", arguments.instances)
        rates: dict[str, list[float]] = {"node": [], "orthanc": []}
        print(f"{arguments.instances} CT slices of {SIDE} x {SIDE}, one association, instances/s")
        for number in range(arguments.rounds):
            here = folder / str(number)
            here.mkdir()
            with running_node(here) as port:
                rates["node"].append(arguments.instances / seconds_to_send(study, port, "RADNODE"))
            (here / "orthanc").mkdir()
            with running_orthanc(here / "orthanc", SyncStorageArea=True, Plugins=[]) as orthanc:
                taken = seconds_to_send(study, orthanc.dicom_port, orthanc.ae_title)
            rates["orthanc"].append(arguments.instances / taken)
            print(
                f"round {number + 1}: "
                + ", ".join(f"{who} {found[-1]:.0f}" for who, found in rates.items()),
                flush=True,
            )
    ours, theirs = median(rates["node"]), median(rates["orthanc"])
    ratio = median(a / b for a, b in zip(rates["node"], rates["orthanc"], strict=True))
    print(f"median: node {ours:.0f}, orthanc {theirs:.0f}; node/orthanc {ratio:.2f}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--orthanc", type=Path, help="launcher; else $RADNET_ORTHANC or .peers")
    parser.add_argument("--folder", type=Path, help="on the disk to measure; else the system's")
    return parser.parse_args()


def write_study(folder: Path, count: int) -> Path:
    """Write one series of noisy slices, 0.5 MB each."""
    folder.mkdir()
    series, noise = generate_uid(), np.random.default_rng(0)
    for index in range(count):
        ds = made_slice(0)
        ds.SeriesInstanceUID = series
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.InstanceNumber = index + 1
        ds.ImagePositionPatient = ["0", "0", str(index)]
        ds.Rows = ds.Columns = SIDE
        ds.PixelData = noise.integers(0, 4096, (SIDE, SIDE), dtype=np.uint16).tobytes()
        ds.save_as(folder / f"{index:04d}.dcm", enforce_file_format=True)
    return folder


def seconds_to_send(study: Path, port: int, ae_title: str) -> float:
    """Send every file over one association; fail unless all were taken."""
    command = [tool("dcmsend"), "-aec", ae_title, "+sd", "127.0.0.1", str(port), str(study)]
    started = time.perf_counter()
    subprocess.run(command, check=True, env=os.environ | NO_NAGLE, capture_output=True)
    return time.perf_counter() - started


@contextmanager
def running_node(folder: Path) -> Iterator[int]:
    """Run the receiver in a process of its own and give its port."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_receive, args=(folder, theirs))
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send(None)
        process.join()


def _receive(folder: Path, pipe: Connection) -> None:
    section = NodeSection(ae_title="RADNODE", bind="127.0.0.1", port=0, data=folder)
    settings = Settings(node=section)
    catalog = Catalog(settings.node.catalog)
    catalog.upgrade()
    catalog.reserve_log()
    scp = StorageScp(settings, catalog, InstanceFiles(folder), time.time)
    pipe.send(scp.server_address[1])
    pipe.recv()
    scp.shutdown()


if __name__ == "__main__":
    main()
