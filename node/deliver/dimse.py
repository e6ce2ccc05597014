"""Delivery by C-STORE: the bytes as stored, converted only for a peer that will not take them."""

from collections import deque
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from node.deliver.association import Peer, StoreRequest, associated, store
from node.deliver.destination import OutboundInstance, Outcome, Wanted, everything, untried
from node.deliver.peer_statuses import verdict
from node.deliver.transcode import plain_copy
from node.errors import (
    DeliveryError,
    InvalidInstanceError,
    PermanentDeliveryError,
    TransientDeliveryError,
)
from node.store.digests import data_set_start

log = structlog.get_logger()

CONTEXTS_PER_ASSOCIATION: Final = 128
"""Presentation context IDs are the odd numbers from 1 to 255 (PS3.8 Section 9.3.2.2)."""

ASSOCIATIONS_PER_BATCH: Final = 5
"""So often is a batch gone on with within one attempt, when the peer drops it midway."""

FRUITLESS: Final = 1
"""So many of them may get nothing through: the first instance may be the one it cannot bear."""

_PLAIN: Final = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


@dataclass(frozen=True)
class DimseSender:
    """A Storage SCU (PS3.4 Annex B) for one peer."""

    name: str
    peer: Peer

    def check(self) -> str:
        """Send a C-ECHO; see `node.deliver.destination.Destination.check`."""
        with associated(self.peer, [build_context(Verification)]) as association:
            if not association.accepted_contexts:
                return "it answers, but does not take C-ECHO"
            try:
                status = association.send_c_echo()
            except RuntimeError as error:  # the association is no longer established
                raise TransientDeliveryError(f"{self.peer}: ended the association") from error
        if "Status" not in status:
            raise TransientDeliveryError(f"{self.peer}: no answer to C-ECHO")
        return f"C-ECHO answered with status {status.Status:04X}"

    def send(
        self, instances: Sequence[OutboundInstance], wanted: Wanted = everything
    ) -> Iterator[Outcome]:
        """C-STORE every instance; see `node.deliver.destination.Destination.send`.

        Instances of one batch of presentation contexts share an association. Where the peer
        drops it, the instance in flight is ``retry``, and the others go on over a new one,
        until the second that gets none of them through: one instance that makes the peer fall
        over must not keep the rest from arriving. A rejected association is ``retry`` for all:
        it is for the peer's operator to allow us, and then the instances are welcome.
        """
        for batch in batches(instances):
            yield from self._sent(batch, wanted)

    def _sent(self, batch: Sequence[OutboundInstance], wanted: Wanted) -> Iterator[Outcome]:
        left = deque(batch)
        reason = ""
        fruitless = 0
        for _ in range(ASSOCIATIONS_PER_BATCH):
            before = len(left)
            reason = yield from self._over_one_association(left, wanted)
            fruitless += len(left) >= before - 1  # nothing but the one it was dropped over
            if not left or len(left) == before or fruitless > FRUITLESS:
                break
        yield from untried(left, reason)

    def _over_one_association(
        self, left: deque[OutboundInstance], wanted: Wanted
    ) -> Generator[Outcome, None, str]:
        """Send from the left end of a queue until it is empty or the association fails.

        Returns
        -------
        str
            Why it failed; '' where it did not.
        """
        on_the_line = False
        message_id = 0
        try:
            with associated(self.peer, _contexts(left)) as association:
                accepted = _accepted(association)
                while left:
                    if not wanted(left[0].sop_instance_uid):
                        left.popleft()
                        continue
                    message_id = message_id % 0xFFFF + 1
                    on_the_line = True
                    outcome = _stored(association, accepted, left[0], message_id)
                    on_the_line = False
                    left.popleft()
                    yield outcome
        except DeliveryError as error:
            log.warning("association failed", destination=self.name, reason=str(error))
            if on_the_line:
                yield self._dropped(left.popleft(), str(error))
            return str(error)
        return ""

    def _dropped(self, instance: OutboundInstance, reason: str) -> Outcome:
        """Tell whose fault it is that an instance got no answer, once that comes again.

        An element of odd length makes some toolkits end the association (PS3.5 Section 7.1.1
        wants it even), each time, and take everything else.
        """
        uid = instance.sop_instance_uid
        if not instance.attempts:
            return Outcome(uid, "retry", reason)
        try:
            self.check()
        except DeliveryError:
            return Outcome(uid, "retry", reason)
        reason = f"{reason}, again over this instance; it answers C-ECHO"
        return Outcome(uid, "retry", reason, blamed=True)


def batches(
    instances: Iterable[OutboundInstance], limit: int = CONTEXTS_PER_ASSOCIATION
) -> list[list[OutboundInstance]]:
    """Split instances so that each part needs at most `limit` presentation contexts.

    Parameters
    ----------
    instances : Iterable[OutboundInstance]
        Their order is kept within a part.
    limit : int
        At least 2: one context for a SOP Class as stored and one for it uncompressed.
    """
    part_of: dict[tuple[str, str], int] = {}
    needed: set[tuple[str, str]] = set()
    part = 0
    parts: list[list[OutboundInstance]] = []
    for instance in instances:
        pair = (instance.sop_class_uid, instance.transfer_syntax_uid)
        if pair not in part_of:
            wanted = needed | {pair, (instance.sop_class_uid, "")}
            if len(wanted) > limit:
                part, wanted = part + 1, {pair, (instance.sop_class_uid, "")}
            needed, part_of[pair] = wanted, part
        while len(parts) <= part_of[pair]:
            parts.append([])
        parts[part_of[pair]].append(instance)
    return parts


def _contexts(batch: Collection[OutboundInstance]) -> list[PresentationContext]:
    """Propose each SOP Class in the syntaxes it is stored in, and once more uncompressed.

    One transfer syntax to a context: of several the peer would choose, and might choose
    another than the bytes are in.
    """
    pairs = dict.fromkeys((item.sop_class_uid, item.transfer_syntax_uid) for item in batch)
    contexts = [build_context(sop_class, syntax) for sop_class, syntax in pairs]
    classes = dict.fromkeys(item.sop_class_uid for item in batch)
    return contexts + [build_context(sop_class, list(_PLAIN)) for sop_class in classes]


def _stored(
    association: Association,
    accepted: Mapping[tuple[str, str], int],
    instance: OutboundInstance,
    message_id: int,
) -> Outcome:
    """Send one instance.

    Raises
    ------
    TransientDeliveryError
        If there is no association, or no answer.
    """
    uid = instance.sop_instance_uid
    try:
        with _payload(accepted, instance) as (syntax, path):
            context_id = accepted[instance.sop_class_uid, syntax]
            with path.open("rb") as file:
                data = path, data_set_start(file)
            status = store(
                association,
                StoreRequest(context_id, message_id, instance.sop_class_uid, uid, data),
            )
    except PermanentDeliveryError as error:
        return Outcome(uid, "refused", str(error))
    except OSError as error:
        return Outcome(uid, "retry", f"cannot read the stored file: {error.strerror}")
    except (InvalidInstanceError, ValueError) as error:
        return Outcome(uid, "refused", f"cannot be sent: {error}")
    return Outcome(uid, *verdict(status))


def _accepted(association: Association) -> Mapping[tuple[str, str], int]:
    """Return the id of an accepted presentation context by SOP Class and transfer syntax."""
    return {
        (str(context.abstract_syntax), str(context.transfer_syntax[0])): int(context.context_id)
        for context in reversed(association.accepted_contexts)
        if context.context_id is not None and context.transfer_syntax
    }


@contextmanager
def _payload(
    accepted: Mapping[tuple[str, str], int], instance: OutboundInstance
) -> Iterator[tuple[str, Path]]:
    """Lend the file that is sent and tell its transfer syntax: as stored where that is taken.

    Raises
    ------
    PermanentDeliveryError
        If the peer takes the SOP Class in no syntax we can offer.
    """
    syntaxes = {syntax for sop_class, syntax in accepted if sop_class == instance.sop_class_uid}
    stored = UID(instance.transfer_syntax_uid)
    if not syntaxes:
        name = UID(instance.sop_class_uid).name
        raise PermanentDeliveryError(f"SOP Class not accepted: {name}")
    if stored in syntaxes:
        with instance.file() as path:
            yield stored, path
        return
    plain = next((syntax for syntax in _PLAIN if syntax in syntaxes), None)
    if plain is None or stored == ExplicitVRBigEndian:
        raise PermanentDeliveryError(f"transfer syntax not accepted: {stored.name}")
    with instance.file() as path, plain_copy(path, stored, plain) as copy:
        yield plain, copy
