"""What a head is made of, and how each of it relaxes at a given field."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class Matter(IntEnum):
    """What a voxel of a tissue map is made of."""

    NOTHING = 0  # air, and what was cut away
    FAT = 1  # of the scalp, the orbit and the marrow
    MUSCLE = 2  # and skin
    BONE = 3
    GREY = 4
    WHITE = 5
    FLUID = 6
    EYE = 7
    VEIN = 8  # the sinuses
    ARTERY = 9
    DURA = 10
    PLEXUS = 11  # the choroid plexus; no barrier keeps an agent out
    MUCOSA = 12  # and the pituitary gland
    OEDEMA = 13  # around a lesion
    LESION = 14  # the rim of it, which takes an agent
    CORE = 15  # what is dead in it


M = Matter

# Proton density (water = 1), T1 ms at 1.5 T and the power by which it grows with the field, T2 ms
# at 1.5 T and at 3 T, diffusion in 1e-3 mm2/s, mM of gadolinium in it for 1 mM in blood.
#
# Of the size that the literature gives, written down from memory and not compared with it again;
# before a figure here is quoted, look it up: white matter, fluid and the law of grey in Rooney et
# al., MRM 57 (2007), 308; grey, muscle, blood and T2 in Stanisz et al., MRM 54 (2005), 507; fat
# and marrow in Gold et al., AJR 183 (2004), 343. What these have not (dura, plexus, mucosa,
# lesions) is set like tissues of as much water; see the review of Bottomley et al., Med Phys 11
# (1984), 425. Each patient differs: `relaxation` draws around these.
TABLE: Final[dict[Matter, tuple[float, float, float, float, float, float, float]]] = {
    M.NOTHING: (0.0, 1000, 0.3, 50, 50, 0.0, 0.0),
    M.FAT: (0.90, 290, 0.33, 95, 85, 0.05, 0.0),
    M.MUSCLE: (0.78, 1060, 0.33, 40, 36, 1.4, 0.12),
    M.BONE: (0.05, 400, 0.3, 2, 2, 0.1, 0.0),
    M.GREY: (0.82, 1124, 0.376, 97, 90, 0.85, 0.01),
    M.WHITE: (0.70, 656, 0.382, 75, 69, 0.72, 0.005),
    M.FLUID: (1.0, 4300, 0.0, 1900, 1700, 3.0, 0.0),
    M.EYE: (0.98, 4000, 0.0, 900, 700, 2.6, 0.0),
    M.VEIN: (0.82, 1440, 0.42, 150, 80, 1.6, 1.0),
    M.ARTERY: (0.82, 1440, 0.42, 250, 160, 1.6, 1.0),
    M.DURA: (0.55, 800, 0.33, 45, 40, 0.8, 0.5),
    M.PLEXUS: (0.88, 1300, 0.35, 130, 110, 1.6, 0.8),
    M.MUCOSA: (0.88, 1200, 0.35, 110, 95, 1.5, 0.65),
    M.OEDEMA: (0.88, 1350, 0.35, 150, 135, 1.3, 0.01),
    M.LESION: (0.85, 1250, 0.36, 115, 105, 1.0, 0.7),
    M.CORE: (0.93, 2200, 0.2, 300, 260, 1.9, 0.05),
}
RELAXIVITY: Final = {1.5: (4.1, 4.6), 3.0: (3.7, 5.2)}
"""r1 and r2 of gadopentetate in plasma at 37 C, per s and mM.

Rohrer et al., Invest Radiol 40 (2005), 715-724."""
SPREAD: Final = np.array([0.04, 0.05, 0.02, 0.15])  # by patient: of T1, T2, density, uptake
FREE_INDUCTION: Final = 0.55  # T2* as a share of T2 at 1.5 T; less in a stronger field


@dataclass(frozen=True)
class Relaxation:
    """What decides the signal of each `Matter`, (16,) each; times in ms."""

    density: Array
    t1: Array
    t2: Array
    t2_star: Array
    diffusion: Array  # mm2/s


def relaxation(field_t: float, agent_mm: float, rng: np.random.Generator) -> Relaxation:
    """Return how the tissues of one patient relax, a few percent around those of the table.

    Parameters
    ----------
    field_t
        Tesla, 1 to 3.
    agent_mm
        Gadolinium in blood, mM; 0: none was given.
    rng
        Draws the patient.
    """
    table = np.array([TABLE[matter] for matter in Matter])
    density, t1, power, t2_low, t2_high, diffusion, uptake = table.T
    share = float(np.clip((field_t - 1.5) / 1.5, -0.3, 1))
    t1 = t1 * (field_t / 1.5) ** power
    t2 = t2_low + share * (t2_high - t2_low)
    spread = np.exp(rng.normal(0, 1, (4, len(Matter))) * SPREAD[:, None])
    t1, t2, density = t1 * spread[0], t2 * spread[1], density * spread[2]
    r1, r2 = (
        low + share * (high - low)
        for low, high in zip(RELAXIVITY[1.5], RELAXIVITY[3.0], strict=True)
    )
    there = agent_mm * uptake * spread[3]
    t1, t2 = 1000 / (1000 / t1 + r1 * there), 1000 / (1000 / t2 + r2 * there)
    t2_star = t2 * FREE_INDUCTION * (1.5 / field_t) ** 0.3
    return Relaxation(
        density.astype(np.float32),
        t1.astype(np.float32),
        t2.astype(np.float32),
        t2_star.astype(np.float32),
        (diffusion * 1e-3).astype(np.float32),
    )
