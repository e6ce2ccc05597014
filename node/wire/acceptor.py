"""pynetdicom's acceptance of an association, with a request read and answered by us.

What pynetdicom's own classes refuse of a request (an odd octet in a title, a long version name,
an even context id, an item nobody knows) would end the connection without a word to either side.
Nothing is decided here: the receiver says what is accepted, and who is rejected.
"""

from collections.abc import Callable
from typing import Any, cast

from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.acse import ACSE
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE, MaximumLengthNotification
from pynetdicom.presentation import PresentationContext

from node.wire.request import ACCEPTED, ContextAnswer, Negotiation, Request, acceptance

_APPLICATION_CONTEXT: UID = UID("1.2.840.10008.3.1.1.1")


class _HandedOn(A_ASSOCIATE):
    """A request, as pynetdicom's threads hand it on."""

    request: Request


class AssociateRequest:
    """An A-ASSOCIATE-RQ PDU, as pynetdicom's state machine takes it."""

    protocol_version = 1  # the gate judges what came: it can tell who it was

    def __init__(self, request: Request) -> None:
        self._request = request

    def to_primitive(self) -> A_ASSOCIATE:
        """Return what the state machine hands to the association's thread."""
        longest = MaximumLengthNotification()
        longest.maximum_length_received = self._request.maximum_length
        asked = _HandedOn()
        asked.user_information = [longest]
        asked.request = self._request
        return asked


def request_of(assoc: Association) -> Request:
    """Return the request for an association; an empty one before it has come.

    Parameters
    ----------
    assoc : Association
        As acceptor.

    Returns
    -------
    Request
        As it was decoded from the A-ASSOCIATE-RQ (PS3.8 Section 9.3.2).
    """
    primitive = assoc.requestor.primitive
    return primitive.request if isinstance(primitive, _HandedOn) else Request()


def refused_of(assoc: Association) -> list[ContextAnswer]:
    """Return the presentation contexts of an accepted association that were not accepted.

    Parameters
    ----------
    assoc : Association
        As acceptor, accepted.

    Returns
    -------
    list of ContextAnswer
        Each with its result (PS3.8 Table 9-18).
    """
    answers = cast("AcceptorAcse", assoc.acse).answers
    return [answer for answer in answers if answer.result != ACCEPTED]


def reject(assoc: Association, result: int, source: int, reason: int) -> None:
    """Send an A-ASSOCIATE-RJ (PS3.8 Table 9-21).

    Parameters
    ----------
    assoc : Association
        As acceptor, requested and not answered yet.
    result : int
        1: rejected permanent, 2: transient.
    source : int
        1: service user, 2: ACSE provider, 3: presentation provider.
    reason : int
        As of `source`.
    """
    assoc.acse.send_reject(result, source, reason)


class AcceptorAcse(ACSE):
    """Accepts whom the gate let in."""

    negotiate: Callable[[Request], Negotiation]
    acceptance: bytes
    answers: tuple[ContextAnswer, ...] = ()

    def _negotiate_as_acceptor(self) -> None:
        assoc, request = self.assoc, request_of(self.assoc)
        negotiation = self.negotiate(request)
        self.answers = negotiation.answers
        self.requestor._ae_title = request.calling_ae
        assoc._accepted_cx = {
            answer.context_id: _context(answer)
            for answer in negotiation.answers
            if answer.result == ACCEPTED
        }
        self.acceptance = acceptance(
            request,
            negotiation,
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


def _context(answer: ContextAnswer) -> PresentationContext:
    """Return a context that is accepted; its id may be even, which pynetdicom would refuse."""
    context: Any = PresentationContext()
    context._context_id = answer.context_id
    context._abstract_syntax = UID(answer.abstract_syntax)
    context._transfer_syntax = [UID(answer.transfer_syntax)]
    context.result = answer.result
    context._as_scu = context._as_scp = True
    return cast("PresentationContext", context)
