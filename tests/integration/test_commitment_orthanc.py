"""Storage commitment with Orthanc, which reports on new associations, in both directions."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import SystemRandom
from typing import Any

import httpx
import pytest
from pydicom.dataset import Dataset

from node.deliver.association import Peer
from node.deliver.destination import OutboundInstance
from node.deliver.dimse import DimseSender
from node.model.records import Delivery
from node.model.states import DeliveryState
from node.model.work import WorkKind
from node.pipeline.commitments import CommitmentRequests, Committing
from node.settings.trust import Source
from tests.inline_jobs import reporting_receiver
from tests.node_process import wait_for
from tests.outbound import STUDY, ct_slice
from tests.peers import RunningOrthanc, free_port, running_orthanc
from tests.receiver import Node, send

pytestmark = pytest.mark.orthanc


@contextmanager
def orthanc_and_node(folder: Path) -> Iterator[tuple[RunningOrthanc, Node]]:
    """Run a receiver that knows Orthanc, and an Orthanc that knows the receiver."""
    dicom_port = free_port()
    source = Source(ae_title="ORTHANC", host="127.0.0.1", port=dicom_port)
    scanner = Source(ae_title="SCANNER")
    (folder / "node").mkdir()
    (folder / "orthanc").mkdir()
    with reporting_receiver(folder / "node", source, scanner) as node:
        modality = {
            "AET": "RADNODE",
            "Host": "127.0.0.1",
            "Port": node.scp.server_address[1],
            "AllowStorageCommitment": True,
        }
        with running_orthanc(
            folder / "orthanc", DicomModalities={"radnode": modality}, DicomPort=dicom_port
        ) as orthanc:
            yield orthanc, node


def received(node: Node, count: int) -> list[Dataset]:
    """Give the node slices of a CT."""
    slices = [ct_slice(number) for number in range(1, count + 1)]
    assoc = node.associate()
    assert [send(assoc, one) for one in slices] == [0x0000] * count
    assoc.release()
    return slices


def delivered(node: Node, orthanc: RunningOrthanc, slices: list[Dataset]) -> None:
    """Send the slices to Orthanc and note it, as the worker does."""
    peer = Peer("ORTHANC", "127.0.0.1", orthanc.dicom_port, "RADNODE")
    outbound = []
    for one in slices:
        kept = node.catalog.instances.get(str(one.SOPInstanceUID))
        assert kept is not None
        outbound.append(
            OutboundInstance(
                kept.sop_instance_uid,
                kept.sop_class_uid,
                kept.transfer_syntax_uid,
                node.files.absolute(kept.path),
            )
        )
    node.catalog.deliveries.add("b", "pacs", [o.sop_instance_uid for o in outbound], 1.0)
    for outcome in DimseSender("pacs", peer).send(outbound):
        assert outcome.state == "delivered"
        node.catalog.deliveries.put_outcome(
            outcome.sop_instance_uid, "pacs", DeliveryState.DELIVERED, "", 2.0
        )


def asked(node: Node, orthanc: RunningOrthanc) -> None:
    """Ask Orthanc to commit to what it took."""
    peer = Peer("ORTHANC", "127.0.0.1", orthanc.dicom_port, "RADNODE")
    asking = {"pacs": Committing(peer, timeout_s=1000.0, wait_s=30.0)}
    commitments = CommitmentRequests(node.catalog, asking, SystemRandom().random)
    commitments.tick()
    for task in node.catalog.work.open(WorkKind.ASK, "pacs"):
        commitments.ask(task)


def rows(node: Node) -> dict[str, Delivery]:
    """Return the deliveries by instance."""
    return {one.sop_instance_uid: one for one in node.catalog.delivery_states.of_study(STUDY)}


def test_orthanc_commits_to_what_it_holds_and_gets_again_what_it_lost(tmp_path: Path) -> None:
    """One of three is deleted behind our back: the report says 0112, it is sent and asked anew."""
    with orthanc_and_node(tmp_path) as (orthanc, node):
        slices = received(node, 3)
        delivered(node, orthanc, slices)
        lost = str(slices[1].SOPInstanceUID)
        (found,) = httpx.post(f"{orthanc.url}/tools/lookup", content=lost, timeout=30).json()
        httpx.delete(f"{orthanc.url}{found['Path']}", timeout=30).raise_for_status()

        asked(node, orthanc)
        wait_for(lambda: rows(node)[lost].state == "pending", "the report", 60)

        assert "0112" in rows(node)[lost].reason
        others = [row.commitment for uid, row in rows(node).items() if uid != lost]
        assert others == ["committed", "committed"]

        batch = rows(node)[lost].batch
        assert [one.sop_instance_uid for one in node.catalog.pending.of_batch(batch, "pacs")] == [
            lost
        ]
        delivered(node, orthanc, [slices[1]])
        asked(node, orthanc)
        wait_for(lambda: rows(node)[lost].commitment == "committed", "the second report", 60)

        told = [e.event for e in node.catalog.ledger.history(STUDY) if e.subject == lost]
        assert told == ["received", "sent", "commitment failed", "sent", "committed"]


def test_orthanc_is_told_what_we_hold(tmp_path: Path) -> None:
    """It asks, releases, and listens: held, of another class, and unknown."""
    with orthanc_and_node(tmp_path) as (orthanc, node):
        first, second = received(node, 2)
        wanted = [
            [str(first.SOPClassUID), str(first.SOPInstanceUID)],
            ["1.2.840.10008.5.1.4.1.1.4", str(second.SOPInstanceUID)],
            [str(first.SOPClassUID), "1.2.3.4.5"],
        ]
        asked = httpx.post(
            f"{orthanc.url}/modalities/radnode/storage-commitment",
            json={"DicomInstances": wanted},
            timeout=60,
        )
        asked.raise_for_status()
        place = asked.json()["Path"]

        def report() -> dict[str, Any]:
            return dict(orthanc.get(place))

        wait_for(lambda: report()["Status"] != "Pending", "the report", 60)

        told = report()
        assert told["Status"] == "Failure"
        assert [one["SOPInstanceUID"] for one in told["Success"]] == [str(first.SOPInstanceUID)]
        reasons = {one["SOPInstanceUID"]: one["FailureReason"] for one in told["Failures"]}
        assert reasons == {str(second.SOPInstanceUID): 0x0119, "1.2.3.4.5": 0x0112}
