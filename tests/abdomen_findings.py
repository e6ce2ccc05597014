"""Findings of a made-up series, as recognition writes them."""

from typing import Any

from node.model.findings import FindingName
from node.model.records import Finding


def findings_of(*, pixels: bool = True, **changed: Any) -> list[Finding]:
    """Return the fused findings of an abdominal CT with some values changed, and a witness."""
    values: dict[str, Any] = {
        FindingName.SEQUENCE: "CT",
        FindingName.PLANE: "axial",
        FindingName.CONTRAST: "contrast",
        FindingName.COVERAGE: ["liver", "kidney"],
        FindingName.COVERAGE_UNKNOWN: [],
    } | changed
    found = [Finding(name, value, 0.97, "fused") for name, value in values.items()]
    if pixels:
        found.append(Finding(FindingName.COVERAGE, ["liver"], 0.97, "pixels"))
    return found
