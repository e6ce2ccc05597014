"""A Storage Commitment SCP that behaves, or misbehaves, as a test tells it to."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import cast

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import N_ACTION_RSP
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.dsutils import encode
from pynetdicom.transport import ThreadedAssociationServer

from node.commitment.messages import PUSH_MODEL, PUSH_MODEL_INSTANCE, read_request, report_of
from node.model.commitment import Failed, Reference
from node.wire.requestor import make_requestor

AE_TITLE = "PACS"


@dataclass
class Request:
    """One N-ACTION as it came."""

    transaction_uid: str
    wanted: list[Reference]
    association: Association


Behaviour = Callable[["CommitmentPeer", Request], None]


@dataclass
class CommitmentPeer:
    """What the peer was asked, and how it goes on.

    Attributes
    ----------
    status : int
        Answer to an N-ACTION.
    at_once : callable
        Done before the answer leaves.
    then : callable
        Done after it has left.
    """

    status: int = 0x0000
    at_once: Behaviour = lambda _peer, _request: None
    then: Behaviour = lambda _peer, _request: None
    requests: list[Request] = field(default_factory=list)
    statuses: list[int | None] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    port: int = 0
    _answering: bool = False

    def asked(self, event: evt.Event) -> tuple[int, None]:
        """Remember the request."""
        transaction, wanted = read_request(event.action_information)
        request = Request(transaction, wanted, event.assoc)
        self.requests.append(request)
        self.at_once(self, request)
        return self.status, None

    def message_sent(self, event: evt.Event) -> None:
        """See the answer coming."""
        self._answering = self._answering or isinstance(event.message, N_ACTION_RSP)

    def pdu_sent(self, _event: evt.Event) -> None:
        """Go on, in a thread, once the answer has left."""
        if self._answering:
            self._answering = False
            threading.Thread(target=self.then, args=(self, self.requests[-1])).start()

    def store(self, event: evt.Event) -> int:
        """Take an instance."""
        self.stored.append(str(event.request.AffectedSOPInstanceUID))  # type: ignore[union-attr]
        return 0x0000

    def report(
        self,
        request: Request,
        committed: Sequence[Reference],
        failed: Sequence[Failed] = (),
        transaction_uid: str = "",
    ) -> None:
        """Report on the association of the request."""
        kind, ds = report_of(transaction_uid or request.transaction_uid, committed, failed)
        status, _ = request.association.send_n_event_report(
            ds, kind, PUSH_MODEL, PUSH_MODEL_INSTANCE
        )
        self.statuses.append(status.get("Status"))


def commit_all(peer: CommitmentPeer, request: Request) -> None:
    """Answer for everything, on the same association."""
    peer.report(request, request.wanted)


def report_early(peer: CommitmentPeer, request: Request) -> None:
    """Send the report ahead of the answer to the N-ACTION, and wait for nothing."""
    kind, ds = report_of(request.transaction_uid, request.wanted, [])
    (context,) = [
        one for one in request.association.accepted_contexts if one.abstract_syntax == PUSH_MODEL
    ]
    report = N_EVENT_REPORT()
    report.MessageID = 7
    report.AffectedSOPClassUID = PUSH_MODEL
    report.AffectedSOPInstanceUID = PUSH_MODEL_INSTANCE
    report.EventTypeID = kind
    syntax = context.transfer_syntax[0]
    report.EventInformation = BytesIO(
        cast("bytes", encode(ds, syntax.is_implicit_VR, syntax.is_little_endian))
    )
    request.association.dimse.send_msg(report, cast("int", context.context_id))


def report_anew(
    address: tuple[str, int],
    called: str,
    event_type: int,
    information: Dataset,
    instance: str = PUSH_MODEL_INSTANCE,
) -> int | None:
    """Report on a new association, as SCP of the class by role selection."""
    ae = AE(AE_TITLE)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
    ae.add_requested_context(PUSH_MODEL)
    role = build_role(PUSH_MODEL, scp_role=True)
    opened: list[evt.EventHandlerType] = [(evt.EVT_CONN_OPEN, make_requestor)]
    assoc = ae.associate(*address, ae_title=called, ext_neg=[role], evt_handlers=opened)
    assert assoc.is_established
    (context,) = assoc.accepted_contexts
    assert context.as_scp  # the node accepts that we are the SCP here
    status, _ = assoc.send_n_event_report(information, event_type, PUSH_MODEL, instance)
    assoc.release()
    return cast("int | None", status.get("Status"))


@contextmanager
def commitment_peer(behaviour: CommitmentPeer, commits: bool = True) -> Iterator[CommitmentPeer]:
    """Run the peer on a free port; with `commits` false it takes images and nothing else."""
    ae = AE(AE_TITLE)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
    if commits:
        ae.add_supported_context(PUSH_MODEL, scu_role=True, scp_role=True)
    ae.add_supported_context(CTImageStorage)
    handlers: list[evt.EventHandlerType] = [
        (evt.EVT_CONN_OPEN, make_requestor),  # for the reports it sends
        (evt.EVT_N_ACTION, behaviour.asked),
        (evt.EVT_DIMSE_SENT, behaviour.message_sent),
        (evt.EVT_PDU_SENT, behaviour.pdu_sent),
        (evt.EVT_C_STORE, behaviour.store),
    ]
    server = cast(
        "ThreadedAssociationServer",
        ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers),
    )
    behaviour.port = int(server.server_address[1])
    try:
        yield behaviour
    finally:
        server.shutdown()
