"""The gate at work: callers are judged as they ask, and who is turned away is kept for people."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Final

import structlog
from pynetdicom.association import Association
from pynetdicom.events import Event

from node.errors import StoreError
from node.receive.gate import Caller, Gate, Refusal, Reject, unserved
from node.store.access import Rejected
from node.store.catalog import Catalog
from node.store.paths import is_uid
from node.wire.acceptor import refused_of, reject, request_of
from node.wire.listener import note_request, peer_certificate
from node.wire.request import NO_ABSTRACT_SYNTAX, NO_TRANSFER_SYNTAX, ContextAnswer

log = structlog.get_logger()

_LONGEST_REASON: Final = 200
_SHOWN: Final = 8  # presentation contexts
_RESULTS: Final = {
    NO_ABSTRACT_SYNTAX: "abstract syntax not supported",
    NO_TRANSFER_SYNTAX: "transfer syntaxes not supported",
}


class Gatekeeper:
    """Lets callers in or rejects them.

    Parameters
    ----------
    gate : Gate
        The rule.
    catalog : Catalog
        Where rejections are counted.
    clock : callable
        Seconds since the epoch.
    """

    def __init__(self, gate: Gate, catalog: Catalog, clock: Callable[[], float]) -> None:
        self._gate = gate
        self._catalog = catalog
        self._clock = clock
        self._inside: dict[Association, str] = {}
        self._lock = threading.Lock()

    def turned_away(self, address: str, because: str) -> None:
        """Note that a connection ended before anybody named themselves."""
        self._turned_away(Rejected("", "", address, because[:_LONGEST_REASON]))

    def accepted(self, event: Event) -> None:
        """Show what a caller proposed in vain: it was let in, and may not be able to send."""
        refused = refused_of(event.assoc)
        if not refused:
            return
        caller = caller_of(event.assoc)
        reasons = [_reason(answer) for answer in refused]
        log.warning(
            "presentation contexts refused",
            calling_ae=caller.calling_ae,
            address=caller.address,
            refused=reasons[:_SHOWN],
            count=len(reasons),
        )
        if not event.assoc.accepted_contexts:
            because = f"nothing it proposes is served: {reasons[0]}"
            self._turned_away(
                Rejected(caller.calling_ae, caller.called_ae, caller.address, because)
            )

    def requested(self, event: Event) -> None:
        """Let a caller in, or reject it; pynetdicom goes on where this has not rejected."""
        assoc = event.assoc
        refusal: Refusal | None = Refusal(Reject.NO_REASON_GIVEN, "the gate failed")
        caller = Caller("", "", str(assoc.requestor.address))
        try:
            caller = caller_of(assoc)
            refusal = unserved(request_of(assoc)) or self._judged(caller, assoc)
        finally:  # an exception here is logged by pynetdicom, and must not let the caller in
            if refusal is not None:
                reject(assoc, *refusal.answer.value)
                self._turned_away(
                    Rejected(caller.calling_ae, caller.called_ae, caller.address, refusal.because)
                )
                assoc.kill()
        note_request(assoc)

    def _judged(self, caller: Caller, assoc: Association) -> Refusal | None:
        with self._lock:
            for ended in [inside for inside in self._inside if not inside.is_alive()]:
                del self._inside[ended]
            refusal = self._gate.judge(caller, Counter(self._inside.values()))
            if refusal is None:
                self._inside[assoc] = caller.calling_ae
        return refusal

    def _turned_away(self, peer: Rejected) -> None:
        """Show who was turned away, so that an administrator can let it in."""
        log.warning(
            "association rejected",
            calling_ae=peer.calling_ae,
            called_ae=peer.called_ae,
            address=peer.address,
            because=peer.reason,
        )
        try:
            self._catalog.access.note_rejection(peer, self._clock())
        except StoreError as error:
            log.error("rejection not recorded", because=str(error))  # noqa: TRY400


def caller_of(assoc: Association) -> Caller:
    """Return who asked for an association."""
    request = request_of(assoc)
    return Caller(
        request.calling_ae,
        request.called_ae,
        str(assoc.requestor.address),
        peer_certificate(assoc),
    )


def _reason(answer: ContextAnswer) -> str:
    """Say what was refused; a peer may send anything where a UID should be."""
    named = answer.abstract_syntax if is_uid(answer.abstract_syntax) else "no UID"
    return f"{named}: {_RESULTS[answer.result]}"
