"""Who is scanned: a made-up person, and where the regions of a body begin and end."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from radnet.labels.vocabulary import Region

REGION_RANGE: Final[dict[Region, tuple[float, float]]] = {  # z of an average adult, mm
    Region.BRAIN: (-8, -140),
    Region.UPPER_HEAD_NECK: (-130, -225),
    Region.LOWER_HEAD_NECK: (-225, -300),
    Region.LUNG: (-295, -520),
    Region.BREAST: (-380, -480),
    Region.LIVER: (-465, -620),
    Region.KIDNEY: (-555, -680),
    Region.INTESTINE: (-620, -790),
    Region.PELVIS: (-760, -900),
}


LIMBS: Final = ("knee", "thigh", "shin", "forearm")  # they show none of the regions


@dataclass(frozen=True)
class Body:
    """One made-up person."""

    seed: int
    stature: float  # 1 is an adult of 1.75 m
    girth: float
    fat_mm: float
    female: bool
    arms_down: bool
    kind: str = "body"  # or one of LIMBS
    left_lobe_mm: float = 0.0  # thickness of a liver lobe over stomach and spleen; 0: none
    gas: float = 0.0  # share of stomach and colon at the liver's level that is gas; 0: neither
    prostate: bool = False

    @property
    def arms_up(self) -> bool:
        """Tell whether the arms lie beside the head, as in most CTs of the trunk."""
        return not self.arms_down and self.seed % 2 == 1

    @classmethod
    def random(cls, rng: np.random.Generator, kind: str = "body") -> "Body":
        """Return a person at random."""
        return cls(
            int(rng.integers(2**31)),
            float(rng.uniform(0.85, 1.12)),
            float(rng.uniform(0.85, 1.2)),
            float(rng.uniform(6, 32)),
            bool(rng.random() < 0.5),
            bool(rng.random() < 0.4),
            kind,
        )

    def region_mm(self, region: Region) -> tuple[float, float]:
        """Return (upper, lower) z of `region` in this body, mm below the top of the head."""
        upper, lower = REGION_RANGE[region]
        return upper * self.stature, lower * self.stature
