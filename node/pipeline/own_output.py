"""What a radnet-node made, among what was received: routed by the rules, and no more than that.

It may be our own that an archive sent back, or another node's. Each instance is judged by its
own header: one that is marked says nothing of its neighbours.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from node.classify.recognise import own_output_among
from node.model.findings import FINDINGS, SOME_INSTANCES, FindingName, Use, is_for
from node.model.records import Finding, StoredInstance

MADE_BY_A_NODE: Final = "made by a radnet-node"
UNRECOGNISED: Final = {
    name: Finding(name, None, 0.0, "fused") for name in FINDINGS if is_for(name, Use.LABEL)
} | {FindingName.OWN_OUTPUT: Finding(FindingName.OWN_OUTPUT, True, 1.0, "fused")}
"""What rules see of own output: it was not looked at, so nothing about it is known."""


def own_among(stored: Mapping[Path, StoredInstance]) -> frozenset[str]:
    """Return the SOP Instance UIDs of own output, told from the files."""
    return frozenset(stored[path].sop_instance_uid for path in own_output_among(list(stored)))


def own_finding(own: frozenset[str], count: int) -> list[Finding]:
    """Return the finding for `count` instances of which these are own output; none for none."""
    if not own:
        return []
    if len(own) == count:
        return [Finding(FindingName.OWN_OUTPUT, True, 1.0, "fused", {"because": MADE_BY_A_NODE})]
    evidence = {"because": MADE_BY_A_NODE, SOME_INSTANCES: sorted(own)}
    return [Finding(FindingName.OWN_OUTPUT, True, 1.0, "fused", evidence)]


def fused(found: Iterable[Finding]) -> dict[str, Finding]:
    """Return the fused findings by name.

    That of own output is among them, which an older version took from the header.
    """
    own = FindingName.OWN_OUTPUT
    return {
        finding.name: finding
        for finding in found
        if finding.source == "fused" or finding.name == own
    }


def own_by_finding(
    findings: Mapping[str, Finding], stored: Sequence[StoredInstance]
) -> frozenset[str]:
    """Return the SOP Instance UIDs of own output as `own_finding` told them."""
    evidence = findings.get(FindingName.OWN_OUTPUT)
    if evidence is None:
        return frozenset()
    everything = [instance.sop_instance_uid for instance in stored]
    return frozenset(evidence.evidence.get(SOME_INSTANCES, everything))
