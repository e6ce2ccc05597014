"""Which picture is asked of the scanner: timings as protocols have them, and their signal."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from radnet.labels.facts import HeaderFacts
from radnet.labels.vocabulary import Contrast, Sequence
from radnet.phantom.signal import inversion_recovery, spin_echo, spoiled_gradient_echo
from radnet.synthesis.matter import TABLE, Matter, Relaxation

Array = NDArray[np.float32]
Rng = np.random.Generator


@dataclass(frozen=True)
class Weighting:
    """One pulse sequence; times in ms.

    Attributes
    ----------
    sequence
        What it is, by its own parameters.
    scanning
        As in Scanning Sequence (0018,0020).
    variant
        As in Sequence Variant (0018,0021).
    echoes
        Echo Train Length (0018,0091).
    agent_mm
        Gadolinium in the blood, mM; 0: none.
    field_t
        Magnetic Field Strength (0018,0087).
    fat
        What is left of the signal of fat; 1: it was not saturated.
    flow
        What is left of the signal of flowing blood.
    """

    sequence: Sequence
    scanning: str
    repeat: float
    echo: float
    inversion: float = 0.0
    flip: float = 90.0
    echoes: int = 1
    variant: str = "NONE"
    b_value: float = 0.0
    agent_mm: float = 0.0
    field_t: float = 1.5
    fat: float = 1.0
    flow: float = 1.0

    @property
    def contrast(self) -> Contrast:
        """Return whether an agent was given."""
        return Contrast.CONTRAST if self.agent_mm > 0 else Contrast.NONCONTRAST

    @property
    def echo_planar(self) -> bool:
        """Tell whether all of a slice was read after one excitation."""
        return "EP" in self.scanning.split()

    def facts(
        self, normal: tuple[float, float, float], step_mm: float, slices: int
    ) -> HeaderFacts:
        """Return what a header of this scan would say, by its parameters alone: no descriptions.

        Parameters
        ----------
        normal
            Of the slices, LPS.
        step_mm
            Between slices.
        slices
            How many there are.

        References
        ----------
        DICOM PS3.3 Section C.8.3.1 (MR Image Module), C.7.6.4 (Contrast/Bolus Module)
        """
        numbers = {
            "TR": self.repeat, "TE": self.echo, "FA": self.flip, "ETL": float(self.echoes)
        }  # fmt: skip
        if self.inversion:
            numbers["TI"] = self.inversion
        if self.b_value:
            numbers["b"] = self.b_value
        texts = {"ScanningSequence": self.scanning, "SequenceVariant": self.variant}
        if self.agent_mm:
            texts["ContrastBolusAgent"] = "Gadobutrol"
        return HeaderFacts("MR", texts, numbers, (normal,), step_mm, step_mm * (slices - 1))


def signal(asked: Weighting, tissue: Relaxation) -> Array:
    """Return the signal of each `Matter`, (16,), the highest 1.

    Parameters
    ----------
    asked
        The pulse sequence.
    tissue
        Of the patient, at the field of `asked` and with its agent.
    """
    t2 = tissue.t2.copy()
    if asked.echoes > 3:
        t2[Matter.FAT] *= 1.5  # refocusing pulses undo its J coupling: Henkelman 1992
    if "GR" in asked.scanning and not asked.inversion:
        share = spoiled_gradient_echo(
            tissue.t1, tissue.t2_star, asked.repeat, asked.echo, asked.flip
        )
    elif asked.inversion:
        decay = tissue.t2_star if "GR" in asked.scanning else t2
        share = inversion_recovery(tissue.t1, decay, asked.repeat, asked.echo, asked.inversion)
    else:
        share = spin_echo(tissue.t1, t2, asked.repeat, asked.echo)
    found = tissue.density * share * np.exp(-asked.b_value * tissue.diffusion)
    found[Matter.FAT] *= asked.fat
    found[[Matter.ARTERY, Matter.VEIN]] *= asked.flow
    return np.asarray(found / max(float(found.max()), 1e-6), np.float32)


def random_weighting(rng: Rng) -> Weighting:
    """Return a pulse sequence at random, with an agent where it shows."""
    kinds = list(DRAWN)
    weights = np.array([DRAWN[kind] for kind in kinds])
    asked = kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))](rng)
    asked = at_field(asked, float(rng.choice([1.0, 1.5, 1.5, 3.0, 3.0])))
    share = AGENT.get(asked.sequence, 0.0)
    if rng.random() < share:  # it outshines the loss by flow
        flow = max(asked.flow, float(rng.uniform(0.6, 1)))
        return replace(asked, agent_mm=float(rng.uniform(0.5, 1.6)), flow=flow)
    return asked


def at_field(asked: Weighting, field_t: float) -> Weighting:
    """Return a protocol for 1.5 T as it is at another field: STIR must null fat there, too."""
    inversion = asked.inversion
    if asked.sequence is Sequence.STIR:
        inversion = round(inversion * (field_t / 1.5) ** TABLE[Matter.FAT][2], 1)
    return replace(asked, field_t=field_t, inversion=inversion)


def _between(rng: Rng, low: float, high: float) -> float:
    return round(float(rng.uniform(low, high)), 1)


def t1_spin_echo(rng: Rng) -> Weighting:
    """Return a T1 spin echo: blood that flows through the slice gives little."""
    return Weighting(
        Sequence.T1, "SE", _between(rng, 380, 750), _between(rng, 8, 20), variant="SK",
        flow=float(rng.uniform(0.1, 0.8)), fat=_fat(rng, 0.2),
    )  # fmt: skip


def t1_gradient_echo(rng: Rng) -> Weighting:
    """Return a T1 spoiled gradient echo: blood that flows in is fresh, and brighter."""
    return Weighting(
        Sequence.T1, "GR", _between(rng, 130, 300), _between(rng, 2.2, 6),
        flip=_between(rng, 60, 85), variant="SP", flow=float(rng.uniform(0.8, 1.6)),
        fat=_fat(rng, 0.3),
    )  # fmt: skip


def t1_prepared(rng: Rng) -> Weighting:
    """Return a T1 gradient echo after an inversion, in three dimensions (MPRAGE)."""
    return Weighting(
        Sequence.T1, "GR IR", _between(rng, 1700, 2400), _between(rng, 2, 4.5),
        _between(rng, 850, 1100), _between(rng, 8, 12), variant="SP MP",
    )  # fmt: skip


def t2_spin_echo(rng: Rng) -> Weighting:
    """Return a T2 fast spin echo."""
    return Weighting(
        Sequence.T2, "SE", _between(rng, 2800, 6500), _between(rng, 80, 120), flip=90,
        echoes=int(rng.integers(5, 24)), variant="SK", flow=float(rng.uniform(0, 0.3)),
        fat=_fat(rng, 0.25),
    )  # fmt: skip


def t1_flair(rng: Rng) -> Weighting:
    """Return a T1-FLAIR: fluid is dark, white matter brighter than grey."""
    repeat = _between(rng, 1800, 2600)
    return Weighting(
        Sequence.T1_FLAIR, "SE IR", repeat, _between(rng, 8, 26), _nulling_fluid(rng, repeat), 90,
        int(rng.integers(3, 9)), "SK", flow=float(rng.uniform(0.1, 0.6)), fat=_fat(rng, 0.2),
    )  # fmt: skip


def t2_flair(rng: Rng) -> Weighting:
    """Return a T2-FLAIR: the inversion time leaves no signal to fluid."""
    repeat = _between(rng, 8000, 11000)
    return Weighting(
        Sequence.T2_FLAIR, "SE IR", repeat, _between(rng, 90, 140), _nulling_fluid(rng, repeat),
        90, int(rng.integers(8, 24)), "SK", flow=float(rng.uniform(0, 0.3)), fat=_fat(rng, 0.3),
    )  # fmt: skip


def _nulling_fluid(rng: Rng, repeat: float) -> float:
    """Return about the inversion time after which fluid has no signal, at a repetition time."""
    t1 = TABLE[Matter.FLUID][1]
    null = t1 * (np.log(2) - np.log1p(np.exp(-repeat / t1)))
    return round(float(null * rng.uniform(0.95, 1.05)), 1)


def stir(rng: Rng) -> Weighting:
    """Return a STIR: the inversion time leaves no signal to fat."""
    return Weighting(
        Sequence.STIR, "SE IR", _between(rng, 3200, 6500), _between(rng, 30, 80),
        round(float(np.log(2) * TABLE[Matter.FAT][1] * rng.uniform(0.88, 1.02)), 1), 90,
        int(rng.integers(5, 16)), "SK",
        flow=float(rng.uniform(0, 0.3)),
    )  # fmt: skip


def proton_density(rng: Rng) -> Weighting:
    """Return a spin echo that is weighted by neither T1 nor T2."""
    return Weighting(
        Sequence.OTHER, "SE", _between(rng, 2100, 4200), _between(rng, 8, 26),
        echoes=int(rng.integers(1, 8)), variant="SK", flow=float(rng.uniform(0, 0.4)),
        fat=_fat(rng, 0.3),
    )  # fmt: skip


def t2_star(rng: Rng) -> Weighting:
    """Return a gradient echo that is weighted by T2*."""
    return Weighting(
        Sequence.OTHER, "GR", _between(rng, 450, 900), _between(rng, 14, 28),
        flip=_between(rng, 12, 28), variant="SP", flow=float(rng.uniform(0.8, 1.5)),
    )  # fmt: skip


def echo_planar(rng: Rng) -> Weighting:
    """Return an echo-planar spin echo, diffusion-weighted more often than not."""
    return Weighting(
        Sequence.OTHER, "EP SE", _between(rng, 3000, 8000), _between(rng, 60, 105),
        echoes=int(rng.integers(40, 90)), variant="SK",
        b_value=float(rng.choice([0, 800, 1000, 1500])), fat=float(rng.uniform(0, 0.04)),
        flow=float(rng.uniform(0, 0.3)),
    )  # fmt: skip


def _fat(rng: Rng, often: float) -> float:
    return float(rng.uniform(0.05, 0.35)) if rng.random() < often else 1.0


DRAWN: Final[dict[Callable[[Rng], Weighting], float]] = {
    t1_spin_echo: 1.6, t1_gradient_echo: 0.8, t1_prepared: 1.2, t2_spin_echo: 3.0, t1_flair: 1.8,
    t2_flair: 2.2, stir: 1.6, proton_density: 0.9, t2_star: 0.8, echo_planar: 1.4,
}  # fmt: skip
AGENT: Final = {
    Sequence.T1: 0.5, Sequence.T1_FLAIR: 0.4
}  # fmt: skip
