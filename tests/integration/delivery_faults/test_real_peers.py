"""Real peers that fail: dcmtk's storescp and Orthanc, killed and stopped under a delivery."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from node.deliver.attempts import Retries
from node.deliver.destination import Destination, OutboundInstance, Outcome, Wanted, everything
from node.deliver.dicomweb import DicomwebSender
from node.deliver.folder import FolderSender
from node.deliver.orthanc import OrthancSender
from node.deliver.turns import Terms
from tests.delivery_desk import Desk, dimse
from tests.peers import RunningOrthanc, free_port, running_storescp

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@dataclass
class Interrupted:
    """A destination under which something happens after so many outcomes, once."""

    inner: Destination
    after: int
    happens: Callable[[], None]
    happened: bool = False

    @property
    def name(self) -> str:
        """That of the destination."""
        return self.inner.name

    def send(
        self, instances: Sequence[OutboundInstance], wanted: Wanted = everything
    ) -> Iterator[Outcome]:
        """Send; and let it happen."""
        for number, outcome in enumerate(self.inner.send(instances, wanted), 1):
            yield outcome
            if number == self.after and not self.happened:
                self.happened = True
                self.happens()

    def check(self) -> str:
        """Ask it."""
        return self.inner.check()


def _arrived(folder: Path) -> set[str]:
    return {path.name.split(".", 1)[1] for path in folder.iterdir()}


@pytest.mark.dcmtk
def test_storescp_killed_in_the_midst_and_started_again(
    tmp_path: Path, dcmtk: dict[str, str]
) -> None:
    """SIGKILL after three of ten: what it had answered is not sent again, all arrives."""
    port, out = free_port(), tmp_path / "out"
    (tmp_path / "node").mkdir()
    with running_storescp(dcmtk["storescp"], out, port) as process:
        target = Interrupted(dimse(port), 3, process.kill)
        desk = Desk(tmp_path / "node", {"pacs": target})
        uids = desk.add("b", 10)

        desk.look()

        assert desk.states().count("delivered") == 3
        desk.check()
    with running_storescp(dcmtk["storescp"], out, port):
        desk.go_on()

    assert desk.states() == ["delivered"] * 10
    assert len(_arrived(out)) == len(uids)
    assert [one.attempts for one in desk.rows(uids)].count(1) >= 8
    desk.check()
    desk.close()


@pytest.mark.dcmtk
@pytest.mark.parametrize("option", ["--refuse", "--abort-after", "--abort-during"])
def test_storescp_that_fails_on_its_own_account_and_then_does_not(
    tmp_path: Path, dcmtk: dict[str, str], option: str
) -> None:
    """Rejected, or dropped before or within an instance."""
    port, out = free_port(), tmp_path / "out"
    (tmp_path / "node").mkdir()
    desk = Desk(tmp_path / "node", {"pacs": dimse(port)})
    desk.add("b", 4)
    with running_storescp(dcmtk["storescp"], out, port, option):
        desk.look()
        assert "pending" in desk.states()
        desk.check()
    with running_storescp(dcmtk["storescp"], out, port):
        desk.go_on()

    assert desk.states() == ["delivered"] * 4
    assert len(_arrived(out)) == 4
    desk.check()
    desk.close()


@pytest.mark.dcmtk
@pytest.mark.parametrize("places", [(0,), (2,), (4,), (0, 1), (1, 3)], ids=str)
def test_an_element_of_odd_length_costs_its_instance_alone(
    tmp_path: Path, dcmtk: dict[str, str], places: tuple[int, ...]
) -> None:
    """Storescp ends the association over it (PS3.5 7.1.1); it waits with its reason."""
    port, out = free_port(), tmp_path / "out"
    (tmp_path / "node").mkdir()
    terms = {"pacs": Terms(break_after=2, retries=Retries(attempts=5))}
    desk = Desk(tmp_path / "node", {"pacs": dimse(port)}, terms)
    uids = desk.add("b", 5)
    odd = {uids[place] for place in places}
    for uid in odd:
        path = desk.folder / f"{uid}.dcm"
        data = path.read_bytes()
        at = data.index(b"\x10\0\x10\0PN")
        private = b"\x09\0\x10\0LO\4\0ACME\x09\0\x01\x10LO\3\0abc"
        path.write_bytes(data[:at] + private + data[at:])

    with running_storescp(dcmtk["storescp"], out, port):
        desk.go_on()

    states = {one.sop_instance_uid: one.state for one in desk.rows(uids)}
    assert {uid for uid, state in states.items() if state == "parked"} == odd
    assert {uid for uid, state in states.items() if state == "delivered"} == set(uids) - odd
    assert _arrived(out) == set(uids) - odd
    assert all("ended the association" in one.reason for one in desk.rows(sorted(odd)))
    if len(odd) == 1:
        assert desk.catalog.outlets.get("pacs").circuit.openings == 0
    desk.check()
    desk.close()


@pytest.mark.orthanc
@pytest.mark.parametrize("kind", ["dimse", "stow", "rest"])
def test_orthanc_goes_on_with_its_life_between_two_attempts(
    tmp_path: Path, orthanc: RunningOrthanc, kind: str
) -> None:
    """Paused in the midst by the operator of the node, resumed: all there, once."""
    (tmp_path / "node").mkdir()
    targets: dict[str, Destination] = {
        "dimse": dimse(orthanc.dicom_port, ae_title=orthanc.ae_title),
        "stow": DicomwebSender("pacs", orthanc.dicomweb_url),
        "rest": OrthancSender("pacs", orthanc.url),
    }
    desk = Desk(tmp_path / "node", {"pacs": targets[kind]})
    uids = desk.add("again/1.2.3/1", 6)
    target = Interrupted(
        targets[kind], 2, lambda: desk.catalog.outlets.set_paused("pacs", True, desk.now)
    )
    desk.worker.delivering.destinations["pacs"] = target  # type: ignore[index]

    desk.look()
    desk.catalog.outlets.set_paused("pacs", False, desk.now)
    desk.go_on()

    assert desk.states() == ["delivered"] * 6
    assert orthanc.sop_instance_uids() == set(uids)
    desk.check()
    desk.close()


@pytest.mark.orthanc
def test_orthanc_that_stands_still_and_goes_on(tmp_path: Path, orthanc: RunningOrthanc) -> None:
    """SIGSTOP is a peer that keeps the line and answers nothing; the circuit opens and closes."""
    (tmp_path / "node").mkdir()
    sender = dimse(orthanc.dicom_port, response_s=3.0, ae_title=orthanc.ae_title)
    target = Interrupted(sender, 2, lambda: os.kill(orthanc.pid, signal.SIGSTOP))
    desk = Desk(tmp_path / "node", {"pacs": target}, {"pacs": Terms(break_after=1)})
    uids = desk.add("b", 5)
    try:
        desk.look()
        assert desk.states().count("delivered") == 2
        desk.check()
        desk.now += 3600
        desk.look()
        assert desk.catalog.outlets.get("pacs").circuit.state == "open"
    finally:
        os.kill(orthanc.pid, signal.SIGCONT)
    desk.go_on()

    assert desk.states() == ["delivered"] * 5
    assert orthanc.sop_instance_uids() == set(uids)
    assert desk.catalog.outlets.get("pacs").circuit.state == "closed"
    desk.check()
    desk.close()


def test_a_folder_that_is_not_mounted_and_then_is(tmp_path: Path) -> None:
    """The share is away: no file, no folder in its place; then whole files under their names."""
    (tmp_path / "node").mkdir()
    share = tmp_path / "mnt"
    desk = Desk(tmp_path / "node", {"pacs": FolderSender("pacs", share / "images")})
    uids = desk.add("b", 3)
    desk.look()
    assert desk.states() == ["pending"] * 3
    assert not share.exists()
    desk.check()

    share.mkdir()
    desk.go_on()

    assert desk.states() == ["delivered"] * 3
    assert sorted(path.name for path in (share / "images").iterdir()) == [f"{u}.dcm" for u in uids]
    desk.close()
