"""Where instances have to go: facts to the rules, and rows for what they say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from node.classify.recognise import A_SLICE
from node.deliver.origin import Origins
from node.model.findings import YES_NO_TEXTS, FindingName, fact_of
from node.model.keys import Batch
from node.model.records import Finding, StoredInstance
from node.route.explain import because
from node.route.facts import Facts, header_facts
from node.route.rules import CompiledRules, Decision, decide
from node.store.catalog import Catalog
from node.store.deliveries.orders import REPLAY_DELIVERED
from node.store.deliveries.scope import Scope
from node.store.files import InstanceFiles
from radnet.volume.headers import first_readable

log = structlog.get_logger()

NOWHERE: Final = "no rule sends this series anywhere"


@dataclass(frozen=True)
class Sending:
    """Asks the rules about instances, and notes what they say.

    Attributes
    ----------
    send_again : bool
        What was delivered before to where the rules say is sent there once more.
    """

    catalog: Catalog
    files: InstanceFiles
    rules: CompiledRules
    origins: Origins
    clock: Callable[[], float]
    send_again: bool = False

    def send(
        self, batch: Batch, group: list[StoredInstance], findings: Mapping[str, Finding]
    ) -> tuple[Decision, list[str]]:
        """Note where instances have to go; return what the rules say, and what there is to tell.

        None is sent back to where it came from: that has these bytes.
        """
        facts = facts_of(self.catalog, self.files, group, findings)
        decision = decide(self.rules, facts)
        self._tell(batch, group, facts, decision)
        reasons = [f"rule {name} failed: {why}" for name, why in decision.failed.items()]
        origins = self._origins(group)
        for destination in decision.deliver:
            uids = [
                instance.sop_instance_uid
                for instance in group
                if destination not in origins[instance.sop_instance_uid]
            ]
            if back := len(group) - len(uids):
                reasons.append(f"{back} came from {destination} and are not sent back there")
            if uids:
                urgent = destination in decision.urgent
                self.catalog.deliveries.add(str(batch), destination, uids, self.clock(), urgent)
                if self.send_again:
                    once_more(self.catalog, destination, [batch.subject], self.clock())
        if not decision.deliver:
            reasons.append(NOWHERE)
        return decision, reasons

    def _tell(
        self, batch: Batch, group: list[StoredInstance], facts: Facts, decision: Decision
    ) -> None:
        """Note in ledger and log which rules matched, why, and what follows."""
        matched = {
            entry.rule.name: because(entry, facts)
            for entry in self.rules.rules
            if entry.rule.name in decision.matched
        }
        judged = {
            "revision": batch.number,
            "of": "own output" if is_own(facts) else "images",
            "instances": len(group),
            "matched": matched,
            "failed": decision.failed,
            "deliver": list(decision.deliver),
            "segment": list(decision.segment),
            "results_to": list(decision.results_to),
            "summary_to": list(decision.summary_to),
            "urgent": list(decision.urgent),
        }
        self.catalog.findings.put_judged(batch.subject, judged, self.clock())
        study = group[0].study_instance_uid
        log.info("judged by the rules", study=study, series=batch.subject, **judged)

    def _origins(self, group: list[StoredInstance]) -> dict[str, frozenset[str]]:
        """Return the destinations that each instance came from."""
        ids = {
            instance.association_id for instance in group if instance.association_id is not None
        }
        addresses = self.catalog.access.addresses(ids)
        callers = {
            instance.sop_instance_uid: (
                instance.calling_ae,
                addresses.get(instance.association_id or 0, ""),
            )
            for instance in group
        }
        known = {caller: self.origins.of(*caller) for caller in set(callers.values())}
        return {uid: known[caller] for uid, caller in callers.items()}


def once_more(catalog: Catalog, destination: str, uids: Sequence[str], now: float) -> None:
    """Send again what was delivered, parked or cancelled: of series or instances, at one place."""
    for uid in uids:
        catalog.orders.give(REPLAY_DELIVERED, Scope(destination, uid), now)


def is_own(facts: Facts) -> bool:
    """Tell whether facts are about what a radnet-node made."""
    return facts.findings.get(FindingName.OWN_OUTPUT, {}).get("value") == YES_NO_TEXTS[True]


def a_slice_first(
    images: Sequence[StoredInstance], found: Sequence[Finding]
) -> list[StoredInstance]:
    """Order images so that rules, which look at the first, do not see one that is odd."""
    slices = {
        finding.evidence.get(A_SLICE) for finding in found if finding.name == FindingName.REMARKS
    }
    return sorted(images, key=lambda instance: instance.sop_instance_uid not in slices)


def facts_of(
    catalog: Catalog,
    files: InstanceFiles,
    stored: Sequence[StoredInstance],
    findings: Mapping[str, Finding],
) -> Facts:
    """Return what rules see of instances of one series and of what was found about them."""
    header = first_readable(files.absolute(instance.path) for instance in stored)
    source = {"calling_ae": stored[0].calling_ae}
    if stored[0].association_id is not None:
        called = catalog.access.called_ae(stored[0].association_id)
        source |= {"called_ae": called} if called else {}
    return Facts(
        findings=findings_facts(findings),
        header={} if header is None else header_facts(header),
        source=source,
    )


def findings_facts(findings: Mapping[str, Finding]) -> dict[str, dict[str, Any]]:
    """Return findings as rules see them."""
    return {
        name: {"value": fact_of(name, finding.value), "probability": finding.probability}
        for name, finding in findings.items()
    }
