"""Draw a made-up person: organs, spine and ribs at the points of a grid."""

import numpy as np

from radnet.phantom.anatomy import Grid, Labels, Shape, Tissue, draw, jitter, level
from radnet.phantom.limbs import limb
from radnet.phantom.organs import abdomen, chest, head, pelvis, trunk_wall
from radnet.phantom.person import Body
from radnet.phantom.variants import variants

__all__ = ["Body", "draw_body"]

T = Tissue


def spine(grid: Grid, labels: Labels, body: Body) -> None:
    """Draw vertebrae, discs and the cord, following the curves of the back."""
    x, y, z = grid.xyz
    down = -z / np.float32(body.stature)
    present = (down > 140) & (down < 800)
    if not present.any():
        return
    back = 38 + 26 * np.sin((down - 190) / 480 * np.pi) - 12 * np.sin((down - 500) / 150)
    size = np.interp(down, [140, 300, 600, 800], [10, 14, 21, 24]).astype(np.float32)
    period = np.interp(down, [140, 300, 600, 800], [17, 22, 32, 36]).astype(np.float32)
    disc = np.abs(np.mod(down / period, 1.0) - 0.5) > 0.38
    depth = y - back.astype(np.float32)
    radius = np.hypot(x / 1.15, depth)
    vertebra = present & (radius < size)
    labels[vertebra] = T.MARROW
    labels[vertebra & (radius > size - 3)] = T.BONE
    labels[vertebra & disc] = T.GLAND
    behind = depth - size - 9
    canal = np.hypot(x / 1.2, behind)
    labels[present & (canal < 13) & (canal >= 9)] = T.BONE
    labels[present & (canal < 9)] = T.CSF
    labels[present & (canal < 5) & (down < 620)] = T.WHITE
    process = present & (np.abs(x) < 4) & (behind > 9) & (behind < 36)
    labels[process & ~disc] = T.BONE
    wings = present & (np.abs(behind + 2) < 6) & (np.abs(x) < size + 22) & (canal >= 13)
    labels[wings & ~disc & (down > 250)] = T.BONE


def ribs(grid: Grid, labels: Labels, body: Body) -> None:
    """Draw ribs as slanted bands of a shell around the chest, and the breast bone."""
    g, s = body.girth, body.stature
    cage = Shape(T.BONE, (0, 15 * s, -450 * s), (150 * g * s, 92 * g * s, 170 * s), 3.2)
    box = grid.box(cage.centre, 190 * s * max(1.0, g))
    if box is None:
        return
    shell = level(grid, cage, box)
    x, y, z = (grid.xyz[axis][box] / np.float32(s) for axis in range(3))
    band = np.sin((z - 0.45 * (y - 15)) * (2 * np.pi / 30)) > 0.35
    here = (shell > 0.9) & (shell < 1.12) & (z > -610) & (z < -310)
    part = labels[box]
    part[here & band & np.isin(part, (T.MUSCLE, T.FAT, T.LUNG))] = T.BONE
    breast_bone = (np.abs(x) < 20) & here & (y < -40 * g) & (z > -470)
    part[breast_bone] = T.MARROW


def draw_body(body: Body, grid: Grid) -> Labels:
    """Return the tissues of `body` at the points of `grid`, uint8 of `grid.shape`."""
    rng = np.random.default_rng(body.seed)
    labels: Labels = np.zeros(grid.shape, np.uint8)
    if body.kind != "body":
        draw(grid, labels, [jitter(rng, shape, 1.5, 0.04) for shape in limb(rng, body.kind)])
        return labels

    def placed(shapes: list[Shape], move: float) -> list[Shape]:
        s = body.stature
        scaled = [
            Shape(
                shape.tissue,
                (shape.centre[0] * s, shape.centre[1] * s, shape.centre[2] * s),
                (shape.radii[0] * s, shape.radii[1] * s, shape.radii[2] * s),
                shape.power,
                shape.rough,
                shape.tilt,
                shape.inside,
            )
            for shape in shapes
        ]
        return [jitter(rng, shape, move, move / 60) for shape in scaled]

    draw(grid, labels, placed(trunk_wall(rng, body), 0.8))
    draw(grid, labels, placed(head(rng), 0.6))
    draw(grid, labels, placed(chest(rng, body), 3))
    ribs(grid, labels, body)
    draw(grid, labels, placed(pelvis(rng, body), 3))
    spine(grid, labels, body)
    draw(grid, labels, placed(abdomen(rng, body), 4))
    draw(grid, labels, placed(variants(rng, body), 2))
    return labels
