"""Which images are the slices of the volume: odd ones, and several stacks in one series."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import MRImageStorage

from radnet.errors import UnusableVolumeError
from radnet.volume.selection import select
from radnet.volume.series import read_volume
from tests.made_ct import SAGITTAL, made_headers, made_slice, reformat

Edit = Callable[[Dataset, int], None]


def edited(count: int, edit: Edit, spacing: float = 2.5) -> list[Dataset]:
    """Return headers, each changed by ``edit(header, index)``."""
    headers = made_headers(count, spacing)
    for index, header in enumerate(headers):
        edit(header, index)
    return headers


def twice(count: int, edit: Edit) -> list[Dataset]:
    """Return two headers for each of `count` places; ``edit(header, 0 or 1)`` sets them apart."""
    headers = [*made_headers(count), *made_headers(count)]
    for index, header in enumerate(headers):
        edit(header, index // count)
    return headers


def _set(keyword: str, *values: object) -> Edit:
    def edit(ds: Dataset, index: int) -> None:
        setattr(ds, keyword, values[index % len(values)])

    return edit


def _mr(*edits: Edit) -> Edit:
    def edit(ds: Dataset, index: int) -> None:
        ds.Modality, ds.SOPClassUID = "MR", MRImageStorage
        for one in edits:
            one(ds, index)

    return edit


def _page(slices: list[Dataset]) -> Dataset:
    """Return a dose page: no position, another size."""
    ds = reformat(slices[0])
    del ds.ImagePositionPatient, ds.ImageOrientationPatient
    ds.Rows = 300
    return ds


def _scout(slices: list[Dataset]) -> Dataset:
    ds = reformat(slices[0])
    ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    return ds


def _of_other_frame(slices: list[Dataset]) -> Dataset:
    ds = reformat(slices[0])
    ds.FrameOfReferenceUID = "1.7"
    return ds


@pytest.mark.parametrize("place", [0, 20, 44], ids=["first", "amid", "last"])
@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (lambda slices: reformat(slices[0]), "of another plane than the slices"),
        (_page, "without a position"),
        (_scout, "of another plane than the slices"),
        (_of_other_frame, "of another plane than the slices"),
    ],
    ids=["reformat", "dose page", "scout", "another frame"],
)
def test_a_lone_odd_image_is_left_out_with_a_remark(
    odd: Callable[[list[Dataset]], Dataset], why: str, place: int
) -> None:
    """Five of six clinical folders hold one reformat; the series was lost for it."""
    headers = made_headers(44)
    headers.insert(place, odd(made_headers(44)))

    chosen = select(headers)

    assert chosen.kept == tuple(i for i in range(45) if i != place)
    assert chosen.remarks == (f"left out 1 of 45 images: {why}",)


def test_many_odd_images_are_no_odd_images() -> None:
    """Three planes are a localizer, and nobody knows which one is meant."""
    headers = made_headers(20)
    for header in headers[12:]:
        header.ImageOrientationPatient = list(SAGITTAL)

    assert select(headers).kept == tuple(range(20))


def test_a_slice_that_is_slightly_turned_stays() -> None:
    """Left out, it would be a gap; it is refused by what measures."""
    headers = made_headers(20)
    headers[9].ImageOrientationPatient = [0.99998, 0.006, 0, -0.006, 0.99998, 0]

    assert select(headers).kept == tuple(range(20))


def _average(place: float) -> Dataset:
    """Return an axial reformat of several slices, at `place` mm."""
    (ds,) = edited(1, _set("ImageType", ["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"]))
    ds.ImagePositionPatient = [0, 0, place]
    return ds


def test_a_reformat_of_the_same_plane_between_the_slices_is_left_out() -> None:
    """It lies in no row with them, and is no slice that is missing."""
    chosen = select([*made_headers(44), _average(6.0)])

    assert chosen.kept == tuple(range(44))
    assert chosen.remarks == (
        "left out 1 of 45 images: of another Image Type than the slices, and between them",
    )


def test_a_slice_of_another_image_type_stays_in_its_place() -> None:
    """Left out, it would be a gap."""
    headers = made_headers(44)
    headers[20].ImageType = ["DERIVED", "SECONDARY", "AXIAL"]

    assert select(headers).kept == tuple(range(44))


def test_a_page_in_colour_among_the_slices_is_left_out() -> None:
    """A report or a rendering may have the size and place of a slice."""
    page = made_headers(1)[0]
    page.PhotometricInterpretation, page.SamplesPerPixel = "RGB", 3
    page.ImagePositionPatient = [0, 0, 500]

    assert select([*made_headers(20), page]).kept == tuple(range(20))


ALTERNATING: dict[str, tuple[list[Dataset], str, int]] = {
    "acquisitions": (edited(40, _set("AcquisitionNumber", 1, 2)), "AcquisitionNumber", 20),
    "three acquisitions": (edited(30, _set("AcquisitionNumber", 7, 8, 9)), "Acquisition", 10),
    "times": (edited(40, _set("AcquisitionTime", "100000", "101010")), "AcquisitionTime", 20),
    "agent": (edited(40, _set("ContrastBolusAgent", "", "OMNIPAQUE")), "ContrastBolusAgent", 20),
    "energies": (edited(40, _set("KVP", 80, 140)), "KVP", 20),
    "echoes": (edited(40, _mr(_set("EchoTime", 4.6, 2.3))), "EchoTime: that of 2.3", 20),
    "time points": (
        edited(40, _mr(_set("TemporalPositionIdentifier", 1, 2))),
        "TemporalPositionIdentifier: that of 1",
        20,
    ),
    "trigger times": (edited(40, _mr(_set("TriggerTime", 0, 400))), "TriggerTime", 20),
    "magnitude and phase": (
        edited(40, _mr(_set("ImageType", ["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY"]))),
        "ImageType: the largest",
        20,
    ),
    "two by two": (edited(40, _set("AcquisitionNumber", 1, 1, 2, 2)), "AcquisitionNumber", 20),
    "cardiac phases": (
        edited(40, _set("NominalPercentageOfCardiacPhase", 40, 70)),
        "NominalPercentageOfCardiacPhase: that of 40",
        20,
    ),
    "effective echoes": (edited(40, _mr(_set("EffectiveEchoTime", 9, 90))), "that of 9", 20),
    "gradients": (
        edited(40, _mr(_set("DiffusionGradientOrientation", [1, 0, 0], [0, 1, 0]))),
        "DiffusionGradientOrientation",
        20,
    ),
    "two series in one": (edited(40, _mr(_set("SeriesNumber", 3, 4))), "SeriesNumber", 20),
    "two descriptions": (edited(40, _set("SeriesDescription", "ART", "VEN")), "Description", 20),
    "content times": (edited(40, _set("ContentTime", "100000", "101010")), "ContentTime", 20),
    "events": (edited(40, _set("IrradiationEventUID", "1.2", "1.3")), "IrradiationEventUID", 20),
    "at one place: echoes": (twice(20, _mr(_set("EchoTime", 2.3, 4.6))), "EchoTime", 20),
    "at one place: phases": (twice(20, _set("AcquisitionNumber", 3, 4)), "AcquisitionNumber", 20),
    "at one place: b-values": (twice(20, _mr(_set("DiffusionBValue", 0, 800))), "that of 0", 20),
    "at one place: kernels": (twice(20, _set("ConvolutionKernel", "B30f", "B70f")), "Kernel", 20),
    "at one place: one lone image": (
        [*made_headers(44), edited(1, _set("ImageType", ["DERIVED", "SECONDARY", "MPR"]))[0]],
        "ImageType",
        44,
    ),
}


@pytest.mark.parametrize(
    ("headers", "told", "count"), ALTERNATING.values(), ids=ALTERNATING.keys()
)
def test_several_stacks_are_told_apart(headers: list[Dataset], told: str, count: int) -> None:
    """Positions alone look like one even comb, or like slices that came twice."""
    chosen = select(headers)

    assert len(chosen.kept) == count
    assert told in chosen.remarks[0]
    places = sorted(float(headers[i].ImagePositionPatient[2]) for i in chosen.kept)
    gaps = np.diff(places)
    assert gaps.max() <= 7.5


def _by_range(ds: Dataset, index: int) -> None:
    ds.AcquisitionNumber, ds.AcquisitionTime = (1, "100000") if index < 17 else (2, "100130")


def _two_passes(ds: Dataset, index: int) -> None:
    ds.AcquisitionNumber = 1 + index % 2
    ds.AcquisitionTime = ("100000", "100200")[index % 2]


def _slice_by_slice(ds: Dataset, index: int) -> None:
    ds.AcquisitionNumber = ds.TriggerTime = index + 1
    ds.AcquisitionTime = f"1000{(index % 2) * 20 + index // 2:02d}"


def _one_off(ds: Dataset, index: int) -> None:
    ds.KVP = 119 if index == 20 else 120
    ds.ContrastBolusAgent = "" if index == 5 else "AGENT"


def _four_a_rotation(ds: Dataset, index: int) -> None:
    ds.AcquisitionNumber, ds.AcquisitionTime = index // 4, f"10{index // 4:02d}00"


@pytest.mark.parametrize(
    "headers",
    [
        edited(40, _by_range),
        edited(40, _slice_by_slice),
        edited(40, _mr(_slice_by_slice)),
        edited(40, _mr(_two_passes)),
        edited(40, _one_off),
        edited(40, _four_a_rotation),
        edited(40, _set("XRayTubeCurrent", 100, 120)),
    ],
    ids=[
        "two ranges of the table", "slice by slice", "slice by slice, MR", "two passes, MR",
        "one slice off", "four slices a rotation", "tube current",
    ],
)  # fmt: skip
def test_what_varies_in_an_ordinary_series_parts_nothing(headers: list[Dataset]) -> None:
    """Number and time belong to a slice, a rotation, a range of the table, a pass."""
    chosen = select(headers)

    assert chosen.kept == tuple(range(40))
    assert chosen.remarks == ()


def test_ranges_that_overlap_in_part_are_not_parted() -> None:
    """The larger one alone would be half a patient: the places that came twice are refused."""
    headers = [
        *edited(30, _set("AcquisitionNumber", 1)),
        *edited(25, _set("AcquisitionNumber", 2)),
    ]
    for header in headers[30:]:
        x, y, z = header.ImagePositionPatient
        header.ImagePositionPatient = [x, y, float(z) + 20 * 2.5]

    assert select(headers).kept == tuple(range(55))


def test_echoes_at_each_time_point_are_told_apart_one_after_the_other() -> None:
    """Two attributes, two remarks, one image at each place."""
    headers = [header for time in (1, 2) for header in twice(10, _mr(_set("EchoTime", 2.3, 4.6)))]
    for index, header in enumerate(headers):
        header.TemporalPositionIdentifier = 1 + index // 20

    chosen = select(headers)

    assert len(chosen.kept) == 10
    assert len(chosen.remarks) == 2


@given(st.data())
def test_chosen_again_nothing_changes(data: st.DataObject) -> None:
    """The choice is made again wherever files are read."""
    count = data.draw(st.integers(2, 24))
    numbers = data.draw(st.lists(st.integers(1, 3), min_size=count, max_size=count))
    places = data.draw(st.lists(st.integers(0, 12), min_size=count, max_size=count))
    headers = made_headers(count)
    for header, number, place in zip(headers, numbers, places, strict=True):
        header.AcquisitionNumber, header.EchoTime = number, number // 2
        header.ImagePositionPatient = [0, 0, place]
    kept = select(headers).kept

    again = select([headers[index] for index in kept])

    assert again.kept == tuple(range(len(kept)))


@pytest.mark.parametrize(
    ("slices", "odd", "left"), [(8, 1, 8), (7, 1, 8), (16, 2, 16), (15, 2, 17)]
)
def test_an_odd_image_has_eight_slices_beside_it(slices: int, odd: int, left: int) -> None:
    """Of fewer, nobody knows which of them are odd."""
    headers = [*made_headers(slices), *(reformat(made_headers(1)[0]) for _ in range(odd))]

    assert select(headers).kept == tuple(range(left))


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("Rows", 256), ("Columns", 256), ("PixelSpacing", [0.7, 0.71]), ("PixelSpacing", [0.6, 0.7]),
     ("ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"])],
)  # fmt: skip
def test_an_image_of_another_size_or_kind_is_no_slice(keyword: str, value: object) -> None:
    """It lies among them, in their plane."""
    headers = made_headers(20)
    setattr(headers[4], keyword, value)

    chosen = select(headers)

    assert chosen.kept == tuple(i for i in range(20) if i != 4)
    assert chosen.remarks == ("left out 1 of 20 images: of another size or kind than the slices",)


@pytest.mark.parametrize(("off", "kept"), [(0.099, 20), (0.101, 19)])
def test_a_slice_that_is_turned_by_a_tenth_is_of_another_plane(off: float, kept: int) -> None:
    """Of a direction cosine; what is turned less is refused by what measures."""
    headers = made_headers(20)
    headers[9].ImageOrientationPatient = [1, off, 0, 0, 1, 0]

    assert len(select(headers).kept) == kept


def test_of_images_without_positions_and_of_localizers_all_are_kept() -> None:
    """Whether they make a volume is not judged here."""
    nowhere, scouts = made_headers(9), made_headers(9)
    for header in nowhere[:8]:
        del header.ImagePositionPatient
    for index, header in enumerate(scouts):
        header.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        header.AcquisitionNumber = index % 2

    assert select(nowhere).kept == select(scouts).kept == tuple(range(9))


@pytest.mark.parametrize(("places", "kept"), [(2, 4), (3, 3)])
def test_a_stack_has_three_slices_at_least(places: int, kept: int) -> None:
    """Of four images in two places nobody knows what they are."""
    assert len(select(twice(places, _mr(_set("EchoTime", 2.3, 4.6)))).kept) == kept


@pytest.mark.parametrize(("spacing", "kept"), [(0.009, 10), (0.011, 20)])
def test_places_within_a_hundredth_of_a_millimetre_are_one(spacing: float, kept: int) -> None:
    """Echoes are written with decimals of their own; two passes of MR lie beside each other."""
    headers = twice(10, _mr(_set("EchoTime", 2.3, 4.6), _set("AcquisitionNumber", 1, 2)))
    for header in headers:
        del header.EchoTime
    for header in headers[10:]:
        x, y, z = header.ImagePositionPatient
        header.ImagePositionPatient = [x, y, float(z) + spacing]

    assert len(select(headers).kept) == kept


@pytest.mark.parametrize(
    ("run", "kept"), [(1, 12), (2, 12), (3, 12), (4, 12), (5, 14), (6, 12), (8, 24), (12, 24)]
)
def test_stacks_that_lie_between_each_other_alternate(run: int, kept: int) -> None:
    """In blocks of any length, for a group comes back; ranges of a table follow one another."""
    headers = edited(24, lambda ds, i: setattr(ds, "AcquisitionNumber", 1 + i // run % 2))

    assert len(select(headers).kept) == kept


@pytest.mark.parametrize("keyword", ["AcquisitionNumber", "KVP", "SeriesNumber", "EchoNumbers"])
@pytest.mark.parametrize("blocks", ["333333", "345345", "36363", "33333", "4343", "33221133"])
@pytest.mark.parametrize("groups", [2, 3])
def test_blocks_of_several_stacks_are_told_apart(blocks: str, groups: int, keyword: str) -> None:
    """Of one length or of several; what is chosen is of one group, and says so."""
    order = [number % groups + 1 for number, run in enumerate(blocks * 2) for _ in range(int(run))]
    headers = edited(len(order), lambda ds, i: setattr(ds, keyword, order[i]))

    chosen = select(headers)

    assert len({order[index] for index in chosen.kept}) == 1
    assert keyword in chosen.remarks[0]


def test_a_stack_in_blocks_is_no_volume(tmp_path: Path) -> None:
    """What is chosen has gaps, which the reader tells; both together would be one false body."""
    paths = []
    for index in range(24):
        ds = made_slice(index)
        ds.AcquisitionNumber = 1 + index // 3 % 2
        paths.append(tmp_path / f"{index}.dcm")
        ds.save_as(paths[-1], enforce_file_format=True)

    with pytest.raises(UnusableVolumeError, match="gap"):
        read_volume(paths)


def _inserted(ds: Dataset, index: int) -> None:
    ds.AcquisitionNumber = 2 if 10 <= index < 14 else 1


def _written_by_two(ds: Dataset, index: int) -> None:
    ds.ContentTime = f"1000{index // 3 - (index // 3 % 5 == 4):02d}"


@pytest.mark.parametrize("edit", [_inserted, _written_by_two])
def test_what_comes_back_once_or_rarely_is_no_block(edit: Edit) -> None:
    """A piece of the stack with a number of its own; times of images written in turn."""
    assert select(edited(60, edit)).kept == tuple(range(60))


@pytest.mark.parametrize(("lone", "parted"), [((5, 9, 13, 17), True), ((5, 8, 11, 14, 17), False)])
def test_four_of_five_images_stand_in_stacks(lone: tuple[int, ...], parted: bool) -> None:
    """Images with a number of their own are no stack."""
    headers = edited(
        24,
        lambda ds, i: setattr(ds, "AcquisitionNumber", 100 + i if i in lone else 1 + i % 2),
    )

    assert (len(select(headers).kept) < 24) is parted


@pytest.mark.parametrize(("further", "kept"), [(1, 20), (2, 37)])
def test_the_stack_that_is_chosen_reaches_as_far_as_all(further: int, kept: int) -> None:
    """But for a gap and a half: else leaving out would lose a part of the patient."""
    headers = made_headers(20)
    more = made_headers(20 + further)[5:]
    for number, part in enumerate((headers, more)):
        for header in part:
            header.AcquisitionNumber = number

    assert len(select([*headers, *more]).kept) == kept
