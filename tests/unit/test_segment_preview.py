"""The picture for a person says which side is which."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.image import imread

from node.segment.preview import COLOUR, montage
from node.segment.tiles import chosen_slices, direction_letter
from radnet.volume.series import read_volume
from tests.made_ct import lopsided, write_ct


@pytest.mark.parametrize(
    ("direction", "letter"),
    [
        ((1, 0, 0), "L"),
        ((-1, 0.2, 0), "R"),
        ((0, 1, 0), "P"),
        ((0, -1, 0), "A"),
        ((0.6, 0, 0.8), "H"),
        ((0, 0, -1), "F"),
    ],
)
def test_letters_follow_lps(direction: tuple[float, ...], letter: str) -> None:
    """LPS: x grows to the left, y to the back, z to the head."""
    assert direction_letter(np.array(direction)) == letter


def test_slices_are_spread_over_the_liver_and_only_there() -> None:
    """Twelve slices of thirty with liver, from the first to the last."""
    mask = np.zeros((90, 4, 4), dtype=np.bool_)
    mask[20:50, 1, 1] = True

    slices = chosen_slices(mask)

    assert (slices[0], slices[-1], len(slices)) == (20, 49, 12)
    assert chosen_slices(np.zeros((5, 4, 4), dtype=np.bool_)) == [0, 1, 2, 3, 4]


def test_contour_is_drawn_where_the_mask_is(tmp_path: Path) -> None:
    """Orange pixels with a mask, none without."""
    volume = read_volume(write_ct(tmp_path / "ct"))
    orange = np.array(mpl.colors.to_rgb(COLOUR))
    counts = {}
    for name, mask in (("liver", lopsided(volume.shape)), ("none", np.zeros(volume.shape, bool))):
        montage(volume, mask, tmp_path / "deep" / f"{name}.png", "1.2.3")
        pixels = imread(tmp_path / "deep" / f"{name}.png")[..., :3]
        counts[name] = int((np.abs(pixels - orange).max(axis=-1) < 0.05).sum())

    assert counts["liver"] > 300
    assert counts["none"] == 0
