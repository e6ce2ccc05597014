"""The contour over the images, for a person to look at."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import highdicom as hd
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from pydicom import dcmread

from node.segment.certificate import decode
from node.segment.tiles import COLUMNS, WINDOW_HU, chosen_slices, direction_letter
from node.store.private import opener, private_folder
from radnet.volume.series import read_volume

COLOUR: Final = "#ff8c42"


def draw(sources: Sequence[Path], segmentation: Path, out: Path) -> None:
    """Write a PNG of what a segmentation file says over the images it was made from.

    Parameters
    ----------
    sources : sequence of Path
        The images of one CT series, in any order.
    segmentation : Path
        A DICOM-SEG of that series.
    out : Path
        The PNG file; its folder is made.

    Raises
    ------
    radnet.errors.UnusableVolumeError
        If the sources make no volume.
    CertificateError
        If the segmentation cannot be decoded.
    """
    volume = read_volume(sources)
    mask = decode(segmentation.read_bytes()).match_geometry(volume).array > 0
    named = dcmread(segmentation, specific_tags=["SOPInstanceUID"], stop_before_pixels=True)
    montage(volume, mask, out, str(named.SOPInstanceUID))


def montage(volume: hd.Volume, mask: NDArray[np.bool_], out: Path, title: str) -> None:
    """Write a PNG of the mask's contour over about twelve slices.

    Parameters
    ----------
    volume
        CT in HU, [slice, row, column].
    mask
        Bool array of the same shape.
    out
        The PNG file; its folder is made.
    title
        Written on top. UIDs and numbers only, never a patient.
    """
    slices = chosen_slices(mask)
    rows = -(-len(slices) // COLUMNS)
    height, width = volume.shape[1] * volume.spacing[1], volume.shape[2] * volume.spacing[2]
    figure = Figure(figsize=(12, 12 / COLUMNS * rows * height / width + 0.5), facecolor="black")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for panel in panels:
        panel.set_axis_off()
    for panel, index in zip(panels, slices, strict=False):
        _draw(panel, volume, mask, index)
    volume_ml = float(mask.sum() * np.prod(volume.spacing) / 1000)
    figure.suptitle(f"{title}   {volume_ml:.0f} mL", color="white", fontsize=11)
    figure.subplots_adjust(0.005, 0.005, 0.995, 1 - 0.45 / figure.get_figheight(), 0.02, 0.02)
    private_folder(out.parent)
    with open(out, "wb", opener=opener) as file:
        figure.savefig(file, format="png", dpi=100, facecolor="black")


def _draw(panel: Any, volume: hd.Volume, mask: NDArray[np.bool_], index: int) -> None:
    """Draw one slice with its contour, orientation letters and position."""
    axes = np.asarray(volume.direction)
    low, high = WINDOW_HU
    aspect = volume.spacing[1] / volume.spacing[2]
    panel.imshow(volume.array[index], cmap="gray", vmin=low, vmax=high, aspect=aspect)
    if mask[index].any():
        panel.contour(mask[index], levels=[0.5], colors=[COLOUR], linewidths=1.0)
    place = float((volume.affine @ [index, 0, 0, 1])[:3] @ np.abs(axes[:, 0]))
    edge = [withStroke(linewidth=2, foreground="black")]
    label = {"color": "white", "fontsize": 8, "transform": panel.transAxes, "path_effects": edge}
    letter = direction_letter
    panel.text(0.02, 0.5, letter(-axes[:, 2]), ha="left", va="center", **label)
    panel.text(0.98, 0.5, letter(axes[:, 2]), ha="right", va="center", **label)
    panel.text(0.5, 0.98, letter(-axes[:, 1]), ha="center", va="top", **label)
    panel.text(0.5, 0.02, letter(axes[:, 1]), ha="center", va="bottom", **label)
    panel.text(0.02, 0.98, f"{index + 1}/{mask.shape[0]}  {place:.1f} mm", va="top", **label)
