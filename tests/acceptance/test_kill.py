"""Promise 2: nothing acknowledged is lost, whichever process is killed while images arrive."""

import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.transport import ThreadedAssociationServer

from node.deliver.build import build
from node.deliver.destination import OutboundInstance
from tests.collecting import Collecting
from tests.node_process import NodeProcess, running, wait_for

INSTANCES = 300
KILL_AFTER = 60


class RecordingScp:
    """A Storage SCP that remembers what came, and how often."""

    def __init__(self) -> None:
        self.received: list[str] = []
        ae = AE("RECORDER")
        ae.add_supported_context(CTImageStorage)
        ae.add_supported_context("1.2.840.10008.1.1")
        server = ae.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )
        self._server = cast("ThreadedAssociationServer", server)
        self.port = int(self._server.server_address[1])

    def _store(self, event: Event) -> int:
        self.received.append(str(cast("C_STORE", event.request).AffectedSOPInstanceUID))
        return 0x0000

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()


@pytest.fixture
def recorder() -> Iterator[RecordingScp]:
    """Run a recording peer on a free port."""
    scp = RecordingScp()
    yield scp
    scp.close()


def write_series(folder: Path) -> list[OutboundInstance]:
    """Write a CT series of `INSTANCES` small slices."""
    folder.mkdir()
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    made = []
    for number in range(INSTANCES):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, generate_uid()
        ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
        ds.FrameOfReferenceUID = frame
        ds.Modality, ds.PatientID, ds.PatientName = "CT", "TEST", "TEST"
        ds.InstanceNumber = number + 1
        ds.ImagePositionPatient = [0.0, 0.0, 2.0 * number]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.PixelSpacing, ds.SliceThickness = [2.0, 2.0], 2.0
        ds.Rows = ds.Columns = 64
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit, ds.PixelRepresentation = 15, 1
        ds.RescaleSlope, ds.RescaleIntercept = 1, 0
        ds.PixelData = np.full((64, 64), -1000, np.int16).tobytes()
        path = folder / f"{number:04d}.dcm"
        pydicom.dcmwrite(path, ds, enforce_file_format=True)
        made.append(
            OutboundInstance(
                ds.SOPInstanceUID, ds.SOPClassUID, ds.file_meta.TransferSyntaxUID, path
            )
        )
    return made


def send_until_all_acknowledged(
    node: NodeProcess, instances: list[OutboundInstance], halfway: threading.Event
) -> set[str]:
    """Send as a modality does: what got no Success is sent again, over and over."""
    acknowledged: set[str] = set()

    def all_sent() -> bool:
        missing = [one for one in instances if one.sop_instance_uid not in acknowledged]
        for outcome in build(node.peer, "SCANNER").send(missing):
            if outcome.state == "delivered":
                acknowledged.add(outcome.sop_instance_uid)
                if len(acknowledged) == KILL_AFTER:
                    halfway.set()
        return len(acknowledged) == len(instances)

    wait_for(all_sent, "every instance to be acknowledged")
    return acknowledged


def audited_instances(auditors: Collecting) -> int:
    """Return how many instances from the scanner audit messages told of."""
    from_scanner = [one for one in list(auditors.messages) if b'UserID="SCANNER"' in one]
    counts = [re.findall(rb'NumberOfInstances="(\d+)"', one) for one in from_scanner]
    return sum(int(number) for numbers in counts for number in numbers)


@pytest.mark.slow
@pytest.mark.parametrize("role", ["receive", "work", "run"])
def test_every_acknowledged_instance_is_delivered(
    role: str, tmp_path: Path, recorder: RecordingScp
) -> None:
    """Kill -9 one process while 300 instances arrive; restart; count at the destination."""
    instances = write_series(tmp_path / "series")
    auditors = Collecting()
    rules = (
        f'[audit]\nhost = "127.0.0.1"\nport = {auditors.port}\ntransport = "tcp"\n'
        f'[[destinations]]\nname = "pacs"\nkind = "dimse"\nae_title = "RECORDER"\n'
        f'host = "127.0.0.1"\nport = {recorder.port}\n'
        '[[rules]]\nname = "all"\nwhen = "true"\ndeliver = ["pacs"]\n'
    )
    halfway = threading.Event()
    with running(tmp_path, rules) as node:
        killed = node.pid_of(role)

        def kill_and_restart() -> None:
            halfway.wait()
            node.kill(role)
            if role == "run":
                node.start()

        killer = threading.Thread(target=kill_and_restart)
        killer.start()
        acknowledged = send_until_all_acknowledged(node, instances, halfway)
        killer.join()

        wait_for(lambda: acknowledged <= set(recorder.received), "delivery of everything")
        assert len(acknowledged) == INSTANCES
        wait_for(lambda: node.pid_of(role) != killed, "the killed process to be replaced")
        with pytest.raises(ProcessLookupError):
            os.kill(killed, 0)
        wait_for(lambda: audited_instances(auditors) >= INSTANCES, "the audit of everything")
    auditors.close()
