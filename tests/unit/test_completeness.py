"""When a series counts as whole, and what is kept as evidence."""

import json
import struct
from dataclasses import replace
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from node.model.records import SeriesProgress
from node.series.completeness import (
    Policy,
    due_in_s,
    expected_count,
    judge,
    position_problems,
)

POLICY = Policy(settle_s=2.0, quiet_s=60.0)
RELEASED = SeriesProgress(
    series_instance_uid="1.2.3",
    study_instance_uid="1.2",
    revision=0,
    instance_count=10,
    first_instance_at=100.0,
    last_instance_at=110.0,
    open_associations=0,
    last_released_at=111.0,
    aborted=False,
)


def headers(*heights: float, step: tuple[float, float, float] = (0.0, 0.0, 1.0)) -> list[Dataset]:
    """Return axial headers at these heights, in mm along `step`."""
    made = []
    for height in heights:
        header = Dataset()
        header.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        header.ImagePositionPatient = [height * axis for axis in step]
        made.append(header)
    return made


WHOLE = headers(*range(10))


def test_released_and_without_a_gap_is_whole() -> None:
    """The usual case: no need to wait for the quiet time."""
    verdict = judge(RELEASED, WHOLE, POLICY, now=113.0)

    assert verdict.complete
    assert verdict.problems == []
    assert verdict.evidence["because"] == "the association was released and nothing is missing"


@pytest.mark.parametrize(
    "progress",
    [
        replace(RELEASED, last_released_at=112.5),
        replace(RELEASED, open_associations=1),
        replace(RELEASED, last_released_at=None),
        replace(RELEASED, aborted=True),
    ],
    ids=["not settled", "still open", "never released", "aborted"],
)
def test_without_a_release_it_waits_for_quiet(progress: SeriesProgress) -> None:
    """An abort often means that the rest comes on the next association."""
    assert not judge(progress, WHOLE, POLICY, now=113.0).complete
    assert due_in_s(progress, POLICY, now=113.0) > 0
    assert judge(progress, WHOLE, POLICY, now=170.0).complete
    assert due_in_s(progress, POLICY, now=170.0) <= 0


@pytest.mark.parametrize(
    ("progress", "in_s"),
    [
        (RELEASED, 113.0 - 112.25),
        (replace(RELEASED, open_associations=1), 170.0 - 112.25),
    ],
    ids=["released", "still open"],
)
def test_when_it_is_due_is_known_before(progress: SeriesProgress, in_s: float) -> None:
    """Looked at then, it is due; a moment before, it is not."""
    assert due_in_s(progress, POLICY, now=112.25) == in_s
    assert due_in_s(progress, POLICY, now=112.25 + in_s - 0.125) > 0
    assert due_in_s(progress, POLICY, now=112.25 + in_s) <= 0


def test_a_gap_waits_for_quiet_and_is_recorded() -> None:
    """A slice that never comes must not hold the study for ever."""
    gap = headers(0, 1, 2, 4, 5)

    early, late = (judge(RELEASED, gap, POLICY, now) for now in (113.0, 170.0))

    assert not early.complete
    assert late.complete
    assert late.problems == ["a slice is missing between 2.000 mm and 4.000 mm"]
    assert late.evidence["problems"] == late.problems


def test_a_lone_reformat_hides_no_gap_and_is_none() -> None:
    """It lies in another plane: the slices are judged without it."""
    (odd,) = headers(3.3)
    odd.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]

    assert judge(RELEASED, [*WHOLE, odd], POLICY, now=113.0).complete
    gap = [*headers(*range(10), 11), odd]
    assert position_problems(gap) == ["a slice is missing between 9.000 mm and 11.000 mm"]


def test_fewer_than_announced_waits_for_quiet() -> None:
    """The announced number is a hint: it makes us wait, and never for ever."""
    for header in (announced := headers(*range(10))):
        header.ImagesInAcquisition = "12"

    assert not judge(RELEASED, announced, POLICY, now=113.0).complete
    late = judge(RELEASED, announced, POLICY, now=170.0)
    assert late.complete
    assert late.problems == ["10 of 12 announced instances are there"]


@pytest.mark.parametrize("value", ["", "0", "-3"])
def test_a_useless_announcement_is_none(value: str) -> None:
    """Scanners write anything."""
    header = Dataset()
    header.ImagesInAcquisition = value

    assert expected_count([header]) is None


def test_announcements_that_differ_are_none() -> None:
    """Several acquisitions in one series."""
    first, second = Dataset(), Dataset()
    first.ImagesInAcquisition, second.ImagesInAcquisition = "10", "20"

    assert expected_count([first, second]) is None


def test_a_localizer_is_not_judged_by_position() -> None:
    """Slices of three orientations have no common normal."""
    mixed = headers(0, 1, 5)
    mixed[1].ImageOrientationPatient = [1, 0, 0, 0, 0, -1]

    assert position_problems(mixed) == []


def test_a_position_with_fewer_images_is_a_problem() -> None:
    """Two echoes at each place but one: an image is still on its way."""
    assert position_problems(headers(0, 0, 1, 1, 2, 2)) == []
    assert position_problems(headers(0, 0, 1, 2, 2)) == [
        "1 positions hold fewer images than the others, the first at 1.000 mm"
    ]


@pytest.mark.parametrize(
    "broken",
    [[0.0], ["", "", ""], None],
    ids=["one value", "empty values", "none"],
)
def test_headers_without_positions_are_not_judged(broken: object) -> None:
    """Ultrasound, secondary capture, or a header that nobody checked."""
    bad = headers(0, 1, 5)
    if broken is None:
        del bad[1].ImagePositionPatient
    else:
        bad[1].ImagePositionPatient = broken

    assert position_problems(bad) == []
    assert judge(RELEASED, [], POLICY, now=113.0).complete


@given(
    count=st.integers(6, 60),
    spacing=st.floats(0.3, 12.0),
    start=st.floats(-500.0, 500.0),
    data=st.data(),
)
def test_any_single_missing_slice_is_seen(
    count: int, spacing: float, start: float, data: st.DataObject
) -> None:
    """Whatever the spacing and the order of arrival; rounding of headers is no gap."""
    heights = [round(start + spacing * index, 3) for index in range(count)]
    shuffled = data.draw(st.permutations(heights))
    missing = data.draw(st.integers(1, count - 2))

    assert position_problems(headers(*shuffled)) == []
    assert len(position_problems(headers(*(h for h in shuffled if h != heights[missing])))) == 1


@given(
    now=st.floats(110.0, 1e4),
    opened=st.integers(0, 2),
    released=st.none() | st.floats(110.0, 200.0),
    aborted=st.booleans(),
    heights=st.lists(st.floats(-100.0, 100.0), max_size=6),
)
def test_a_verdict_is_never_given_before_it_is_due(
    now: float, opened: int, released: float | None, aborted: bool, heights: list[float]
) -> None:
    """`due_in_s` may be asked instead of reading headers; and the evidence is JSON."""
    progress = replace(
        RELEASED, open_associations=opened, last_released_at=released, aborted=aborted
    )

    verdict = judge(progress, headers(*heights), POLICY, now)

    assert due_in_s(progress, POLICY, now) <= 0 or not verdict.complete
    assert verdict.complete == ("because" in json.loads(json.dumps(verdict.evidence)))
    if now - progress.last_instance_at >= POLICY.quiet_s:
        assert verdict.complete


def element(group: int, number: int, value: bytes) -> bytes:
    """Return one element in implicit VR."""
    value += b" " * (len(value) % 2)
    return struct.pack("<HHI", group, number, len(value)) + value


NUMBERS = [b"", b"9" * 5000, b"abc", b"1.5", b"-3", b"\xff"]
VECTORS = [b"0\\0\\1", b"nan\\nan\\0", b"1e999\\0\\0", b"1e308\\1e308\\1e308", b"1\\2"]
AXES = [b"1\\0\\0\\0\\1\\0", b"0\\0\\0\\0\\0\\0", b"1e200\\0\\0\\0\\1e200\\0"]
ODD = st.sampled_from([*NUMBERS, *VECTORS, *AXES]) | st.binary(max_size=24)


@pytest.mark.filterwarnings("ignore")  # pydicom remarks on what it reads
@given(st.lists(st.tuples(ODD, ODD, ODD), min_size=3, max_size=6))
def test_no_header_stops_the_judge(values: list[tuple[bytes, bytes, bytes]]) -> None:
    """One broken header of one series must not keep all others from being settled."""
    read = [
        read_dataset(
            BytesIO(
                element(0x0020, 0x0032, position)
                + element(0x0020, 0x0037, orientation)
                + element(0x0020, 0x1002, count)
            ),
            is_implicit_VR=True,
            is_little_endian=True,
        )
        for position, orientation, count in values
    ]

    verdict = judge(RELEASED, read, POLICY, now=200.0)

    assert verdict.complete
    json.dumps(verdict.evidence, allow_nan=False)


def test_the_evidence_tells_what_was_seen_and_what_decided() -> None:
    """A person reads there why a series went out, or still waits."""
    for header in (announced := headers(*range(10))):
        header.ImagesInAcquisition = "10"
    missing = headers(*range(4), *range(5, 10))

    whole = judge(RELEASED, announced, POLICY, now=113.04)
    quiet = judge(replace(RELEASED, aborted=True), WHOLE, POLICY, now=170.0)
    waits = judge(replace(RELEASED, open_associations=1), missing, POLICY, now=113.0)

    assert whole.evidence == {
        "instances": 10,
        "announced": 10,
        "association": "released",
        "quiet_s": 3.0,
        "problems": [],
        "because": "the association was released and nothing is missing",
    }
    assert quiet.evidence == {
        "instances": 10,
        "announced": None,
        "association": "aborted",
        "quiet_s": 60.0,
        "problems": [],
        "because": "nothing came for 60 s",
    }
    assert waits.evidence == {
        "instances": 10,
        "announced": None,
        "association": "open",
        "quiet_s": 3.0,
        "problems": ["a slice is missing between 3.000 mm and 5.000 mm"],
    }


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ({"ImagesInAcquisition": "1"}, 1),
        ({"NumberOfSlices": 40}, 40),
        ({"NumberOfSeriesRelatedInstances": "30", "ImagesInAcquisition": "20"}, 30),
        ({"ImagesInAcquisition": "20", "NumberOfSlices": 10}, 20),
        ({"NumberOfSeriesRelatedInstances": "0", "ImagesInAcquisition": "20"}, 20),
        ({"ImagesInAcquisition": "999999999"}, 999_999_999),
        ({"ImagesInAcquisition": "1000000000"}, None),
    ],
)
def test_the_archives_count_comes_before_the_scanners(
    values: dict[str, str | int], count: int | None
) -> None:
    """The first that says anything; a number of ten digits says nothing."""
    header = Dataset()
    for keyword, value in values.items():
        setattr(header, keyword, value)

    assert expected_count([header, header]) == count


def test_a_slice_is_missing_from_half_a_gap_more_than_usual() -> None:
    """Headers are rounded and tables drift: up to half of the usual gap more is none."""
    assert position_problems(headers(0, 1, 2, 3.5, 4.5)) == []
    assert position_problems(headers(0, 1, 2, 3.6, 4.6)) == [
        "a slice is missing between 2.000 mm and 3.600 mm"
    ]
    assert position_problems(headers(0, 1, 10)) == [
        "a slice is missing between 1.000 mm and 10.000 mm"
    ]
    assert position_problems(headers(0, 0, 1)) == [
        "1 positions hold fewer images than the others, the first at 1.000 mm"
    ]


def test_of_many_gaps_the_first_twenty_are_told() -> None:
    """The problems stand in a row of the catalog, and before a person."""
    heights = [3 * place + offset for place in range(25) for offset in (0, 1)]
    heights += range(75, 120)

    problems = position_problems(headers(*heights))

    assert len(problems) == 20
    assert problems[0] == "a slice is missing between 1.000 mm and 3.000 mm"


def test_images_closer_than_a_thousandth_of_a_millimetre_lie_at_one_place() -> None:
    """Two echoes are rounded each by itself."""
    assert position_problems(headers(0, 0.0004, 1, 1.0004, 2, 2)) == []
    assert position_problems(headers(0, 0, 1, 1.0016, 2, 2)) != []


@pytest.mark.parametrize(
    ("orientation", "position"),
    [([1, 0, 0, 0, 1], [0, 0, 1]), ([1, 0, 0, 0, 1, 0], [0, 1])],
    ids=["five cosines", "two coordinates"],
)
def test_vectors_that_are_too_short_are_not_judged(
    orientation: list[float], position: list[float]
) -> None:
    """Also where they are so in every image."""
    bad = headers(0, 1, 5)
    for header in bad:
        header.ImageOrientationPatient = orientation
        header.ImagePositionPatient = position

    assert position_problems(bad) == []


@pytest.mark.parametrize(("tilt", "judged"), [(5e-4, True), (4e-3, False)])
def test_slices_of_one_stack_are_parallel(tilt: float, judged: bool) -> None:
    """But for the rounding of their cosines; those of a radial scan are no stack."""
    fan = headers(0, 1, 3, 4)
    for index, header in enumerate(fan):
        header.ImageOrientationPatient = [1, 0, tilt * (index % 2), 0, 1, 0]

    assert bool(position_problems(fan)) is judged
