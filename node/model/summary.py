"""What was recognised of a study, as its report tells it; plain values, read from rows."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from node.model.findings import FINDINGS, FindingName, Use, is_for
from node.model.records import Finding

TOLD: Final = frozenset(name for name in FINDINGS if is_for(name, Use.RECOGNITION))
"""Findings of a series that the report of its study tells, those that are fused."""

DECIMALS: Final = 4
"""Of a probability, for telling whether it is another one."""


@dataclass(frozen=True, slots=True)
class FirstImage:
    """An image that stands for its series: of its first revision, so that it stays the same."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class RecognisedSeries:
    """A series, and what was recognised of its last revision.

    Attributes
    ----------
    key : str
        The catalog's.
    series_instance_uid : str
        As its images have it.
    findings : tuple of Finding
        Those of `TOLD` that are fused; none of own output.
    """

    key: str
    series_instance_uid: str
    first_image: FirstImage
    findings: tuple[Finding, ...]

    @property
    def is_known(self) -> bool:
        """Whether anything of it is known: a value that is not empty."""
        return any(finding.value not in (None, []) for finding in self.findings)


@dataclass(frozen=True, slots=True)
class RecognisedStudy:
    """A study as its rows stand.

    Attributes
    ----------
    is_open : bool
        A series of it comes in, or is to be recognised.
    series : tuple of RecognisedSeries
        Those with findings, in the order in which they began to come.
    wanted_by : mapping of str to bool
        Destinations that rules named for any series of it, and whether that is urgent.
    """

    study_instance_uid: str
    is_open: bool
    series: tuple[RecognisedSeries, ...] = ()
    wanted_by: Mapping[str, bool] = field(default_factory=dict)

    @property
    def is_known(self) -> bool:
        """Whether anything of it is known."""
        return any(series.is_known for series in self.series)

    @property
    def sha256(self) -> str:
        """Digest of what is told: where it is the same, there is nothing new to tell."""
        content = sorted(
            [series.series_instance_uid, [_content(finding) for finding in series.findings]]
            for series in self.series
        )
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _content(finding: Finding) -> list[Any]:
    """Return what is told of a finding; of coverage, how probable each region is, too."""
    regions = finding.evidence if finding.name == FindingName.COVERAGE else {}
    return [
        str(finding.name),
        finding.value,
        round(finding.probability, DECIMALS),
        finding.model_sha256,
        regions,
    ]
