"""The montage as pixels: the liver's contour on slices, and what was measured, burnt in.

Drawn with Pillow, which highdicom loads anyway: a worker that serves needs no matplotlib. No word
in it comes from a header of the source, so that it can name nobody.
"""

from typing import Final

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from node.identity import ALGORITHM
from node.segment.model import LiverModel
from node.segment.tiles import COLUMNS, WINDOW_HU, direction_letter

NOT_FOR_DIAGNOSIS: Final = "Not for diagnosis"
PANEL: Final = 384  # pixels, both ways
HEAD: Final = 72  # pixels above the panels
MARGIN: Final = 8
HALF: Final = 128
CONTOUR_RGB: Final = (255, 140, 66)
WHITE: Final = (255, 255, 255)
BLACK: Final = (0, 0, 0)
LONGEST_NAME: Final = 48  # of a model: what the line has room for


def drawn(
    volume: hd.Volume,
    mask: NDArray[np.bool_],
    slices: list[int],
    measured: str,
    model: LiverModel,
) -> NDArray[np.uint8]:
    """Return the montage of a liver.

    Parameters
    ----------
    volume
        CT in HU, [slice, row, column].
    mask
        Bool array of the same shape.
    slices
        Which of them are shown, one a panel.
    measured
        What stands on top, such as "Liver 1046 mL".
    model
        What found the liver; its name, version and digest are written.

    Returns
    -------
    ndarray
        RGB, [row, column, sample]. It depends on the arguments alone.
    """
    rows = -(-len(slices) // COLUMNS)
    picture = Image.new("RGB", (COLUMNS * PANEL, HEAD + rows * PANEL), BLACK)
    _write_head(picture, measured, model)
    for place, index in enumerate(slices):
        down, right = divmod(place, COLUMNS)
        picture.paste(_panel(volume, mask, index), (right * PANEL, HEAD + down * PANEL))
    return np.asarray(picture)


def _write_head(picture: Image.Image, measured: str, model: LiverModel) -> None:
    pen = ImageDraw.Draw(picture)
    large, small = ImageFont.load_default(30), ImageFont.load_default(17)
    pen.text((MARGIN, 4), measured, WHITE, large)
    pen.text((picture.width - MARGIN, 4), NOT_FOR_DIAGNOSIS, CONTOUR_RGB, large, anchor="ra")
    model_name = f"{_plain(model.name)} {_plain(model.version)}"
    line = f"Automatic contour by {ALGORITHM}, model {model_name}, weights {model.digest[:12]}"
    pen.text((MARGIN, 44), line, WHITE, small)


def _plain(text: str) -> str:
    """Return a name as the font can write it."""
    return "".join(sign for sign in text if sign.isascii() and sign.isprintable())[:LONGEST_NAME]


def _panel(volume: hd.Volume, mask: NDArray[np.bool_], index: int) -> Image.Image:
    """Draw one slice with its contour, the patient's sides and its position.

    A pixel is as high as wide whatever a voxel is; the slice is fitted into the panel.
    """
    high, wide = (volume.shape[axis] * volume.spacing[axis] for axis in (1, 2))
    scale = PANEL / max(high, wide)
    size = max(round(wide * scale), 1), max(round(high * scale), 1)
    low, top = WINDOW_HU
    shades = np.clip(np.nan_to_num(volume.array[index]), low, top)
    grey = Image.fromarray(((shades - low) * (255.0 / (top - low))).round().astype(np.uint8))
    shown = grey.resize(size, Image.Resampling.BILINEAR).convert("RGB")
    shown.paste(CONTOUR_RGB, None, _contour(mask[index], size))
    panel = Image.new("RGB", (PANEL, PANEL), BLACK)
    panel.paste(shown, ((PANEL - size[0]) // 2, (PANEL - size[1]) // 2))
    _write_sides(panel, volume, index)
    return panel


def _contour(mask: NDArray[np.bool_], size: tuple[int, int]) -> Image.Image:
    """Return what is drawn over: two pixels wide, one on each side of the liver's edge."""
    whole = Image.fromarray(mask.astype(np.uint8) * 255)
    inside = whole.resize(size, Image.Resampling.BILINEAR).point(
        [255 * (value >= HALF) for value in range(256)]
    )
    outer, inner = (
        np.asarray(inside.filter(kind))
        for kind in (ImageFilter.MaxFilter(3), ImageFilter.MinFilter(3))
    )
    return Image.fromarray(outer - inner)


def _write_sides(panel: Image.Image, volume: hd.Volume, index: int) -> None:
    axes = np.asarray(volume.direction)
    place = float((volume.affine @ [index, 0, 0, 1])[:3] @ np.abs(axes[:, 0]))
    far, middle = PANEL - 5, PANEL // 2
    pen, font = ImageDraw.Draw(panel), ImageFont.load_default(15)
    for text, at, anchor in (
        (direction_letter(-axes[:, 2]), (5, middle), "lm"),
        (direction_letter(axes[:, 2]), (far, middle), "rm"),
        (direction_letter(-axes[:, 1]), (middle, 5), "mt"),
        (direction_letter(axes[:, 1]), (middle, far), "mb"),
        (f"{index + 1}/{volume.shape[0]}  {place:.1f} mm", (5, 5), "lt"),
    ):
        pen.text(at, text, WHITE, font, anchor=anchor, stroke_width=1, stroke_fill=BLACK)
