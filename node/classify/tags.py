"""Findings in the forms other systems keep beside the images."""

from collections.abc import Mapping

from node.store.records import Finding


def tags(findings: Mapping[str, Finding]) -> tuple[dict[str, str], list[str]]:
    """Return findings as text by name, and as labels.

    Unknown findings are left out. Labels hold letters, digits, ``-`` and ``_`` only, which is
    what Orthanc takes.
    """
    texts: dict[str, str] = {}
    labels: list[str] = []
    for name, finding in findings.items():
        if finding.value is None or finding.value in ([], "0") or name == "coverage_unknown":
            continue
        values = finding.value if isinstance(finding.value, list) else [finding.value]
        texts[name] = ";".join(values)
        labels += [name] if values == ["1"] else values
    return texts, labels
