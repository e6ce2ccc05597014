"""Which scans a hospital asks for: fields of view, planes and sequences at random."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from radnet.labels.vocabulary import Contrast, Plane, Region, Sequence
from radnet.phantom.acquisition import Acquisition
from radnet.phantom.body import Body


@dataclass(frozen=True)
class Protocol:
    """One kind of examination; z in mm below the top of an average adult's head."""

    name: str
    top: tuple[float, float]
    bottom: tuple[float, float]
    field_mm: tuple[float, float]
    middle_y: float
    mr: bool
    weight: float
    spread_mm: float = 190.0  # depth of a coronal or width of a sagittal stack
    kind: str = "body"
    ct: bool = True  # whether it is one of a CT, too
    planes: tuple[float, float, float] | None = None  # shares; None: as of the modality
    height_mm: tuple[float, float] | None = None  # from its top; None: down to `bottom`
    oblique: float = 0.0  # radians, at most
    of: Region | None = None  # shown for its own sake, by however small a field


PROTOCOLS: Final = (
    Protocol("head", (20, -20), (-135, -165), (210, 270), 0, True, 3.2, 150),
    Protocol("head and neck", (15, -60), (-270, -345), (220, 340), 5, True, 1.6, 150),
    Protocol("neck", (-110, -160), (-280, -340), (200, 320), 10, True, 1.0, 110),
    Protocol("chest", (-260, -310), (-505, -580), (330, 450), 10, True, 1.6, 220),
    Protocol("breast", (-350, -380), (-485, -530), (330, 420), -30, True, 1.0, 150),
    Protocol("liver", (-430, -490), (-630, -720), (330, 450), 5, True, 2.2, 200),
    Protocol("abdomen and pelvis", (-430, -480), (-860, -950), (340, 460), 8, False, 1.6, 220),
    Protocol("chest to pelvis", (-260, -310), (-860, -950), (350, 470), 8, False, 1.0, 220),
    Protocol("chest and abdomen", (-270, -310), (-640, -720), (350, 450), 8, False, 1.0, 220),
    Protocol("abdomen", (-540, -590), (-760, -820), (330, 430), 5, True, 0.9, 200),
    Protocol("pelvis", (-690, -760), (-900, -960), (330, 430), 15, True, 1.2, 200),
    Protocol("slab", (0, -700), (0, 0), (330, 430), 8, True, 0.8, 100),
    Protocol("vertex to chest", (140, 20), (-420, -520), (400, 480), 5, False, 0.7, 220),
    Protocol("knee", (90, 60), (-60, -100), (140, 200), 0, True, 0.8, 110, "knee"),
    Protocol("thigh", (130, 80), (-80, -130), (170, 240), 0, True, 0.3, 130, "thigh"),
    Protocol("shin", (120, 70), (-70, -120), (130, 190), 0, True, 0.3, 100, "shin"),
    Protocol("forearm", (100, 50), (-50, -100), (90, 150), 0, True, 0.3, 80, "forearm"),
    Protocol(
        "prostate", (-820, -862), (0, 0), (160, 260), 5, True, 1.6, 60, ct=False,
        planes=(0.5, 0.2, 0.3), height_mm=(45, 80), oblique=0.436, of=Region.PELVIS,
    ),
    Protocol("cervical spine", (-70, -120), (-290, -340), (220, 280), 35, True, 0.8, 60, ct=False,
             planes=(0.2, 0, 0.8), oblique=0.1),
    Protocol("thoracic spine", (-230, -290), (-520, -580), (300, 380), 50, True, 0.5, 60, ct=False,
             planes=(0.2, 0, 0.8), oblique=0.1),
    Protocol("lumbar spine", (-510, -560), (-760, -830), (240, 340), 40, True, 0.8, 60, ct=False,
             planes=(0.2, 0, 0.8), oblique=0.1),
)  # fmt: skip
SPINE_MM: Final = (45.0, 55.0)  # width of a sagittal stack of the spine

MR_SEQUENCES: Final = {
    Sequence.T1: 3.0,
    Sequence.T2: 3.0,
    Sequence.T1_FLAIR: 1.3,
    Sequence.T2_FLAIR: 1.8,
    Sequence.STIR: 1.5,
    Sequence.OTHER: 1.8,
}


def random_scan(
    rng: np.random.Generator, spacing_mm: tuple[float, float, float], ct: bool | None = None
) -> tuple[Body, Acquisition]:
    """Return a body and an acquisition of it, both at random.

    Parameters
    ----------
    rng
        Drives everything.
    spacing_mm
        Distance between slices, rows and columns of the picture.
    ct
        Whether it must be CT; None for either.

    Returns
    -------
    tuple of Body and Acquisition
    """
    ct = bool(rng.random() < 0.42) if ct is None else ct
    usable = [p for p in PROTOCOLS if (p.ct if ct else p.mr)]
    weights = np.array([p.weight for p in usable])
    protocol = usable[int(rng.choice(len(usable), p=weights / weights.sum()))]
    body = _varied(Body.random(rng, protocol.kind), protocol)
    sequence = Sequence.CT if ct else _sequence(rng, protocol)
    plane = _plane(rng, ct, protocol.planes)
    top = rng.uniform(min(protocol.top), max(protocol.top)) * body.stature
    bottom = rng.uniform(min(protocol.bottom), max(protocol.bottom)) * body.stature
    if protocol.name == "slab":
        bottom = top - rng.uniform(40, 130)
    if protocol.height_mm:
        bottom = top - rng.uniform(*protocol.height_mm)
    field = rng.uniform(*protocol.field_mm) * (body.girth if protocol.top[0] < -150 else 1)
    centre = (
        float(rng.normal(0, 8)),
        float(protocol.middle_y + rng.normal(0, 8)),
        float((top + bottom) / 2),
    )
    height = top - bottom
    spread = protocol.spread_mm * float(rng.uniform(0.6, 1.1))
    if protocol.name.endswith("spine") and plane is Plane.SAGITTAL:
        spread = float(rng.uniform(*SPINE_MM))
    elif protocol.height_mm:
        spread = float(rng.uniform(*protocol.height_mm))
        height = max(height, field * 0.8) if plane is not Plane.AXIAL else height
    through, rows, columns = {
        Plane.AXIAL: (height, field, field),
        Plane.CORONAL: (spread, max(height, field * 0.8), max(height * 0.8, field)),
        Plane.SAGITTAL: (spread, max(height, field * 0.8), max(height * 0.8, field)),
    }[plane]
    shape = [
        max(4, round(mm / step))
        for mm, step in zip((through, rows, columns), spacing_mm, strict=True)
    ]
    return body, Acquisition(
        sequence=sequence,
        contrast=_agent(rng, sequence),
        plane=plane,
        shape=(shape[0], min(shape[1], 192), min(shape[2], 192)),
        spacing_mm=spacing_mm,
        centre_mm=centre,
        phase=int(rng.choice([1, 2, 2, 3])),
        thickness_mm=float(rng.choice([2, 4, 5, 5, 7, 10])),
        noise=float(rng.uniform(0.4, 1.8)),
        tilt=_tilt(rng, protocol),
        round_field=bool(rng.random() < 0.7),
        of=protocol.of,
    )


def _varied(body: Body, protocol: Protocol) -> Body:
    """Return `body` with what some have and others not; its own seed decides."""
    rng = np.random.default_rng([body.seed, 1])
    return replace(
        body,
        left_lobe_mm=float(rng.uniform(10, 26)) if rng.random() < 0.4 else 0.0,
        gas=float(rng.uniform(0.35, 1.0)) if rng.random() < 0.4 else 0.0,
        prostate=not body.female or protocol.name == "prostate",
        female=body.female and protocol.name != "prostate",
    )


def _tilt(rng: np.random.Generator, protocol: Protocol) -> float:
    if protocol.oblique:
        return float(rng.uniform(-protocol.oblique, protocol.oblique))
    return float(rng.normal(0, 0.08)) if protocol.name.startswith("head") else 0.0


def _sequence(rng: np.random.Generator, protocol: Protocol) -> Sequence:
    names = list(MR_SEQUENCES)
    weights = np.array(
        [
            value * (0.15 if name is Sequence.T2_FLAIR and "head" not in protocol.name else 1)
            for name, value in MR_SEQUENCES.items()
        ]
    )
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]


def _plane(rng: np.random.Generator, ct: bool, wanted: tuple[float, float, float] | None) -> Plane:
    usual = (0.66, 0.18, 0.16) if ct else (0.44, 0.28, 0.28)
    share = wanted or usual
    return list(Plane)[int(rng.choice(3, p=share))]


def _agent(rng: np.random.Generator, sequence: Sequence) -> Contrast:
    share = {Sequence.CT: 0.5, Sequence.T1: 0.5, Sequence.T1_FLAIR: 0.3}.get(sequence, 0.0)
    return Contrast.CONTRAST if rng.random() < share else Contrast.NONCONTRAST
