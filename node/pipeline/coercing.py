"""Coercion of what is sent, for destinations that ask for it: findings from rows, told in rows.

What an image is changed by stands in rows before it is sent, the time included: the first
revision of its series that holds it, and when it was asked for at the destination. So each attempt
sends the same octets, and so does the batch of what a destination has lost.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog

from node.deliver.coerced import Coercion, coerced_copy
from node.deliver.coercion import Fillable
from node.deliver.destination import Prepared
from node.derived.coercion import Stamp
from node.errors import InvalidInstanceError
from node.model.records import Coerced, StoredInstance
from node.model.states import Origin
from node.pipeline.own_output import fused, own_by_finding
from node.store.catalog import Catalog

log = structlog.get_logger()


@dataclass
class BatchCoercion:
    """How one attempt coerces the instances of one batch, and what came of it.

    Attributes
    ----------
    coercions
        By SOP Instance UID; of what is not among them nothing is changed.
    done
        What was filled, by SOP Instance UID, as far as files were prepared.
    refused
        Why an instance goes as it was received, although something might be filled.
    """

    coercions: Mapping[str, Coercion] = field(default_factory=dict)
    done: dict[str, Coerced] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def prepared(self, sop_instance_uid: str) -> Prepared:
        """Return what makes of a stored file the one that is sent."""
        coercion = self.coercions.get(sop_instance_uid)
        return nullcontext if coercion is None else partial(self._lent, coercion)

    def reason_for(self, sop_instance_uid: str, reason: str) -> str:
        """Return the reason of an outcome, and why the instance went as it was received."""
        refused = self.refused.get(sop_instance_uid)
        as_received = f"sent as it was received: {refused}" if refused else ""
        return "; ".join(text for text in (reason, as_received) if text)

    @contextmanager
    def _lent(self, coercion: Coercion, path: Path) -> Iterator[Path]:
        with ExitStack() as lent:
            sent = path
            try:
                sent, coerced = lent.enter_context(coerced_copy(path, coercion))
            except InvalidInstanceError as error:  # what is odd is not touched, and delivered
                self.refused[coercion.sop_instance_uid] = str(error)
                log.info("not coerced", instance=coercion.sop_instance_uid, because=str(error))
            else:
                if coerced is not None:
                    self.done[coercion.sop_instance_uid] = coerced
            yield sent


def coercion_of(
    catalog: Catalog,
    batch: str,
    destination: str,
    pending: Collection[StoredInstance],
    wanted: Collection[Fillable],
) -> BatchCoercion:
    """Return how a batch is coerced for a destination; what a radnet-node made never is.

    Parameters
    ----------
    pending : collection of StoredInstance
        What of the batch is to be sent.
    wanted : collection of Fillable
        What the destination asks for; empty: nothing is looked up.
    """
    if not wanted:
        return BatchCoercion()
    asked = catalog.pending.asked(batch, destination)
    groups: dict[tuple[str, int], list[StoredInstance]] = {}
    for instance in pending:
        of = asked.get(instance.sop_instance_uid)
        if instance.origin is Origin.RECEIVED and of is not None and of.revision is not None:
            groups.setdefault((instance.series_instance_uid, of.revision), []).append(instance)
    coercions: dict[str, Coercion] = {}
    for (series, revision), group in groups.items():
        findings = catalog.findings.of_series(series, revision)
        own = own_by_finding(fused(findings), group)
        for instance in group:
            uid = instance.sop_instance_uid
            if findings and uid not in own:
                coercions[uid] = Coercion(
                    uid,
                    instance.sop_class_uid,
                    instance.transfer_syntax_uid,
                    findings,
                    wanted,
                    Stamp(asked[uid].at, instance.calling_ae),
                )
    return BatchCoercion(coercions)
