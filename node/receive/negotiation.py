"""Which presentation contexts are accepted: what can be stored, in the first syntax we can walk.

The tables of `deploy/CONFORMANCE.md` say the same; a test compares them.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import pynetdicom  # noqa: F401 - adds the transfer syntaxes that pydicom does not list yet
from pydicom.config import IGNORE  # a component that begins with 0 is no reason to refuse
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from node.commitment.messages import PUSH_MODEL
from node.store.paths import is_uid
from node.wire.request import (
    ACCEPTED,
    NO_ABSTRACT_SYNTAX,
    NO_TRANSFER_SYNTAX,
    ContextAnswer,
    Negotiation,
    Proposal,
    Request,
)

SERVICES: Final[Mapping[str, str]] = {
    "1.2.840.10008.1.1": "Verification SOP Class",
    str(PUSH_MODEL): "Storage Commitment Push Model SOP Class",
}
"""What is served besides storage; its messages are decoded, so in plain syntaxes only."""

PLAIN: Final = (
    str(ImplicitVRLittleEndian),
    str(ExplicitVRLittleEndian),
    str(DeflatedExplicitVRLittleEndian),
    str(ExplicitVRBigEndian),
)

NON_PATIENT: Final[Mapping[str, str]] = {
    "1.2.840.10008.5.1.4.1.1.200.1": "CT Defined Procedure Protocol Storage",
    "1.2.840.10008.5.1.4.1.1.200.3": "Protocol Approval Storage",
    "1.2.840.10008.5.1.4.1.1.200.7": "XA Defined Procedure Protocol Storage",
    "1.2.840.10008.5.1.4.1.1.201.1": "Inventory Storage",
    "1.2.840.10008.5.1.4.38.1": "Hanging Protocol Storage",
    "1.2.840.10008.5.1.4.39.1": "Color Palette Storage",
    "1.2.840.10008.5.1.4.43.1": "Generic Implant Template Storage",
    "1.2.840.10008.5.1.4.44.1": "Implant Assembly Template Storage",
    "1.2.840.10008.5.1.4.45.1": "Implant Template Group Storage",
}
"""Storage classes of objects that belong to no patient, study or series (PS3.4 Annex GG)."""

_NOT_STORED: Final = frozenset(
    {
        "1.2.840.10008.1.3.10",  # Media Storage Directory: a DICOMDIR, of media only
        "1.2.840.10008.1.20.1",
        "1.2.840.10008.1.20.2",  # Storage Commitment
    }
)
# What names the encoding of no data set that C-STORE could carry: MIME, XML, SMPTE ST 2110.
_NO_DATA_SET: Final = ("1.2.840.10008.1.2.6.", "1.2.840.10008.1.2.7.")
# Encapsulated pixels: whatever comes yet, the data set is explicit VR little endian (PS3.5 A.4).
_ENCAPSULATED: Final = "1.2.840.10008.1.2.4."


def is_stored(sop_class: str) -> bool:
    """Tell whether instances of a SOP Class are stored: every one that is not known as none.

    Private classes are, and those of a later standard: what they hold is kept as it came.
    """
    if not is_uid(sop_class):
        return False
    known = UID(sop_class, IGNORE)
    if not known.type:
        return True
    named = "Storage" in known.name or not known.name  # two retired ones have lost their names
    return known.type == "SOP Class" and named and sop_class not in _NOT_STORED


def is_walked(transfer_syntax: str) -> bool:
    """Tell whether the elements of a data set in a transfer syntax can be walked over."""
    if not is_uid(transfer_syntax):
        return False
    if transfer_syntax.startswith(_ENCAPSULATED):
        return True
    known = UID(transfer_syntax, IGNORE).type == "Transfer Syntax"
    return known and not transfer_syntax.startswith(_NO_DATA_SET)


def negotiate(request: Request) -> Negotiation:
    """Return what becomes of a request (PS3.8 Section 9.3.3.2)."""
    answers = answered(request.proposals)
    return Negotiation(tuple(answers), granted(answers, request.roles))


def answered(proposals: Sequence[Proposal]) -> list[ContextAnswer]:
    """Return what becomes of each proposed presentation context (PS3.8 Section 9.3.3.2)."""
    return [_answer(proposal) for proposal in proposals]


def granted(
    answers: Sequence[ContextAnswer], roles: Mapping[str, tuple[bool, bool]]
) -> dict[str, tuple[bool, bool]]:
    """Return the roles that are answered, by SOP Class (PS3.7 Section D.3.3.4).

    What is proposed is granted. Neither role is no proposal, and gets no answer: then the
    default holds, by which the requestor is the SCU.
    """
    served = {answer.abstract_syntax for answer in answers if answer.result == ACCEPTED}
    return {uid: both for uid, both in roles.items() if uid in served and any(both)}


def _answer(proposal: Proposal) -> ContextAnswer:
    if proposal.abstract_syntax in SERVICES:
        fitting = [uid for uid in proposal.transfer_syntaxes if uid in PLAIN]
    elif is_stored(proposal.abstract_syntax):
        fitting = [uid for uid in proposal.transfer_syntaxes if is_walked(uid)]
    else:
        return _refused(proposal, NO_ABSTRACT_SYNTAX)
    if not fitting:
        return _refused(proposal, NO_TRANSFER_SYNTAX)
    return ContextAnswer(proposal.context_id, proposal.abstract_syntax, fitting[0], ACCEPTED)


def _refused(proposal: Proposal, result: int) -> ContextAnswer:
    """Refuse; a transfer syntax is named all the same, and means nothing (Table 9-18)."""
    return ContextAnswer(
        proposal.context_id, proposal.abstract_syntax, str(ImplicitVRLittleEndian), result
    )
