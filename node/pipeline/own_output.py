"""What a radnet-node made, among what was received: routed by the rules, and no more than that.

It may be our own that an archive sent back, or another node's. Each instance is judged by its
own header: one that is marked says nothing of its neighbours.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from node.classify.recognise import own_output_among
from node.model.records import Finding, StoredInstance

OWN_OUTPUT: Final = "own_output"
MADE_BY_A_NODE: Final = "made by a radnet-node"
UNRECOGNISED: Final = {
    name: Finding(name, None, 0.0, "fused")
    for name in ("sequence", "plane", "contrast", "coverage", "localizer", "derived")
} | {OWN_OUTPUT: Finding(OWN_OUTPUT, "1", 1.0, "fused")}
"""What rules see of own output: it was not looked at, so nothing about it is known."""


def own_among(stored: Mapping[Path, StoredInstance]) -> frozenset[str]:
    """Return the SOP Instance UIDs of own output, told from the files."""
    return frozenset(stored[path].sop_instance_uid for path in own_output_among(list(stored)))


def own_finding(own: frozenset[str], count: int) -> list[Finding]:
    """Return the finding for `count` instances of which these are own output; none for none."""
    if not own:
        return []
    if len(own) == count:
        return [Finding(OWN_OUTPUT, "1", 1.0, "fused", {"because": MADE_BY_A_NODE})]
    told = {"because": MADE_BY_A_NODE, "instances": sorted(own)}
    return [Finding(OWN_OUTPUT, "some", 1.0, "fused", told)]


def own_by_finding(
    findings: Mapping[str, Finding], stored: Sequence[StoredInstance]
) -> frozenset[str]:
    """Return the SOP Instance UIDs of own output as `own_finding` told them."""
    told = findings.get(OWN_OUTPUT)
    if told is None:
        return frozenset()
    everything = [one.sop_instance_uid for one in stored]
    return frozenset(told.evidence.get("instances", everything))
