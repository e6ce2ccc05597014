"""Large instances on their way out: the sender's memory does not grow with them."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.deliver.destination import OutboundInstance
from node.receive.statuses import StoreStatus
from tests.node_process import MIB, running_receiver_process
from tests.outbound import ct_slice, written
from tests.peers import RunningOrthanc
from tests.wire import Wire

LARGE = 64 * MIB

# A process of its own: what the test itself has in memory does not count.
SEND = """
import sys
from pathlib import Path
from pydantic import TypeAdapter
from node.deliver.build import build
from node.deliver.destination import OutboundInstance
from node.settings import DestinationSettings

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

destination = build(TypeAdapter(DestinationSettings).validate_json(sys.argv[1]), "SENDER")
peaks = []
for argument in sys.argv[2:]:
    uid, sop_class, syntax, path = argument.split("|")
    (outcome,) = destination.send([OutboundInstance(uid, sop_class, syntax, Path(path))])
    print(outcome.state, outcome.reason)
    peaks.append(peak())
print(peaks[1] - peaks[0])
"""


@pytest.fixture(scope="module")
def instances(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[OutboundInstance]]:
    """Write a small instance and one of 64 MiB."""
    folder = tmp_path_factory.mktemp("large")
    small, large = ct_slice(1), ct_slice(2)
    large.PixelData = bytes(LARGE)
    yield [written(small, folder), written(large, folder)]
    for path in folder.iterdir():
        path.unlink()


def grown(destination: str, instances: list[OutboundInstance]) -> int:
    """Send the small instance, then the large; return by how many octets the sender grew."""
    named = [
        f"{one.sop_instance_uid}|{one.sop_class_uid}|{one.transfer_syntax_uid}|{one.path}"
        for one in instances
    ]
    command = [sys.executable, "-c", SEND, destination, *named]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.split("\n")
    assert [line.strip() for line in lines[:2]] == ["delivered"] * 2, done.stdout + done.stderr
    sys.stdout.write(f"64 MiB sent: peak RSS grown by {lines[2]} KiB\n")
    return int(lines[2]) << 10


def test_by_c_store(tmp_path: Path, instances: list[OutboundInstance]) -> None:
    """To a receiver of ours, which holds no more of it either."""
    with running_receiver_process(tmp_path) as receiver:
        where = f'"host": "127.0.0.1", "port": {receiver.port}, "ae_title": "RADNODE"'
        assert grown(f'{{"kind": "dimse", "name": "x", {where}}}', instances) < 16 * MIB
        with Wire(receiver.port) as wire:
            assert wire.associate().echo() == StoreStatus.SUCCESS


@pytest.mark.orthanc
@pytest.mark.parametrize(
    "destination",
    [
        lambda peer: f'{{"kind": "orthanc", "name": "x", "url": "{peer.url}"}}',
        lambda peer: f'{{"kind": "dicomweb", "name": "x", "url": "{peer.dicomweb_url}"}}',
    ],
    ids=["Orthanc upload", "STOW-RS"],
)
def test_by_http(
    orthanc: RunningOrthanc,
    instances: list[OutboundInstance],
    destination: Callable[[RunningOrthanc], str],
) -> None:
    """To a real Orthanc."""
    assert grown(destination(orthanc), instances) < 16 * MIB
    assert len(orthanc.file(instances[1].sop_instance_uid)) > LARGE
