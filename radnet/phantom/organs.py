"""The organs of the made-up body, in millimetres below the top of an average adult's head.

Every function lists shapes outermost first; `rng` gives each person other organs.
"""

from typing import Final

import numpy as np

from radnet.phantom.anatomy import Shape, Tissue
from radnet.phantom.person import Body

T: Final = Tissue
SOFT: Final = (T.FAT, T.MUSCLE)


def head(rng: np.random.Generator) -> list[Shape]:
    """Return skull, brain, eyes, air spaces and neck, outermost first."""
    ventricle = float(rng.uniform(5, 12))
    rim = float(rng.uniform(3, 8))
    shapes = [
        Shape(T.MUSCLE, (0, 15, -235), (60, 62, 90), 3),
        Shape(T.FAT, (0, 0, -110), (79, 99, 112), 2.2, 0.02),
        Shape(T.MUSCLE, (0, 0, -115), (75, 95, 108), 2.2, 0.02),
        Shape(T.BONE, (0, 3, -78), (74, 92, 74), 2.3),
        Shape(T.MARROW, (0, 3, -78), (71, 89, 71), 2.3),
        Shape(T.BONE, (0, 3, -78), (69, 87, 69), 2.3),
        Shape(T.CSF, (0, 3, -78), (67, 85, 67), 2.3),
        Shape(T.GREY, (0, 3, -76), (67 - rim, 85 - rim, 67 - rim), 2.3, 0.05),
        Shape(T.WHITE, (0, 3, -72), (54, 70, 50), 2.2, 0.25),
        Shape(T.CSF, (0, 3, -50), (2.5, 84, 36), 2, 0.0, 0.0, (T.GREY,)),
        Shape(T.GREY, (-24, -2, -76), (10, 20, 14), 2, 0.1),
        Shape(T.GREY, (24, -2, -76), (10, 20, 14), 2, 0.1),
        Shape(T.CSF, (-13, 0, -68), (ventricle, 38, ventricle * 1.6), 2, 0.1),
        Shape(T.CSF, (13, 0, -68), (ventricle, 38, ventricle * 1.6), 2, 0.1),
        Shape(T.CSF, (0, 0, -85), (3, 14, 10)),
        Shape(T.GREY, (0, 50, -128), (48, 28, 22), 2, 0.1),
        Shape(T.WHITE, (0, 48, -128), (28, 16, 12), 2, 0.2),
        Shape(T.WHITE, (0, 22, -130), (14, 14, 34)),
        Shape(T.BONE, (0, -35, -128), (52, 38, 9), 2.5, 0.3),
        Shape(T.CSF, (-32, -74, -118), (13, 13, 13)),
        Shape(T.CSF, (32, -74, -118), (13, 13, 13)),
        Shape(T.GAS, (0, -62, -150), (16, 26, 22), 2.5, 0.2),
        Shape(T.GAS, (-30, -58, -152), (13, 16, 16), 2, 0.2),
        Shape(T.GAS, (30, -58, -152), (13, 16, 16), 2, 0.2),
        Shape(T.GAS, (0, -25, -170), (12, 14, 40), 2, 0.2),
        Shape(T.MUSCLE, (0, -50, -188), (24, 34, 14)),
        Shape(T.BONE, (0, -30, -200), (56, 58, 14), 3, 0.0, 0.0, SOFT),
        Shape(T.MUSCLE, (0, -26, -200), (46, 50, 20), 3, 0.0, 0.0, (T.BONE,)),
        Shape(T.BONE, (0, -66, -180), (22, 10, 6), 2),
        Shape(T.GAS, (0, -12, -262), (8, 9, 62), 4),
        Shape(T.GLAND, (-17, -16, -270), (9, 10, 22)),
        Shape(T.GLAND, (17, -16, -270), (9, 10, 22)),
        Shape(T.ARTERY, (-26, 4, -230), (4, 4, 90), 4),
        Shape(T.ARTERY, (26, 4, -230), (4, 4, 90), 4),
        Shape(T.VEIN, (-33, 7, -230), (6, 5, 85), 4),
        Shape(T.VEIN, (33, 7, -230), (6, 5, 85), 4),
        Shape(T.VEIN, (0, 82, -75), (5, 6, 45)),
        Shape(T.ARTERY, (0, -25, -112), (24, 3, 3)),
    ]
    if rng.random() < 0.3:
        x, y = rng.uniform(-40, 40), rng.uniform(-50, 50)
        r = float(rng.uniform(6, 20))
        shapes.append(Shape(T.LESION, (x, y, -65), (r, r, r), 2, 0.2, 0.0, (T.WHITE, T.GREY)))
    return shapes


def trunk_wall(rng: np.random.Generator, body: Body) -> list[Shape]:
    """Return skin fat, muscle and the two cavities; filled by the organs afterwards."""
    g, fat = body.girth, body.fat_mm
    belly = float(rng.uniform(0.9, 1.25))
    wall = [
        Shape(T.FAT, (0, 15, -420), (165 * g + fat, 100 * g + fat, 165), 3.2),
        Shape(T.FAT, (0, 10, -660), (155 * g + fat, 102 * g * belly + fat, 330), 4),
        Shape(T.FAT, (0, 15, -850), (165 * g + fat, 105 * g + fat, 170), 3),
        Shape(T.MUSCLE, (0, 15, -420), (165 * g, 98 * g, 155), 3.2, 0.03),
        Shape(T.MUSCLE, (0, 12, -330), (190 * g, 60 * g, 48), 2.5),
        Shape(T.MUSCLE, (0, 10, -660), (152 * g, 100 * g * belly, 320), 4, 0.02),
        Shape(T.MUSCLE, (0, 25, -870), (160 * g, 95 * g, 150), 3, 0.03),
        Shape(T.FAT, (0, 0, -680), (132 * g, 78 * g * belly, 215), 3.5, 0.05),
    ]
    for side in (-1, 1):
        wall += [
            Shape(T.FAT, (side * 85, 10, -990), (88 * g + fat / 2, 90 * g, 120), 4),
            Shape(T.MUSCLE, (side * 85, 15, -990), (75 * g, 75 * g, 120), 4),
            Shape(T.BONE, (side * 90, 15, -1000), (14, 14, 110), 6),
            Shape(T.MARROW, (side * 90, 15, -1000), (8, 8, 108), 6),
            Shape(T.MUSCLE, (side * 42, 68, -620), (32, 26, 240), 3),
            Shape(T.MUSCLE, (side * 45, 42, -720), (20, 24, 110), 2),
        ]
        if body.arms_down:
            x = side * (212 * g + fat)
            wall += [
                Shape(T.FAT, (x, 20, -560), (48, 52, 260), 5),
                Shape(T.MUSCLE, (x, 20, -560), (38, 42, 255), 5),
                Shape(T.BONE, (x, 20, -560), (12, 12, 240), 6),
                Shape(T.MARROW, (x, 20, -560), (6, 6, 235), 6),
            ]
        elif body.arms_up:
            x = side * 178 * g
            wall += [
                Shape(T.FAT, (x, -5, -150), (46, 48, 175), 5),
                Shape(T.MUSCLE, (x, -5, -150), (37, 39, 172), 5),
                Shape(T.BONE, (x, -5, -150), (12, 12, 165), 6),
                Shape(T.MARROW, (x, -5, -150), (6, 6, 160), 6),
                Shape(T.FAT, (0.72 * x, -40, 120), (36, 38, 130), 5),
                Shape(T.MUSCLE, (0.72 * x, -40, 120), (30, 32, 128), 5),
                Shape(T.BONE, (0.72 * x - 9, -40, 120), (7, 7, 125), 6),
                Shape(T.BONE, (0.72 * x + 9, -40, 120), (7, 7, 125), 6),
            ]
        if body.female:
            size = float(rng.uniform(0.7, 1.3))
            centre = (side * 82 * g, -88 * g - fat, -430)
            wall += [
                Shape(T.FAT, centre, (62 * size, 52 * size, 60 * size), 2),
                Shape(T.GLAND, centre, (38 * size, 38 * size, 38 * size), 2, 0.5),
            ]
    return wall


def chest(rng: np.random.Generator, body: Body) -> list[Shape]:
    """Return lungs, heart, great vessels and airway."""
    g = body.girth
    return [
        Shape(T.FAT, (0, 0, -410), (40, 70, 110), 3),
        Shape(T.LUNG, (-78 * g, 12, -425), (58 * g, 78 * g, 128), 2.6, 0.03),
        Shape(T.LUNG, (78 * g, 12, -425), (56 * g, 78 * g, 125), 2.6, 0.03),
        Shape(T.GAS, (0, 8, -330), (9, 9, 60), 5),
        Shape(T.GAS, (-22, 10, -395), (24, 6, 6), 2, 0.0, 0.5),
        Shape(T.GAS, (22, 10, -395), (24, 6, 6), 2, 0.0, -0.5),
        Shape(T.HEART, (25, -28, -448), (58, 48, 58), 2, 0.08, 0.4),
        Shape(T.ARTERY, (36, -24, -452), (26, 24, 34), 2, 0.0, 0.4),
        Shape(T.VEIN, (-10, -26, -446), (24, 24, 32), 2, 0.0, 0.4),
        Shape(T.ARTERY, (5, -20, -375), (15, 15, 36), 2),
        Shape(T.ARTERY, (12, 10, -352), (14, 34, 13), 2),
        Shape(T.VEIN, (-24, -18, -380), (10, 10, 52), 3),
        *(
            Shape(
                T.ARTERY,
                (
                    float(s * rng.uniform(40, 95)),
                    float(rng.uniform(-20, 50)),
                    float(rng.uniform(-500, -360)),
                ),
                (3.5, 3.5, float(rng.uniform(12, 40))),
                2,
                0.0,
                float(s * rng.uniform(0.2, 1.2)),
                (T.LUNG,),
            )
            for s in (-1, 1)
            for _ in range(7)
        ),
    ]


def abdomen(rng: np.random.Generator, body: Body) -> list[Shape]:
    """Return the organs below the diaphragm."""
    g = body.girth
    return [
        *_upper_abdomen(rng, g),
        *_kidneys(rng, g),
        *_bowel(rng, g),
        *_inside_the_liver(rng, g),
        Shape(T.ARTERY, (14, 42, -540), (11, 11, 175), 6),
        Shape(T.ARTERY, (-22, 34, -740), (6, 6, 50), 2, 0.0, 0.4),
        Shape(T.ARTERY, (34, 34, -740), (6, 6, 50), 2, 0.0, -0.4),
        Shape(T.VEIN, (-22, 34, -590), (12, 11, 130), 6),
        Shape(T.VEIN, (-25, 0, -578), (32, 8, 8), 2, 0.0, 0.3),
    ]


def _upper_abdomen(rng: np.random.Generator, g: float) -> list[Shape]:
    """Return the liver under its diaphragm, spleen, stomach, pancreas and their neighbours."""
    big = float(np.exp(rng.normal(0, 0.1)))
    tail = float(rng.uniform(0.8, 1.3))
    return [
        Shape(T.MUSCLE, (-60 * g, 0, -545), (96 * g * big, 86 * g, 82), 2.3, 0.04),
        Shape(T.LIVER, (-58 * g, 0, -548), (92 * g * big, 82 * g, 76 * big), 2.3, 0.08),
        Shape(T.LIVER, (-88 * g, 12, -590), (50 * g * big, 62 * g, 72 * tail), 2.2, 0.08),
        Shape(T.LIVER, (22 * g, -38, -528), (72 * g * tail, 42, 42), 2, 0.1, -0.25),
        Shape(T.FAT, (5, 42, -590), (52, 36, 60), 2.3, 0.15),
        Shape(T.SPLEEN, (105 * g, 38, -548), (28 * big, 44, 52), 2, 0.1, 0.25),
        Shape(T.STOMACH, (70 * g, -30, -560), (44, 42, 52 * tail), 2, 0.1, 0.5),
        Shape(T.GAS, (70 * g, -52, -548), (26, 14, 24), 2, 0.1),
        Shape(T.PANCREAS, (12, -2, -600), (62, 13, 14), 2, 0.2, 0.25),
        Shape(T.BILE, (-52 * g, -45, -600), (16, 17, 24)),
        Shape(T.GLAND, (38, 38, -560), (12, 5, 10)),
    ]


def _kidneys(rng: np.random.Generator, g: float) -> list[Shape]:
    """Return both kidneys in their fat."""
    shapes: list[Shape] = []
    for side in (-1, 1):
        z = -615 - 12 * side * -1 + float(rng.normal(0, 8))
        x = side * 64 * g
        shapes += [
            Shape(T.FAT, (x, 45, z), (40, 38, 66), 2.3),
            Shape(T.CORTEX, (x, 45, z), (28, 29, 54), 2, 0.05, side * 0.2),
            Shape(T.MEDULLA, (x, 43, z), (17, 17, 40), 2, 0.2, side * 0.2),
            Shape(T.FAT, (x - side * 10, 38, z), (13, 11, 22), 2, 0.2),
            Shape(T.URINE, (x - side * 12, 38, z), (6, 6, 12)),
        ]
    return shapes


def _bowel(rng: np.random.Generator, g: float) -> list[Shape]:
    """Return loops of small bowel, and the colon around them."""
    shapes: list[Shape] = []
    for _ in range(int(rng.integers(16, 28))):
        r = float(rng.uniform(12, 24))
        shapes.append(
            Shape(
                T.BOWEL if rng.random() < 0.7 else T.STOMACH,
                (
                    float(rng.uniform(-95, 95)) * g,
                    float(rng.uniform(-65, 15)),
                    float(rng.uniform(-815, -650)),
                ),
                (r * 1.6, r, r),
                2,
                0.2,
                float(rng.uniform(-1.5, 1.5)),
                SOFT,
            )
        )
    for side in (-1, 1):
        shapes += [
            Shape(T.BOWEL, (side * 108 * g, 5, -720), (24, 24, 85), 3, 0.2),
            Shape(T.GAS, (side * 108 * g, -2, -715), (15, 13, 70), 3, 0.5),
        ]
    return [
        *shapes,
        Shape(T.BOWEL, (0, -62 * g, -655), (95 * g, 20, 20), 3, 0.2),
        Shape(T.GAS, (20, -68 * g, -655), (70 * g, 11, 12), 3, 0.5),
    ]


def _inside_the_liver(rng: np.random.Generator, g: float) -> list[Shape]:
    """Return lesions, in some people, and veins."""
    shapes: list[Shape] = []
    for _ in range(int(rng.integers(0, 4)) if rng.random() < 0.4 else 0):
        r = float(rng.uniform(7, 28))
        where = (
            float(rng.uniform(-120, 0)) * g,
            float(rng.uniform(-50, 50)),
            float(rng.uniform(-600, -510)),
        )
        shapes.append(Shape(T.LESION, where, (r, r, r), 2, 0.1, 0.0, (T.LIVER,)))
    for _ in range(9):
        where = (
            float(rng.uniform(-115, 0)) * g,
            float(rng.uniform(-40, 45)),
            float(rng.uniform(-600, -515)),
        )
        long = float(rng.uniform(15, 45))
        tilt = float(rng.uniform(-1.5, 1.5))
        shapes.append(Shape(T.VEIN, where, (5, 5, long), 2, 0.0, tilt, (T.LIVER,)))
    return shapes


def pelvis(rng: np.random.Generator, body: Body) -> list[Shape]:
    """Return bladder, rectum, pelvic bones and hips."""
    full = float(rng.uniform(0.6, 1.3))
    shapes = [
        Shape(T.FAT, (0, 0, -840), (95, 75, 70), 2.5, 0.1),
        Shape(T.URINE, (0, -25, -850), (40 * full, 34 * full, 32 * full), 2),
        Shape(T.BOWEL, (0, 45, -840), (22, 20, 50), 2, 0.2),
        Shape(T.GAS, (0, 42, -830), (10, 9, 28), 2, 0.3),
    ]
    if body.female:
        shapes.append(Shape(T.GLAND, (0, 12, -835), (34, 22, 30), 2, 0.1))
    for side in (-1, 1):
        shapes += [
            Shape(T.BONE, (side * 95, 35, -790), (16, 62, 62), 2.2, 0.1, side * -0.35),
            Shape(T.MARROW, (side * 95, 35, -790), (10, 57, 57), 2.2, 0.1, side * -0.35),
            Shape(T.BONE, (side * 92, 15, -880), (27, 27, 27)),
            Shape(T.MARROW, (side * 92, 15, -880), (22, 22, 22)),
            Shape(T.BONE, (side * 40, -45, -905), (38, 12, 10), 2, 0.1, side * 0.2),
            Shape(T.BONE, (side * 58, 40, -925), (14, 16, 28), 2, 0.1),
        ]
    return [
        *shapes,
        Shape(T.BONE, (0, 72, -795), (48, 20, 52), 2.3, 0.1),
        Shape(T.MARROW, (0, 72, -795), (42, 15, 46), 2.3, 0.1),
    ]
