"""Where slices lie: order, spacing, tolerances, and the words of each refusal."""

from collections.abc import Sequence

import numpy as np
import pytest
from pydicom import Dataset

from radnet.errors import GeometryError
from radnet.volume.geometry import slice_order
from tests.made_ct import AXIAL, made_headers


def at(places: Sequence[float]) -> list[Dataset]:
    """Return axial slices at these heights, in mm above the table's zero."""
    made = made_headers(len(places))
    for header, place in zip(made, places, strict=True):
        header.ImagePositionPatient = [-100, -120, place]
    return made


def turned(cosines: Sequence[float]) -> list[Dataset]:
    """Return slices of which one has another orientation."""
    made = made_headers(5)
    made[2].ImageOrientationPatient = list(cosines)
    return made


def test_axial_slices_run_from_head_to_foot() -> None:
    """Indices of slice, row and column are right-handed; whatever the order of the files."""
    slices = slice_order([at([0, 2.5, 5, 7.5])[index] for index in (2, 0, 3, 1)])

    assert slices.order == (2, 0, 3, 1)
    assert slices.offsets_mm.tolist() == [0, 2.5, 5, 7.5]
    assert slices.spacing_mm == 2.5
    assert slices.position == pytest.approx((-100, -120, 7.5))
    assert slices.orientation == AXIAL


@pytest.mark.parametrize(
    ("places", "regular"),
    [
        ([0, 2.5, 5, 7.52, 10.02], True),
        ([0, 2.5, 5, 7.53, 10.03], False),
        ([0, 1, 2, 3.019, 4.019], True),
        ([0, 1, 2, 3.021, 4.021], False),
    ],
    ids=["0.8 %", "1.2 %", "0.019 mm", "0.021 mm"],
)
def test_gaps_may_differ_by_a_hundredth_or_by_two_hundredths_of_a_millimetre(
    places: list[float], regular: bool
) -> None:
    """The larger of the two: positions are written with two decimals."""
    if regular:
        assert slice_order(at(places)).spacing_mm == pytest.approx(places[-1] / 4)
    else:
        with pytest.raises(GeometryError, match="1 of 4 gaps differ from the usual"):
            slice_order(at(places))


def test_uneven_gaps_are_told_by_their_range() -> None:
    """And how many there are; for recognising the median will do."""
    places = [0, 2, 4, 6.5, 9, 11]

    with pytest.raises(
        GeometryError,
        match=r"from 2\.000 mm to 2\.500 mm; expected one spacing\. "
        r"2 of 5 gaps differ from the usual 2\.000 mm\.",
    ):
        slice_order(at(places))
    assert slice_order(at(places), tolerant=True).spacing_mm == 2.0


def test_missing_slices_are_told_by_their_place_and_number() -> None:
    """Gaps of twice and three times the usual: one and two slices."""
    with pytest.raises(
        GeometryError,
        match=r"missing between -14\.00 mm and -8\.00 mm along the stack \(3 missing in all\)",
    ):
        slice_order(at([0, 2, 4, 8, 14, 16, 18, 20]))


def test_two_slices_at_one_place_are_told() -> None:
    """Nearer than a hundredth of a millimetre; the pairs are counted."""
    with pytest.raises(
        GeometryError,
        match=r"two slices at -5\.01 mm along the stack \(2 such pairs among 5 images\)",
    ):
        slice_order(at([0, 2.5, 2.509, 5, 5.009]), tolerant=True)
    assert slice_order(at([0, 2.5, 2.511, 5]), tolerant=True).offsets_mm[1] == pytest.approx(2.489)


def test_one_slice_is_no_stack_and_two_are() -> None:
    """Of two nobody can say that they are uneven."""
    with pytest.raises(GeometryError, match="1 slice found"):
        slice_order(at([0]))
    assert slice_order(at([0, 3])).spacing_mm == 3


@pytest.mark.parametrize(("step", "tilted"), [(0.124, False), (0.126, True)])
def test_slices_may_be_shifted_by_half_a_millimetre_in_all(step: float, tilted: bool) -> None:
    """More is a tilted gantry: the angle is told."""
    made = at([0, 2, 4, 6, 8])
    for index, header in enumerate(made):
        header.ImagePositionPatient[1] += step * index

    if tilted:
        with pytest.raises(GeometryError, match=r"up to 0\.5 mm \(gantry tilt, 3\.6 degrees\)"):
            slice_order(made)
    else:
        slice_order(made)
    assert slice_order(made, tolerant=True).spacing_mm == 2


@pytest.mark.parametrize(
    ("off", "tolerant", "alike"),
    [(1.9e-4, False, True), (2.1e-4, False, False), (9e-3, True, True), (1.1e-2, True, False)],
)
def test_slices_of_a_stack_are_parallel(off: float, tolerant: bool, alike: bool) -> None:
    """To 0.1 mm at the end of a row for measuring, roughly for recognising."""
    made = turned([1, off, 0, 0, 1, 0])

    if alike:
        assert slice_order(made, tolerant=tolerant).spacing_mm == 2.5
    else:
        with pytest.raises(GeometryError, match="2 orientations among 5 images"):
            slice_order(made, tolerant=tolerant)


@pytest.mark.parametrize(
    ("cosines", "fits"),
    [
        ([1.009, 0, 0, 0, 1, 0], True),
        ([1.011, 0, 0, 0, 1, 0], False),
        ([1, 0, 0, 0, 0.991, 0], True),
        ([1, 0, 0, 0, 0.989, 0], False),
        ([1, 0, 0, 0.009, 1, 0], True),
        ([1, 0, 0, 0.011, 1, 0], False),
        ([1, 0, 0, -0.011, 1, 0], False),
    ],
)
def test_rows_and_columns_are_perpendicular_unit_vectors(cosines: list[float], fits: bool) -> None:
    """To a hundredth; what is off by less is put right."""
    made = made_headers(4)
    for header in made:
        header.ImageOrientationPatient = cosines

    if fits:
        assert slice_order(made).orientation == pytest.approx(AXIAL)
    else:
        with pytest.raises(GeometryError, match="expected two perpendicular unit vectors"):
            slice_order(made)


def test_oblique_slices_are_measured_along_their_normal() -> None:
    """Not along an axis of the patient."""
    made = made_headers(4)
    normal = np.array([0, -0.6, 0.8])
    for index, header in enumerate(made):
        header.ImageOrientationPatient = [1, 0, 0, 0, 0.8, 0.6]
        header.ImagePositionPatient = list(normal * 3.0 * index)

    slices = slice_order(made)

    assert slices.spacing_mm == pytest.approx(3.0)
    assert slices.order == (3, 2, 1, 0)
    assert slices.position == pytest.approx(normal * 9.0)
