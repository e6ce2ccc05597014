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
    """
    seen = _seen(findings)
    return [
        replace(one, model_sha256=model_sha256) if _by_pixels(one, seen) else one
        for one in findings
    ]


def _seen(findings: Iterable[Finding]) -> frozenset[str]:
    return frozenset(one.name for one in findings if one.source == "pixels")


def _by_pixels(one: Finding, seen: frozenset[str]) -> bool:
    if one.source == "fused":
        return one.name in seen or (one.name in OF_ALL_PIXELS and bool(seen))
    return one.source == "pixels"
