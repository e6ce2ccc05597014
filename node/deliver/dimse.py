"""Delivery by C-STORE: the bytes as stored, converted only for a peer that will not take them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from node.deliver.association import Peer, associated
from node.deliver.destination import OutboundInstance, Outcome
from node.deliver.statuses import verdict
from node.errors import DeliveryError, PermanentDeliveryError, TransientDeliveryError

log = structlog.get_logger()

CONTEXTS_PER_ASSOCIATION: Final = 128
"""Presentation context IDs are the odd numbers from 1 to 255 (PS3.8 Section 9.3.2.2)."""

_PLAIN: Final = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


@dataclass(frozen=True)
class DimseSender:
    """A Storage SCU (PS3.4 Annex B) for one peer."""

    name: str
    peer: Peer

    def check(self) -> str:
        """Send a C-ECHO; see `node.deliver.destination.Destination.check`."""
        with associated(self.peer, [build_context(Verification)]) as association:
            if not association.is_established:
                return "it answers, but does not take C-ECHO"
            status = association.send_c_echo()
        if "Status" not in status:
            raise TransientDeliveryError(f"{self.peer}: no answer to C-ECHO")
        return f"C-ECHO answered with status {status.Status:04X}"

    def send(self, instances: Sequence[OutboundInstance]) -> Iterator[Outcome]:
        """C-STORE every instance; see `node.deliver.destination.Destination.send`.

        Instances of one batch of presentation contexts share an association. What is left
        when the association fails is ``retry``: the failure says nothing about them. A
        rejected association is ``retry`` too: it is for the peer's operator to allow us, and
        then the instances are welcome.
        """
        for batch in batches(instances):
            yield from self._sent(batch)

    def _sent(self, batch: Sequence[OutboundInstance]) -> Iterator[Outcome]:
        done = 0
        try:
            with associated(self.peer, _contexts(batch)) as association:
                for number, instance in enumerate(batch):
                    yield _stored(association, instance, number % 0xFFFF + 1)
                    done += 1
        except DeliveryError as error:
            log.warning("association failed", destination=self.name, reason=str(error))
            for instance in batch[done:]:
                yield Outcome(instance.sop_instance_uid, "retry", str(error))


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


def _contexts(batch: Sequence[OutboundInstance]) -> list[PresentationContext]:
    """Propose each SOP Class in the syntaxes it is stored in, and once more uncompressed.

    One transfer syntax to a context: of several the peer would choose, and might choose
    another than the bytes are in.
    """
    pairs = dict.fromkeys((item.sop_class_uid, item.transfer_syntax_uid) for item in batch)
    contexts = [build_context(sop_class, syntax) for sop_class, syntax in pairs]
    classes = dict.fromkeys(item.sop_class_uid for item in batch)
    return contexts + [build_context(sop_class, list(_PLAIN)) for sop_class in classes]


def _stored(association: Association, instance: OutboundInstance, message_id: int) -> Outcome:
    """Send one instance.

    Raises
    ------
    TransientDeliveryError
        If there is no association, or no answer.
    """
    uid = instance.sop_instance_uid
    try:
        payload = _payload(_accepted(association), instance)
        response = _answer(association, payload, message_id)
    except PermanentDeliveryError as error:
        return Outcome(uid, "refused", str(error))
    except OSError as error:
        return Outcome(uid, "retry", f"cannot read the stored file: {error.strerror}")
    return Outcome(uid, *verdict(response.Status))


def _accepted(association: Association) -> Mapping[str, set[str]]:
    accepted: dict[str, set[str]] = {}
    for context in association.accepted_contexts:
        if context.abstract_syntax is not None:
            accepted.setdefault(context.abstract_syntax, set()).update(context.transfer_syntax)
    return accepted


def _payload(accepted: Mapping[str, set[str]], instance: OutboundInstance) -> Path | Dataset:
    """Return the file where the peer takes it as stored, else a converted data set.

    Raises
    ------
    PermanentDeliveryError
        If the peer takes the SOP Class in no syntax we can offer.
    """
    syntaxes = accepted.get(instance.sop_class_uid, set())
    stored = UID(instance.transfer_syntax_uid)
    if stored in syntaxes:
        return instance.path
    if not syntaxes:
        name = UID(instance.sop_class_uid).name
        raise PermanentDeliveryError(f"SOP Class not accepted: {name}")
    if not syntaxes.intersection(_PLAIN) or stored == ExplicitVRBigEndian:
        raise PermanentDeliveryError(f"transfer syntax not accepted: {stored.name}")
    return _uncompressed(instance.path, stored)


def _uncompressed(path: Path, stored: UID) -> Dataset:
    """Return the data set in a plain transfer syntax; pixel values and UIDs do not change.

    Raises
    ------
    PermanentDeliveryError
        If the pixels cannot be decoded.
    OSError
        If the file cannot be read.
    """
    try:
        ds = dcmread(path)
        if stored == DeflatedExplicitVRLittleEndian:
            ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        elif stored.is_compressed:
            ds.decompress(generate_instance_uid=False)
    except (
        InvalidDicomError,
        AttributeError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:
        raise PermanentDeliveryError(
            f"transfer syntax not accepted: {stored.name}, and the pixels cannot be decoded "
            f"({type(error).__name__})"
        ) from error
    return ds


def _answer(association: Association, payload: Path | Dataset, message_id: int) -> Dataset:
    try:
        response = association.send_c_store(payload, msg_id=message_id)
    except RuntimeError as error:  # the association is no longer established
        raise TransientDeliveryError("the peer ended the association") from error
    except (InvalidDicomError, AttributeError, ValueError) as error:
        raise PermanentDeliveryError(f"cannot be encoded ({type(error).__name__})") from error
    if "Status" not in response:
        raise TransientDeliveryError("the peer ended the association or did not answer in time")
    return response
