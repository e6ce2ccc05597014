"""Associations we request, and C-STORE over them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext

from node.errors import ConfigError, PermanentDeliveryError, TransientDeliveryError
from node.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from node.settings.tls import ClientContext, ClientTls, client_context
from node.wire.pacing import give_up
from node.wire.requestor import exchange, prepare, send_from


@dataclass(frozen=True)
class Peer:
    """A remote application entity, and who we say we are.

    Attributes
    ----------
    ae_title, calling_ae : str
    host : str
    port : int
    connect_s : float
        How long the TCP connection and the negotiation may each take, in seconds.
    response_s : float
        How long the answer to what was sent may take, in seconds.
    tls : ClientTls or None
        None: unencrypted.
    """

    ae_title: str
    host: str
    port: int
    calling_ae: str
    connect_s: float = 15.0
    response_s: float = 120.0
    tls: ClientTls | None = None

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"


@dataclass
class _Connection:
    """Whether the TCP connection came about: pynetdicom reports its failure as an abort."""

    connect_s: float
    response_s: float
    open: bool = field(default=False)

    def opened(self, event: evt.Event) -> None:
        """Note the connection, and bound what it may cost."""
        self.open = True
        prepare(event, self.connect_s, self.response_s)


@dataclass(frozen=True)
class StoreRequest:
    """What a C-STORE request says (PS3.7 Section 9.3.1.1).

    Attributes
    ----------
    context_id : int
        The presentation context that was accepted for the SOP Class and the encoding of `data`.
    message_id : int
    sop_class_uid, sop_instance_uid : str
    data : tuple[Path, int] or bytes
        The data set as it goes out: a file and where in it the data set begins, or all of it.
    """

    context_id: int
    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    data: tuple[Path, int] | bytes


def store(association: Association, request: StoreRequest) -> int:
    """Make one C-STORE request and return the status of its answer.

    pynetdicom's `send_c_store` looks for the transfer syntax and the beginning of the data set in
    the file, where elements of group 0002 in the data set mislead it; and it takes the next
    answer for the answer to this request, whatever it says it is.

    Raises
    ------
    TransientDeliveryError
        If the association has ended, no answer comes in time, or one that names another message
        or instance (PS3.7 Section 9.3.1.2). What comes after that belongs to nothing: end it.
    ValueError
        If a UID is none.
    """
    if not association.is_established:
        raise TransientDeliveryError("the peer ended the association")
    message = _message(request)
    try:
        answer = exchange(association, message, request.context_id)
    except OSError as error:  # in the midst of the message
        text = f"cannot read the stored file: {error.strerror}"
        raise TransientDeliveryError(text) from error
    return _status(answer, message)


def _message(request: StoreRequest) -> C_STORE:
    message = C_STORE()
    message.MessageID = request.message_id
    message.AffectedSOPClassUID = UID(request.sop_class_uid)
    message.AffectedSOPInstanceUID = UID(request.sop_instance_uid)
    if isinstance(request.data, bytes):
        message.DataSet = BytesIO(request.data)
    else:
        send_from(message, *request.data)
    return message


def _status(answer: object, request: C_STORE) -> int:
    """Return the status of an answer, if it is one to this request.

    It need not name the instance (Table 9.3-2); but what it names must be it.
    """
    if answer is None:
        raise TransientDeliveryError("the peer ended the association or did not answer in time")
    if not isinstance(answer, C_STORE) or answer.Status is None:
        raise TransientDeliveryError("protocol error: the peer sent no answer to a C-STORE")
    if answer.MessageIDBeingRespondedTo != request.MessageID:
        raise TransientDeliveryError(
            f"protocol error: the peer answered message {answer.MessageIDBeingRespondedTo}, "
            f"not {request.MessageID}"
        )
    if answer.AffectedSOPInstanceUID not in (None, "", request.AffectedSOPInstanceUID):
        raise TransientDeliveryError("protocol error: the peer answered for another SOP Instance")
    return int(answer.Status)


@contextmanager
def associated(
    peer: Peer,
    contexts: Sequence[PresentationContext],
    handlers: Sequence[evt.EventHandlerType] = (),
    provide: Sequence[str] = (),
) -> Iterator[Association]:
    """Request an association; release it at the end, or abort it after a transient error.

    The association may have no accepted presentation context (then it is not established):
    that is an answer about the instances, not about the peer.

    Parameters
    ----------
    handlers
        What the peer may ask of us meanwhile.
    provide
        SOP classes of which we propose to be the SCP (PS3.7 Section D.3.3.4).

    Raises
    ------
    TransientDeliveryError
        If the peer cannot be reached, aborts, or rejects for now.
    PermanentDeliveryError
        If the peer rejects us for good, for instance for our AE title.
    """
    association = _requested(peer, contexts, handlers, provide)
    try:
        yield association
    except TransientDeliveryError:
        give_up(association)
        raise
    finally:
        if association.is_established:
            association.release()


def _requested(
    peer: Peer,
    contexts: Sequence[PresentationContext],
    handlers: Sequence[evt.EventHandlerType],
    provide: Sequence[str],
) -> Association:
    line = _Connection(peer.connect_s, peer.response_s)
    context = _secured(peer)
    entity = ApplicationEntity(peer.calling_ae)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.connection_timeout = peer.connect_s
    entity.acse_timeout = peer.connect_s
    entity.dimse_timeout = peer.response_s
    entity.network_timeout = peer.response_s
    try:
        association = entity.associate(
            peer.host,
            peer.port,
            contexts=list(contexts),
            ae_title=peer.ae_title,
            ext_neg=[_as_provider(sop_class) for sop_class in provide],
            evt_handlers=[(evt.EVT_CONN_OPEN, line.opened), *handlers],
            tls_args=(context, _name(peer)) if context else None,
        )
    except OSError as error:  # the host has no address
        raise TransientDeliveryError(f"{peer}: {error.strerror}") from error
    if association.is_rejected:
        raise _rejection(peer, association)
    failure = f" (TLS: {context.failure})" if context and context.failure else ""
    if not line.open:
        raise TransientDeliveryError(f"{peer}: no connection{failure}")
    if not association.is_established and not association.rejected_contexts:
        text = "aborted the negotiation or did not answer"
        raise TransientDeliveryError(f"{peer}: {text}{failure}")
    return association


def _secured(peer: Peer) -> ClientContext | None:
    if peer.tls is None:
        return None
    try:
        return client_context(peer.tls)
    except ConfigError as error:  # was whole at the start; somebody is renewing it
        raise TransientDeliveryError(f"{peer}: {error}") from error


def _name(peer: Peer) -> str:
    """Return the name the peer's certificate must hold."""
    return (peer.tls.server_name if peer.tls else None) or peer.host


def _as_provider(sop_class: str) -> SCP_SCU_RoleSelectionNegotiation:
    role = SCP_SCU_RoleSelectionNegotiation()
    role.sop_class_uid = UID(sop_class)
    role.scu_role, role.scp_role = False, True
    return role


def _rejection(
    peer: Peer, association: Association
) -> TransientDeliveryError | PermanentDeliveryError:
    """Return the rejection as the peer worded it (PS3.8 Section 9.3.4)."""
    answer = association.acceptor.primitive
    reason = getattr(answer, "reason_str", "no reason given")
    text = f"{peer}: association rejected: {reason}"
    permanent = getattr(answer, "result", None) == 0x01
    return PermanentDeliveryError(text) if permanent else TransientDeliveryError(text)
