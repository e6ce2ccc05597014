"""The receiver's side of storage commitment: reports that come, and requests of peers."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, CTImageStorage, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dimse_primitives import N_ACTION
from pynetdicom.transport import ThreadedAssociationServer

from node.commitment.messages import (
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    CommitmentReport,
    read_report,
    report_of,
    request_of,
)
from node.model.commitment import Failed, Reference
from node.model.states import DeliveryState
from node.model.work import TaskKey, WorkKind
from node.receive.negotiation import PLAIN
from node.settings.tls import server_context
from node.settings.trust import ClientTlsTable, Source
from node.wire.notification import notify
from node.wire.requestor import make_requestor
from tests.certificates import Authority
from tests.commitment_peer import report_anew
from tests.due_time import pass_time
from tests.inline_jobs import reporting_receiver
from tests.node_process import wait_for
from tests.outbound import STUDY, ct_slice
from tests.receiver import Node, running_receiver, send

TRANSACTION = "2.25.4711"


@dataclass
class Scanner:
    """A Storage Commitment SCU: sends, asks, and hears reports on either association."""

    heard: list[tuple[int, CommitmentReport]] = field(default_factory=list)
    answer: int = 0x0000
    port: int = 0
    patience: Callable[[], object] = lambda: None
    over: list[Association] = field(default_factory=list)

    def report(self, event: evt.Event) -> tuple[int, None]:
        """Remember a report."""
        assert event.event_type is not None
        self.patience()
        self.heard.append((event.event_type, read_report(event.event_information)))
        self.over.append(event.assoc)
        return self.answer, None

    def associate(self, node: Node, syntax: UID = ImplicitVRLittleEndian) -> Association:
        """Open an association on which reports are heard, too."""
        ae = AE("SCANNER")
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
        ae.add_requested_context(CTImageStorage)
        ae.add_requested_context(PUSH_MODEL, syntax)
        handlers: list[evt.EventHandlerType] = [
            (evt.EVT_CONN_OPEN, make_requestor),
            (evt.EVT_N_EVENT_REPORT, self.report),
        ]
        assoc = ae.associate(*node.scp.server_address, ae_title="RADNODE", evt_handlers=handlers)
        assert assoc.is_established
        return assoc


@contextmanager
def listening(secure: ssl.SSLContext | None = None) -> Iterator[Scanner]:
    """Run a scanner that also listens for reports on new associations."""
    made = Scanner()
    ae = AE("SCANNER")
    ae.add_supported_context(PUSH_MODEL, scu_role=True, scp_role=True)
    server = cast(
        "ThreadedAssociationServer",
        ae.start_server(
            ("127.0.0.1", 0),
            block=False,
            ssl_context=secure,
            evt_handlers=[(evt.EVT_N_EVENT_REPORT, made.report)],
        ),
    )
    made.port = int(server.server_address[1])
    try:
        yield made
    finally:
        server.shutdown()


@pytest.fixture
def scanner() -> Iterator[Scanner]:
    """Run a scanner that listens unencrypted."""
    with listening() as made:
        yield made


@pytest.fixture
def node(tmp_path: Path, scanner: Scanner) -> Iterator[Node]:
    """Run a node that knows where the scanner listens."""
    source = Source(ae_title="SCANNER", host="127.0.0.1", port=scanner.port)
    with reporting_receiver(tmp_path, source, Source(ae_title="PACS")) as running:
        yield running


def stored(node: Node, scanner: Scanner, count: int = 2) -> list[Reference]:
    """Send slices and return the references to them."""
    slices = [ct_slice(number) for number in range(1, count + 1)]
    assoc = scanner.associate(node)
    assert [send(assoc, one) for one in slices] == [0x0000] * count
    assoc.release()
    return [Reference(str(one.SOPClassUID), str(one.SOPInstanceUID)) for one in slices]


def ask(
    assoc: Association,
    wanted: list[Reference],
    transaction: str = TRANSACTION,
    action: int = 1,
    instance: str = PUSH_MODEL_INSTANCE,
) -> int:
    """Send an N-ACTION and return the status of its response."""
    status, _ = assoc.send_n_action(
        request_of(transaction, wanted), action, PUSH_MODEL, UID(instance)
    )
    return int(status.Status)


def heard(scanner: Scanner, count: int = 1) -> None:
    """Wait for reports."""
    wait_for(lambda: len(scanner.heard) >= count, "the report", 60)


def state(node: Node, transaction: str = TRANSACTION) -> str:
    """Return how the request stands."""
    promise = node.catalog.promises.get(transaction, "SCANNER")
    assert promise is not None
    return promise.state


def leave(assoc: Association, node: Node, *transactions: str) -> None:
    """Release once the node knows that its reports were taken: the answer may not be out yet."""
    every = transactions or (TRANSACTION,)
    wait_for(lambda: all(state(node, one) == "reported" for one in every), "the rows", 60)
    assoc.release()


def test_what_we_hold_is_committed_on_the_same_association(node: Node, scanner: Scanner) -> None:
    """Success first, the report after it; the ledger tells whom we gave our word."""
    wanted = stored(node, scanner)
    assoc = scanner.associate(node)
    assert ask(assoc, wanted) == 0x0000
    heard(scanner)
    assert assoc.is_established
    leave(assoc, node)

    (kind, report) = scanner.heard[0]
    assert (kind, report.transaction_uid, list(report.committed)) == (1, TRANSACTION, wanted)
    wait_for(lambda: state(node) == "reported", "the row", 30)
    told = [e for e in node.catalog.ledger.history(STUDY) if e.event == "committed"]
    assert [(e.subject, e.detail["for"]) for e in told] == [
        (one.sop_instance_uid, "SCANNER") for one in wanted
    ]


@pytest.mark.parametrize("syntax", PLAIN)
def test_a_report_is_encoded_as_was_negotiated(node: Node, scanner: Scanner, syntax: str) -> None:
    """Deflated as well: whoever cannot read it hears nothing on this association."""
    assoc = scanner.associate(node, UID(syntax))
    assert ask(assoc, [Reference(CTImageStorage, "1.2.3")]) == 0x0000
    heard(scanner)
    leave(assoc, node)

    assert scanner.over == [assoc]


def test_no_report_overtakes_the_answer(
    node: Node, scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even one that is due between the row and the response."""
    early: list[object] = []
    encode_msg = DIMSEMessage.primitive_to_message

    def slow(self: DIMSEMessage, message: Any) -> None:
        if isinstance(message, N_ACTION) and message.Status is not None:
            threading.Event().wait(0.5)
            early.extend(scanner.heard)
        encode_msg(self, message)

    monkeypatch.setattr(DIMSEMessage, "primitive_to_message", slow)
    assoc = scanner.associate(node)
    assert ask(assoc, [Reference(CTImageStorage, "1.2.3")]) == 0x0000
    heard(scanner)
    leave(assoc, node)

    assert early == []


def test_who_has_left_is_told_on_a_new_association(node: Node, scanner: Scanner) -> None:
    """At the address of [[sources]], with us as SCP by role selection."""
    wanted = stored(node, scanner)
    assoc = scanner.associate(node)
    ask(assoc, wanted)
    assoc.abort()

    heard(scanner)

    assert list(scanner.heard[0][1].committed) == wanted
    wait_for(lambda: state(node) == "reported", "the row", 30)


def test_the_new_association_is_over_tls_where_the_source_listens_so(
    tmp_path: Path, signer: Authority
) -> None:
    """Trusted by the authority that its entry names."""
    with listening(server_context(signer.pair(), None, "none")) as scanner:
        trusted = ClientTlsTable(ca_file=signer.ca)
        source = Source(ae_title="SCANNER", host="127.0.0.1", port=scanner.port, tls=trusted)
        (tmp_path / "node").mkdir()
        with reporting_receiver(tmp_path / "node", source) as node:
            wanted = stored(node, scanner)
            node.catalog.promises.promise(TRANSACTION, "SCANNER", wanted, "gone", node.now)
            node.catalog.claims.give_up("gone", [WorkKind.REPORT])
            heard(scanner)

    assert list(scanner.heard[0][1].committed) == wanted


def test_images_and_requests_cross_a_report(node: Node, scanner: Scanner) -> None:
    """On one association: store, ask, store, ask; nothing is taken for something else."""
    assoc = scanner.associate(node)
    for number in range(1, 9):
        one = ct_slice(number)
        assert send(assoc, one) == 0x0000
        reference = Reference(str(one.SOPClassUID), str(one.SOPInstanceUID))
        assert ask(assoc, [reference], f"2.25.{number}") == 0x0000
    asked = [f"2.25.{number}" for number in range(1, 9)]
    heard(scanner, len(asked))
    leave(assoc, node, *asked)

    assert {report.transaction_uid for _, report in scanner.heard} == set(asked)
    assert {kind for kind, _ in scanner.heard} == {1}


def _not_there(node: Node, wanted: list[Reference]) -> list[Reference]:
    return [*wanted, Reference(CTImageStorage, "1.2.3.4.5")]


def _of_another_class(node: Node, wanted: list[Reference]) -> list[Reference]:
    return [wanted[0], Reference("1.2.840.10008.5.1.4.1.1.4", wanted[1].sop_instance_uid)]


def _without_its_file(node: Node, wanted: list[Reference]) -> list[Reference]:
    path_of(node, wanted[1]).unlink()
    return wanted


def _gone_bad(node: Node, wanted: list[Reference]) -> list[Reference]:
    path = path_of(node, wanted[1])
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    return wanted


def _in_conflict(node: Node, wanted: list[Reference]) -> list[Reference]:
    other = ct_slice(2)
    other.PixelData = bytes(len(other.PixelData))
    assoc = node.associate(CTImageStorage)
    assert send(assoc, other) == 0x0000
    assoc.release()
    return wanted


def path_of(node: Node, one: Reference) -> Path:
    """Return the file of an instance."""
    kept = node.catalog.instances.get(one.sop_instance_uid)
    assert kept is not None
    return node.files.absolute(kept.path)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_not_there, 0x0112),
        (_of_another_class, 0x0119),
        (_without_its_file, 0x0112),
        (_gone_bad, 0x0110),
        (_in_conflict, 0x0110),
    ],
)
def test_nobody_is_promised_what_we_do_not_hold(
    node: Node, scanner: Scanner, spoil: object, reason: int
) -> None:
    """Read to the last byte; a reason for each; the others are committed all the same."""
    assert callable(spoil)
    wanted = spoil(node, stored(node, scanner))
    assoc = scanner.associate(node)
    ask(assoc, wanted)
    heard(scanner)
    leave(assoc, node)

    kind, report = scanner.heard[0]
    assert kind == 2
    assert report.failed == (Failed(wanted[-1], reason),)
    assert list(report.committed) == wanted[:-1]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"action": 2}, 0x0123),
        ({"instance": "1.2.3"}, 0x0112),
        ({"wanted": []}, 0x0115),
        ({"transaction": ""}, 0x0115),
    ],
    ids=["action", "instance", "nothing named", "no transaction"],
)
def test_a_wrong_request_is_refused(
    node: Node, scanner: Scanner, change: dict[str, object], status: int
) -> None:
    """With a status of PS3.7 Annex C; nothing is owed."""
    assoc = scanner.associate(node)
    arguments = {"wanted": [Reference(CTImageStorage, "1.2.3")]} | change
    assert ask(assoc, **arguments) == status  # type: ignore[arg-type]
    assoc.release()

    assert node.catalog.work.open(WorkKind.REPORT, "SCANNER") == []


def test_a_transaction_in_use_is_refused_and_a_repeat_is_told_again(
    node: Node, scanner: Scanner
) -> None:
    """The same question again gets the same answer; another one under its name does not."""
    wanted = stored(node, scanner)
    assoc = scanner.associate(node)
    assert ask(assoc, wanted) == 0x0000
    heard(scanner, 1)
    assert ask(assoc, wanted) == 0x0000
    heard(scanner, 2)
    assert ask(assoc, wanted[:1]) == 0x0115
    assoc.release()

    assert scanner.heard[0] == scanner.heard[1]


def test_what_is_asked_again_before_its_report_is_noted_is_told_again(
    node: Node, scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer was Success: a report is owed, whatever became of the one before."""
    asked_again = threading.Event()

    def late(*report: Any) -> int | None:
        status = notify(*report)
        asked_again.wait(30)
        return status

    monkeypatch.setattr("node.receive.commitment_scp.notify", late)
    wanted = stored(node, scanner)
    assoc = scanner.associate(node)
    ask(assoc, wanted)
    heard(scanner, 1)
    assert ask(assoc, wanted) == 0x0000
    asked_again.set()

    heard(scanner, 2)
    assoc.release()
    wait_for(lambda: state(node) == "reported", "the row", 30)
    wait_for(lambda: not node.catalog.work.open(WorkKind.REPORT, "SCANNER"), "the end of both", 30)
    noted = [one for one in node.catalog.ledger.history(STUDY) if one.event == "committed"]
    assert len(noted) == len(wanted)  # of the second: the first was overtaken


def test_a_scanner_without_an_address_that_has_left_is_parked_with_the_reason(
    tmp_path: Path, scanner: Scanner
) -> None:
    """It may ask again; the operator sees why it was not told."""
    with reporting_receiver(tmp_path) as node:
        wanted = stored(node, scanner)
        assoc = scanner.associate(node)
        ask(assoc, wanted)
        assoc.abort()
        wait_for(lambda: state(node) != "owed", "the verdict", 60)

        promise = node.catalog.promises.get(TRANSACTION, "SCANNER")
        assert promise is not None
        if not scanner.heard:  # the report may have gone out ahead of the abort
            assert (promise.state, promise.reason) == (
                "parked", "[[sources]] has no address for SCANNER",
            )  # fmt: skip


def test_a_report_that_is_not_taken_is_owed_until_it_is(node: Node, scanner: Scanner) -> None:
    """The scanner is busy for a while; the wait is of the rows, not of a thread."""
    wanted = stored(node, scanner)
    scanner.answer = 0x0213
    assoc = scanner.associate(node)
    ask(assoc, wanted)
    heard(scanner, 2)  # here, and then on a new association
    assoc.release()
    wait_for(lambda: _attempts(node) == 1, "the failed attempt", 30)
    assert state(node) == "owed"

    scanner.answer = 0x0000
    pass_time(node, 3600)
    wait_for(lambda: state(node) == "reported", "the report", 60)


def _attempts(node: Node) -> int:
    task = node.catalog.work.task(TaskKey(WorkKind.REPORT, "SCANNER", TRANSACTION))
    assert task is not None
    return task.attempts


def test_what_was_owed_is_reported_after_a_restart(tmp_path: Path, scanner: Scanner) -> None:
    """Killed between its answer and the report: the row is there, the association is not."""
    with running_receiver(tmp_path) as node:
        wanted = stored(node, scanner)
        holder = node.scp.holder
    node.catalog.promises.promise(TRANSACTION, "SCANNER", wanted, holder, 1000.0)

    source = Source(ae_title="SCANNER", host="127.0.0.1", port=scanner.port)
    with reporting_receiver(tmp_path, source):
        heard(scanner)

    assert list(scanner.heard[0][1].committed) == wanted


def delivered_and_asked(node: Node) -> Reference:
    """Give the receiver's catalog an instance that "pacs" was asked to commit to."""
    scanner = Scanner()
    (one,) = stored(node, scanner, 1)
    uid = one.sop_instance_uid
    node.catalog.deliveries.add("b", "pacs", [uid], 1.0)
    node.catalog.deliveries.put_outcome(uid, "pacs", DeliveryState.DELIVERED, "", 2.0)
    assert node.catalog.requests.open("pacs", TRANSACTION, 10, 1000.0, 2000.0) == 1
    return one


def test_a_report_on_a_new_association_commits(node: Node) -> None:
    """The peer is SCU of the association and SCP of the class; a repeat changes nothing."""
    one = delivered_and_asked(node)
    kind, ds = report_of(TRANSACTION, [one], [])

    statuses = [report_anew(node.scp.server_address, "RADNODE", kind, ds) for _ in range(2)]

    assert statuses == [0x0000, 0x0000]
    assert [row.commitment for row in node.catalog.delivery_states.of_study(STUDY)] == [
        "committed"
    ]
    assert [e.event for e in node.catalog.ledger.history(STUDY)].count("committed") == 1


def test_failures_on_a_new_association_are_sent_again(node: Node) -> None:
    """The receiver writes the rows; the worker sees what is due."""
    one = delivered_and_asked(node)
    kind, ds = report_of(TRANSACTION, [], [Failed(one, 0x0112)])

    assert report_anew(node.scp.server_address, "RADNODE", kind, ds) == 0x0000
    (row,) = node.catalog.delivery_states.of_study(STUDY)
    assert row.state == "pending"
    assert row.batch.startswith("again/")


def _unknown() -> tuple[int, Dataset, str]:
    kind, ds = report_of("1.2.3", [Reference(CTImageStorage, "1.2.3.4")], [])
    return kind, ds, PUSH_MODEL_INSTANCE


def _of_another_instance() -> tuple[int, Dataset, str]:
    kind, ds, _ = _unknown()
    return kind, ds, "1.2.3"


def _of_another_kind() -> tuple[int, Dataset, str]:
    _, ds, instance = _unknown()
    return 3, ds, instance


def _nameless() -> tuple[int, Dataset, str]:
    kind, ds, instance = _unknown()
    del ds.TransactionUID
    return kind, ds, instance


@pytest.mark.parametrize(
    ("report", "status"),
    [
        (_unknown(), 0x0110),
        (_of_another_instance(), 0x0112),
        (_of_another_kind(), 0x0113),
        (_nameless(), 0x0115),
    ],
    ids=["transaction", "instance", "event type", "no transaction"],
)
def test_a_wrong_report_is_refused(
    node: Node, report: tuple[int, Dataset, str], status: int
) -> None:
    """With a status of PS3.7 Annex C, and no row is touched."""
    delivered_and_asked(node)
    kind, ds, instance = report

    assert report_anew(node.scp.server_address, "RADNODE", kind, ds, instance) == status
    assert [row.commitment for row in node.catalog.delivery_states.of_study(STUDY)] == ["asked"]


def test_images_come_in_while_a_slow_scanner_is_told(node: Node, scanner: Scanner) -> None:
    """Promise 4: the report waits for its response in a thread of its own."""
    wanted = stored(node, scanner)
    released = threading.Event()
    scanner.patience = lambda: released.wait(30)
    assoc = scanner.associate(node)
    ask(assoc, wanted)
    try:
        other = node.associate(CTImageStorage)
        assert send(other, ct_slice(9)) == 0x0000
        other.release()
    finally:
        released.set()
    heard(scanner)
    leave(assoc, node)
