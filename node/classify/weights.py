"""Which weights spoke for a finding. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from node.model.findings import FindingName
from node.model.records import Finding

OF_ALL_PIXELS: Final = frozenset(
    {FindingName.STRANGE, FindingName.DISAGREEMENT, FindingName.COVERAGE_UNKNOWN}
)
"""Fused findings that have no witness of their own name: whatever the pixels say is in them."""


def with_weights(findings: Sequence[Finding], model_sha256: str) -> list[Finding]:
    """Return findings of one run, each with the digest of the weights where pixels spoke for it.

    A fused finding has pixels behind it where a witness of its name has, or, of those that are
    about all that the pixels say, any.

    Parameters
    ----------
    findings : sequence of Finding
        Of one recognition.
    model_sha256 : str
        Digest of the classifier's weights file.

    Returns
    -------
    list of Finding
        In the same order.
    """
    seen = _seen(findings)
    return [
        replace(finding, model_sha256=model_sha256) if _by_pixels(finding, seen) else finding
        for finding in findings
    ]


def _seen(findings: Iterable[Finding]) -> frozenset[str]:
    return frozenset(finding.name for finding in findings if finding.source == "pixels")


def _by_pixels(finding: Finding, seen: frozenset[str]) -> bool:
    if finding.source == "fused":
        return finding.name in seen or (finding.name in OF_ALL_PIXELS and bool(seen))
    return finding.source == "pixels"
