"""Who may send: decided from the association request alone, before anything else is looked at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from node.settings.trust import Source, within_one
from node.wire.request import Request

NOT_FOR_SOURCES: Final = (
    "cannot be read", "protocol version", "it names no calling", "its certificate",
    "nothing it proposes", "too many associations", "the gate failed",
)  # fmt: skip
"""How reasons begin for which no entry among the sources would let a caller in."""


class Reject(Enum):
    """Result, source and reason of an A-ASSOCIATE-RJ; PS3.8 Table 9-21."""

    CALLING_AE_NOT_RECOGNISED = (0x01, 0x01, 0x03)
    CALLED_AE_NOT_RECOGNISED = (0x01, 0x01, 0x07)
    LOCAL_LIMIT_EXCEEDED = (0x02, 0x03, 0x02)
    NO_REASON_GIVEN = (0x02, 0x01, 0x01)
    NOT_UNDERSTOOD = (0x01, 0x02, 0x01)
    PROTOCOL_VERSION_NOT_SUPPORTED = (0x01, 0x02, 0x02)


@dataclass(frozen=True)
class Caller:
    """Who asks for an association.

    Attributes
    ----------
    calling_ae, called_ae : str
        As the request names them.
    address : str
        Where the connection comes from.
    certificate : frozenset of str
        The names in its verified TLS certificate; empty without one.
    """

    calling_ae: str
    called_ae: str
    address: str
    certificate: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Refusal:
    """What the peer is answered, and why, in words for the log."""

    answer: Reject
    because: str


def unserved(request: Request) -> Refusal | None:
    """Return why nobody could be let in with such a request, or None."""
    if request.unreadable:
        return Refusal(Reject.NOT_UNDERSTOOD, f"cannot be read: {request.unreadable}")
    if not request.protocol_version & 1:
        return Refusal(
            Reject.PROTOCOL_VERSION_NOT_SUPPORTED,
            f"protocol version {request.protocol_version:04X}H: expected bit 0 (PS3.8 Table 9-11)",
        )
    if not request.calling_ae:
        return Refusal(Reject.CALLING_AE_NOT_RECOGNISED, "it names no calling AE title")
    return None


@dataclass(frozen=True)
class Gate:
    """The rule of who gets in.

    Attributes
    ----------
    sources : sequence of Source
        Who may send; empty: everybody.
    ae_title : str
        What a caller must call, where its source says nothing else.
    accept_unlisted : bool
        Let in whom `sources` does not list, so that the list can be made from who came.
    maximum : int
        Associations at once, of all together.
    """

    sources: Sequence[Source]
    ae_title: str
    accept_unlisted: bool
    maximum: int

    def judge(self, caller: Caller, associated: Mapping[str, int]) -> Refusal | None:
        """Return why a caller does not get in, or None.

        Parameters
        ----------
        caller : Caller
        associated : mapping of str to int
            How many associations each calling AE title has now.
        """
        found = next(
            (source for source in self.sources if source.ae_title == caller.calling_ae), None
        )
        if found is None and self.sources and not self.accept_unlisted:
            return Refusal(Reject.CALLING_AE_NOT_RECOGNISED, "not among the sources")
        if found is not None and (because := _unlike(found, caller)) and not self.accept_unlisted:
            return Refusal(Reject.CALLING_AE_NOT_RECOGNISED, because)
        title = (found.called_ae if found else None) or self.ae_title
        if caller.called_ae != title:
            return Refusal(Reject.CALLED_AE_NOT_RECOGNISED, f"it must call {title}")
        if sum(associated.values()) >= self.maximum:
            return Refusal(Reject.LOCAL_LIMIT_EXCEEDED, "too many associations")
        limit = found.maximum_associations if found else None
        if limit is not None and associated.get(caller.calling_ae, 0) >= limit:
            return Refusal(Reject.LOCAL_LIMIT_EXCEEDED, "too many associations of this source")
        return None


def _unlike(source: Source, caller: Caller) -> str:
    """Return in what a caller differs from the source whose title it has, or ''."""
    if source.networks and not within_one(caller.address, source.networks):
        return "not from a network of this source"
    if source.certificate is not None and source.certificate not in caller.certificate:
        return "its certificate does not name this source (Subject Alternative Names count)"
    return ""
