"""Findings in the forms other systems keep beside the images."""

from collections.abc import Mapping
from typing import Final

from node.model.records import Finding
from radnet.labels.vocabulary import Sequence

_LABELLED: Final = ("sequence", "plane", "contrast", "coverage", "localizer", "derived")
"""What a person looks for. How sure the node is, and of what, is for rules and for the report."""

_SAYS_NOTHING: Final = frozenset({str(Sequence.OTHER)})

NOT_TOLD: Final = frozenset({"coverage_unknown", "own_output"})  # nobody looks for them


def tags(findings: Mapping[str, Finding]) -> tuple[dict[str, str], list[str]]:
    """Return findings as text by name, and as labels.

    Unknown findings are left out. Labels hold letters, digits, ``-`` and ``_`` only, which is
    what Orthanc takes.
    """
    texts: dict[str, str] = {}
    labels: list[str] = []
    for name, finding in findings.items():
        if finding.value is None or finding.value in ([], "0") or name in NOT_TOLD:
            continue
        values = finding.value if isinstance(finding.value, list) else [finding.value]
        texts[name] = ";".join(values)
        if name in _LABELLED:
            labels += [name] if values == ["1"] else values
    return texts, [one for one in labels if one not in _SAYS_NOTHING]
