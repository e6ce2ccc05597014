"""N-EVENT-REPORT to a peer that has the association open: it asked, and we answer later.

pynetdicom's own way takes the next message of the peer for the response, whatever it is; a
request that crosses ours would be lost. Here the reactor hands the response over by its kind.
"""

from io import BytesIO
from itertools import count
from typing import Final, cast

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.dsutils import encode

from node.wire.message_queues import Responses

_TIMEOUT_S: Final = 30.0
_NUMBERS: Final = count()


def notify(
    assoc: Association, sop_class: UID, sop_instance: UID, event_type: int, information: Dataset
) -> int | None:
    """Send a report on an open association; return the status of the response.

    Parameters
    ----------
    assoc : Association
        As acceptor, on which storage commitment was asked for.
    sop_class : UID
        Storage Commitment Push Model (PS3.4 Annex J).
    sop_instance : UID
        The well-known instance.
    event_type : int
        Event Type ID (PS3.4 Table J.3-2).
    information : Dataset
        Event Information, with the Transaction UID.

    Returns
    -------
    int or None
        None where the association ended, has no such presentation context, or no response
        came in time.
    """
    responses = assoc.dimse.msg_queue
    context = next(
        (found for found in assoc.accepted_contexts if found.abstract_syntax == sop_class), None
    )
    if context is None or not assoc.is_established or not isinstance(responses, Responses):
        return None
    syntax = context.transfer_syntax[0]
    data = encode(information, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    if data is None:
        return None
    message_id = next(_NUMBERS) % 0xFFFF + 1
    request = N_EVENT_REPORT()
    request.MessageID = message_id
    request.AffectedSOPClassUID = sop_class
    request.AffectedSOPInstanceUID = sop_instance
    request.EventTypeID = event_type
    request.EventInformation = BytesIO(data)
    assoc.dimse.send_msg(request, cast("int", context.context_id))
    response = responses.response(message_id, _TIMEOUT_S, lambda: assoc.is_established)
    return None if response is None else cast("int | None", response.Status)
