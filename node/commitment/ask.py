"""Asking one destination to commit: N-ACTION, and a report that comes while we stay."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Final, cast

from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import N_ACTION_RSP, N_EVENT_REPORT_RSP
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.presentation import build_context

from node.commitment.messages import PUSH_MODEL, PUSH_MODEL_INSTANCE, REQUEST, request_of
from node.commitment.reports import Reports
from node.deliver.association import Peer, associated
from node.errors import PermanentDeliveryError, TransientDeliveryError
from node.model.commitment import Reference

_LOOK_S: Final = 0.1
_MESSAGE_ID: Final = 1


@dataclass
class ReportLine:
    """Takes reports of one association, and knows when an answer to one has left."""

    reports: Reports
    sender: str
    busy: bool = field(default=False)
    answering: bool = field(default=False)
    replied_to: int | None = field(default=None)
    answered: threading.Event = field(default_factory=threading.Event)

    def report(self, event: evt.Event) -> tuple[int, None]:
        """Take a report, and return the status that its sender is answered."""
        self.busy = True
        request = cast("N_EVENT_REPORT", event.request)
        status = self.reports.take(
            str(request.AffectedSOPInstanceUID or ""),
            request.EventTypeID,
            lambda: event.event_information,
            self.sender,
        )
        return int(status), None

    def message_received(self, event: evt.Event) -> None:
        """Note which of our messages an answer is to."""
        if isinstance(event.message, N_ACTION_RSP):
            self.replied_to = event.message.command_set.get("MessageIDBeingRespondedTo")

    def message_sent(self, event: evt.Event) -> None:
        """Note an answer; pynetdicom says so before it puts it on the wire."""
        self.answering = self.answering or isinstance(event.message, N_EVENT_REPORT_RSP)

    def pdu_sent(self, _event: evt.Event) -> None:
        """Note that an answer has left: a release before that would swallow it."""
        if self.answering:
            self.busy = self.answering = False
            self.answered.set()


def ask(
    peer: Peer,
    transaction_uid: str,
    wanted: Sequence[Reference],
    reports: Reports,
    through: Callable[[], bool],
    wait_s: float,
) -> None:
    """Ask a peer to commit to instances; take its report where it comes on this association.

    Parameters
    ----------
    peer : Peer
        Who holds them.
    transaction_uid : str
        Of this request alone; it is used once.
    wanted : sequence of Reference
        SOP Class and Instance UID of each.
    reports : Reports
        Takes a report that comes meanwhile.
    through : callable
        Tells whether everything is answered, on this association or another.
    wait_s : float
        How long to stay associated for that, in seconds.

    Raises
    ------
    TransientDeliveryError
        If the peer cannot be reached or does not answer; it may have the request all the same.
    PermanentDeliveryError
        If it does not take storage commitment, or refuses this request.
    """
    line = ReportLine(reports, peer.ae_title)
    handlers: list[evt.EventHandlerType] = [
        (evt.EVT_N_EVENT_REPORT, line.report),
        (evt.EVT_DIMSE_RECV, line.message_received),
        (evt.EVT_DIMSE_SENT, line.message_sent),
        (evt.EVT_PDU_SENT, line.pdu_sent),
    ]
    with associated(peer, [build_context(PUSH_MODEL)], handlers) as association:
        if not association.is_established:
            raise PermanentDeliveryError(f"{peer}: does not take storage commitment")
        _requested(association, peer, transaction_uid, wanted)
        if line.replied_to != _MESSAGE_ID:
            raise TransientDeliveryError(f"{peer}: answered another message than our request")
        looks, more = ceil(wait_s / _LOOK_S), ceil(peer.response_s / _LOOK_S)
        stay(association, line, through, looks, more)


def stay(
    association: Association,
    line: ReportLine,
    through: Callable[[], bool],
    looks: int,
    more: int = 1200,
) -> None:
    """Wait for a report, and for our answer to it to leave: so many looks, and `more` for that."""
    # In this order: what is through because of a report here is still being answered.
    while association.is_established and ((looks > 0 and not through()) or line.busy):
        looks -= 1
        if looks < -more:  # reports without end, or one that is not taken
            break
        line.answered.wait(_LOOK_S)
        line.answered.clear()


def _requested(
    association: Association, peer: Peer, transaction_uid: str, wanted: Sequence[Reference]
) -> None:
    """Send the N-ACTION (PS3.4 Section J.3.2)."""
    try:
        response, _ = association.send_n_action(
            request_of(transaction_uid, wanted),
            REQUEST,
            PUSH_MODEL,
            UID(PUSH_MODEL_INSTANCE),
            msg_id=_MESSAGE_ID,
        )
    except RuntimeError as error:  # the association is no longer established
        raise TransientDeliveryError(f"{peer}: ended the association") from error
    if "Status" not in response:
        raise TransientDeliveryError(f"{peer}: no answer to the request for commitment")
    if response.Status != 0x0000:
        raise PermanentDeliveryError(
            f"{peer}: refused to commit with status {response.Status:04X}"
        )
