"""What a person saw in real scans, slice by slice: the table `seen.toml`."""

import tomllib
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from radnet.labels.vocabulary import Contrast, Region
from radnet.phantom.person import REGION_RANGE

TABLE: Final = "seen.toml"
UNKNOWN: Final = -1
COVERED: Final = 0.5  # share of a region's height from which on a scan covers it

Slices = tuple[int, int]  # first and last


@dataclass(frozen=True)
class Seen:
    """One scan; a region in neither is not there."""

    seen: dict[Region, Slices]
    unsure: dict[Region, Slices] = field(default_factory=dict)  # what is seen lies within
    contrast: Contrast | None = None

    def rows(self, region: Region, count: int) -> NDArray[np.float32]:
        """Return for each of `count` slices whether it shows `region`: 1, 0 or UNKNOWN."""
        rows = np.zeros(count, np.float32)
        for slices, value in ((self.unsure.get(region), UNKNOWN), (self.seen.get(region), 1)):
            if slices:
                rows[slices[0] : slices[1] + 1] = value
        return rows


def read_seen() -> dict[str, Seen]:
    """Return the table by the scan's name."""
    text = (files("radnet.datasets") / TABLE).read_text(encoding="utf-8")
    return {name: _seen(entry) for name, entry in tomllib.loads(text).items()}


def _seen(entry: dict[str, object]) -> Seen:
    contrast = entry.get("contrast")
    return Seen(
        _slices(entry["seen"]),
        _slices(entry.get("unsure", {})),
        Contrast(str(contrast)) if contrast else None,
    )


def _slices(found: object) -> dict[Region, Slices]:
    if not isinstance(found, dict):
        raise TypeError(f"{TABLE}: {found!r}; expected region = [first, last]")
    return {Region(name): (int(first), int(last)) for name, (first, last) in found.items()}


def covered(region: Region, rows: NDArray[np.float32], spacing_mm: float) -> float:
    """Return whether a scan whose slices show `rows` of a region covers it.

    1 from half of an adult's height on, 0 where no slice shows it, UNKNOWN between.
    """
    upper, lower = REGION_RANGE[region]
    if float((rows == 1).sum()) * spacing_mm > COVERED * (upper - lower):
        return 1.0
    return float(UNKNOWN) if rows.any() else 0.0
