"""What becomes of a message whose command has come: a C-STORE is served here, all else is not."""

import struct
import time
from collections.abc import Callable
from typing import Any, Final, cast

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.service_class import StorageServiceClass

from node.errors import MalformedMessageError
from node.wire.assembly import Sink
from node.wire.callbacks import Callbacks, DataSetSink

Serve = Callable[[int, list[bytes]], None]
"""Takes a presentation context and the fragments of a whole message."""

_LARGEST_HELD: Final = 4 << 20  # octets; a storage commitment request of 30 000 instances
_BRIEFLY_S: Final = 0.001
_NO_DATA_SET: Final = 0x0101  # Command Data Set Type (PS3.7 Section E.1)
_UNREADABLE: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


def received(event: Event) -> DataSetSink:
    """Return where the data set went of the C-STORE request that an event is about.

    Parameters
    ----------
    event : Event
        ``EVT_C_STORE``, of an association whose reactor was replaced.

    Returns
    -------
    DataSetSink
        What `Callbacks` began for this request; all of it has come.
    """
    return cast("_StoreRequest", event.request).data_set


def whole(context: int, fragments: list[bytes]) -> P_DATA:
    """Return a P-DATA primitive."""
    message = P_DATA()
    message.presentation_data_value_list = cast(
        "Any", [[context, fragment] for fragment in fragments]
    )
    return message


def sink(
    assoc: Association, context: int, command: bytes, callbacks: Callbacks, serve: Serve
) -> Sink:
    """Return where a message goes.

    Parameters
    ----------
    assoc : Association
    context : int
        The presentation context of the command.
    command : bytes
        The encoded command set.
    callbacks : Callbacks
        Says where data sets of C-STORE requests go.
    serve : callable
        Serves any other message.

    Raises
    ------
    MalformedMessageError
        If the command cannot be read or may not come here.
    """
    if context not in assoc._accepted_cx:
        raise MalformedMessageError("a presentation context that was not accepted")
    message = DIMSEMessage()
    try:
        message.decode_msg(whole(context, [b"\x03" + command]))
        if isinstance(message, C_STORE_RQ):
            return _Storing(assoc, message, callbacks)
        return _Held(context, command, message, serve)
    except _UNREADABLE as error:
        raise MalformedMessageError("a command that cannot be read") from error


class _StoreRequest(C_STORE):
    """A C-STORE request and where its data set goes."""

    data_set: DataSetSink


def _store_request(message: C_STORE_RQ) -> _StoreRequest:
    """Return a C-STORE request with what storing needs of its command (PS3.7 Table 9.3-1).

    The rest is not looked at: a Priority of FFFFH or an odd Move Originator harms nobody.
    """
    command = message.command_set
    request = _StoreRequest()
    request.MessageID = int(_first(command.MessageID))
    request.AffectedSOPClassUID = _padded(command, "AffectedSOPClassUID")
    request.AffectedSOPInstanceUID = _padded(command, "AffectedSOPInstanceUID")
    return request


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, MultiValue) else value


def _padded(command: Dataset, keyword: str) -> UID:
    return UID(str(_first(command.get(keyword)) or "").strip(" \0"))


class _Storing:
    """Where a C-STORE request goes: its data set to the receiver, and then it is served.

    It is served at once, in the thread that read it. The peer waits for the response anyway,
    and there is no C-CANCEL of a C-STORE, so nothing could be read in the meantime.
    """

    def __init__(self, assoc: Association, message: C_STORE_RQ, callbacks: Callbacks) -> None:
        self.expects_data = message.command_set.CommandDataSetType != _NO_DATA_SET
        self._assoc = assoc
        self._recording_s = callbacks.recording_s
        self._context = assoc._accepted_cx[cast("int", message.context_id)]
        self._request = _store_request(message)
        self._request.data_set = callbacks.begin(
            str(self._request.AffectedSOPClassUID or ""),
            str(self._request.AffectedSOPInstanceUID or ""),
            UID(self._context.transfer_syntax[0]),
        )

    def write(self, fragment: memoryview) -> None:
        """Take a fragment of the data set."""
        self._request.data_set.write(fragment)

    def end(self) -> None:
        """Serve the request, once the association is recorded."""
        # Recording it waits for a catalog that others hold: that is nothing the peer did.
        timeout_s = cast("float", self._assoc.acse_timeout) + self._recording_s
        deadline = time.monotonic() + timeout_s
        while not self._assoc.is_established:
            if self._assoc._kill or time.monotonic() > deadline:
                raise MalformedMessageError("a message before the association is established")
            time.sleep(_BRIEFLY_S)
        try:
            StorageServiceClass(self._assoc).SCP(self._request, self._context)
        except _UNREADABLE as error:  # it names what cannot be encoded, or takes no PDU at all
            raise MalformedMessageError("a request that cannot be answered") from error

    def discard(self) -> None:
        """Let go of what the data set holds."""
        self._request.data_set.discard()


class _Held:
    """Where any other message goes: into memory, and then to pynetdicom."""

    def __init__(self, context: int, command: bytes, message: DIMSEMessage, serve: Serve) -> None:
        self.expects_data = message.command_set.CommandDataSetType != _NO_DATA_SET
        self._serve = serve
        self._context = context
        self._command = command
        self._data = bytearray(b"\x02")

    def write(self, fragment: memoryview) -> None:
        """Take a fragment of the data set."""
        if len(self._data) + len(fragment) > _LARGEST_HELD:
            raise MalformedMessageError(f"a data set of over {_LARGEST_HELD} octets")
        self._data += fragment

    def end(self) -> None:
        """Let pynetdicom serve it."""
        fragments = [b"\x03" + self._command]
        if self.expects_data:
            fragments.append(bytes(self._data))
        self._serve(self._context, fragments)

    def discard(self) -> None:
        """Forget the data set."""
        self._data = bytearray()
