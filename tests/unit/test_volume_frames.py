"""Frames of an enhanced image as the single images that they stand for (PS3.3 C.7.6.16)."""

import pytest
from pydicom import Dataset

from radnet.volume.frames import headers_of_frames


def header(**elements: object) -> Dataset:
    """Return a data set with these elements."""
    ds = Dataset()
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds


def image(shared: Dataset, *frames: Dataset) -> Dataset:
    """Return an enhanced MR."""
    return header(
        Modality="MR",
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=list(frames),
    )


def test_each_frame_has_what_is_shared_and_its_own() -> None:
    """Its own counts where both say something; each frame by itself."""
    shared = header(
        PlaneOrientationSequence=[header(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        MREchoSequence=[header(EffectiveEchoTime=2.3)],
    )
    own = header(
        PlanePositionSequence=[header(ImagePositionPatient=[0, 0, 4])],
        MREchoSequence=[header(EffectiveEchoTime=4.6)],
    )

    first, second = headers_of_frames(image(shared, own, Dataset()))

    assert (first.Modality, second.Modality) == ("MR", "MR")
    assert first.ImagePositionPatient == [0, 0, 4]
    assert "ImagePositionPatient" not in second
    assert first.ImageOrientationPatient == second.ImageOrientationPatient == [1, 0, 0, 0, 1, 0]
    assert (first.EchoTime, second.EchoTime) == (4.6, 2.3)


@pytest.mark.parametrize(
    ("single", "enhanced", "value"),
    [
        ("AcquisitionNumber", "FrameAcquisitionNumber", 3),
        ("AcquisitionDateTime", "FrameAcquisitionDateTime", "20261130100000"),
        ("TemporalPositionIdentifier", "TemporalPositionIndex", 2),
        ("EchoTime", "EffectiveEchoTime", 2.3),
        ("TriggerTime", "NominalCardiacTriggerDelayTime", 400.0),
        ("InversionTime", "InversionTimes", 900.0),
        ("ImageType", "FrameType", ["ORIGINAL", "PRIMARY", "M"]),
    ],
)
def test_what_a_frame_calls_otherwise_is_called_as_in_a_single_image(
    single: str, enhanced: str, value: object
) -> None:
    """Or stacks of frames would not be told apart; what is there already stays."""
    group = header(MRImageFrameTypeSequence=[header(**{enhanced: value})])
    there = header(MRImageFrameTypeSequence=[header(**{enhanced: value, single: None})])
    (frame,) = headers_of_frames(image(Dataset(), group))
    (other,) = headers_of_frames(image(Dataset(), there))

    assert frame[single].value == other[single].value == value


def test_an_image_without_groups_has_no_frames() -> None:
    """And groups that are no sequences of macros say nothing."""
    assert headers_of_frames(Dataset()) == []
    (frame,) = headers_of_frames(image(header(SeriesDescription="x"), header(Rows=3)))
    assert [element.keyword for element in frame] == ["Modality"]
