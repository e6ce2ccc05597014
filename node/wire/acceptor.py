"""pynetdicom's acceptance of an association, with a request read and answered by us.

What pynetdicom's own classes refuse of a request (an odd octet in a title, a long version name,
an even context id, an item nobody knows) would end the connection without a word to either side.
Private to pynetdicom, as `reactor`, and no part of it decides anything.
"""

from collections.abc import Sequence
from typing import Any, cast

from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.acse import ACSE
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE, MaximumLengthNotification
from pynetdicom.presentation import PresentationContext

from node.receive.negotiation import ACCEPTED, answered, granted
from node.wire.request import Answer, Request, acceptance

_APPLICATION_CONTEXT: UID = UID("1.2.840.10008.3.1.1.1")


class _Asked(A_ASSOCIATE):
    """A request, as pynetdicom's threads hand it on."""

    request: Request


class Asking:
    """An A-ASSOCIATE-RQ PDU, as pynetdicom's state machine takes it."""

    protocol_version = 1  # the gate judges what came: it can tell who it was

    def __init__(self, request: Request) -> None:
        self._request = request

    def to_primitive(self) -> A_ASSOCIATE:
        """Return what the state machine hands to the association's thread."""
        longest = MaximumLengthNotification()
        longest.maximum_length_received = self._request.maximum_length
        asked = _Asked()
        asked.user_information = [longest]
        asked.request = self._request
        return asked


def request_of(assoc: Association) -> Request:
    """Return the request for an association; an empty one before it has come."""
    primitive = assoc.requestor.primitive
    return primitive.request if isinstance(primitive, _Asked) else Request()


def refused_of(assoc: Association) -> list[Answer]:
    """Return the presentation contexts of an accepted association that were not accepted."""
    return [one for one in cast("Acceptor", assoc.acse).answers if one.result != ACCEPTED]


class Acceptor(ACSE):
    """Accepts whom the gate let in."""

    acceptance: bytes
    answers: Sequence[Answer] = ()

    def _negotiate_as_acceptor(self) -> None:
        assoc, request = self.assoc, request_of(self.assoc)
        answers = self.answers = answered(request.proposals)
        self.requestor._ae_title = request.calling_ae
        assoc._accepted_cx = {
            one.context_id: _context(one) for one in answers if one.result == ACCEPTED
        }
        self.acceptance = acceptance(
            request,
            answers,
            granted(answers, request.roles),
            (
                cast("int", self.acceptor.maximum_length),
                str(self.acceptor.implementation_class_uid),
                str(self.acceptor.implementation_version_name),
            ),
        )
        accepted = A_ASSOCIATE()
        accepted.application_context_name = _APPLICATION_CONTEXT
        accepted.result = ACCEPTED
        accepted.user_information = self.acceptor.user_information
        self.acceptor.primitive = accepted
        self.dul.send_pdu(accepted)  # the state machine makes a PDU of it: `acceptance`
        evt.trigger(assoc, evt.EVT_ACCEPTED, {})
        assoc.is_established = True
        evt.trigger(assoc, evt.EVT_ESTABLISHED, {})


def _context(one: Answer) -> PresentationContext:
    """Return a context that is accepted; its id may be even, which pynetdicom would refuse."""
    context: Any = PresentationContext()
    context._context_id = one.context_id
    context._abstract_syntax = UID(one.abstract_syntax)
    context._transfer_syntax = [UID(one.transfer_syntax)]
    context.result = one.result
    context._as_scu = context._as_scp = True
    return cast("PresentationContext", context)
