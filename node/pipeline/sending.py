"""Where instances have to go: facts to the rules, and rows for what they say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from node.deliver.origin import Origins
from node.route.facts import Facts, header_facts
from node.route.rules import CompiledRules, Decision, decide
from node.store.catalog import Catalog
from node.store.instances import InstanceFiles
from node.store.records import Finding, StoredInstance
from radnet.volume.headers import first_readable

NOWHERE: Final = "no rule sends this series anywhere"


@dataclass(frozen=True)
class Sending:
    """Asks the rules about instances, and notes what they say."""

    catalog: Catalog
    files: InstanceFiles
    rules: CompiledRules
    origins: Origins
    clock: Callable[[], float]

    def send(
        self, batch: str, group: list[StoredInstance], findings: Mapping[str, Finding]
    ) -> tuple[Decision, list[str]]:
        """Note where instances have to go; return what the rules say, and what there is to tell.

        None is sent back to where it came from: that has these bytes.
        """
        decision = decide(self.rules, facts_of(self.catalog, self.files, group, findings))
        reasons = [f"rule {name} failed: {why}" for name, why in decision.failed.items()]
        origins = self._origins(group)
        for destination in decision.deliver:
            uids = [
                one.sop_instance_uid
                for one in group
                if destination not in origins[one.sop_instance_uid]
            ]
            if back := len(group) - len(uids):
                reasons.append(f"{back} came from {destination} and are not sent back there")
            if uids:
                urgent = destination in decision.urgent
                self.catalog.add_deliveries(batch, destination, uids, self.clock(), urgent)
        if not decision.deliver:
            reasons.append(NOWHERE)
        return decision, reasons

    def _origins(self, group: list[StoredInstance]) -> dict[str, frozenset[str]]:
        """Return the destinations that each instance came from."""
        ids = {one.association_id for one in group if one.association_id is not None}
        addresses = self.catalog.addresses(ids)
        callers = {
            one.sop_instance_uid: (one.calling_ae, addresses.get(one.association_id or 0, ""))
            for one in group
        }
        known = {caller: self.origins.of(*caller) for caller in set(callers.values())}
        return {uid: known[caller] for uid, caller in callers.items()}


def facts_of(
    catalog: Catalog,
    files: InstanceFiles,
    stored: Sequence[StoredInstance],
    findings: Mapping[str, Finding],
) -> Facts:
    """Return what rules see of instances of one series and of what was found about them."""
    header = first_readable(files.absolute(one.path) for one in stored)
    source = {"calling_ae": stored[0].calling_ae}
    if stored[0].association_id is not None:
        called = catalog.called_ae(stored[0].association_id)
        source |= {"called_ae": called} if called else {}
    return Facts(
        findings={
            name: {"value": _fact(finding), "probability": finding.probability}
            for name, finding in findings.items()
        },
        header={} if header is None else header_facts(header),
        source=source,
    )


def _fact(finding: Finding) -> str | list[str] | None:
    """Return a value as rules see it: unknown coverage is an empty list, so that `in` works."""
    return [] if finding.name == "coverage" and finding.value is None else finding.value
