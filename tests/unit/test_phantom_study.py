"""The study the node is shown with."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from radnet.errors import UnusableVolumeError
from radnet.phantom.study import write_phantom_study
from radnet.volume.series import read_volume


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Write one study."""
    return write_phantom_study(tmp_path_factory.mktemp("study"), 3)


def test_it_is_one_study_of_three_series(study: list[Path]) -> None:
    """Abdominal CT with contrast, brain MR, localizer; one made-up patient."""
    headers = [dcmread(path, stop_before_pixels=True) for path in study]

    assert {ds.PatientID for ds in headers} == {"PHANTOM"}
    assert len({ds.StudyInstanceUID for ds in headers}) == 1
    assert len({ds.SOPInstanceUID for ds in headers}) == len(study)
    counts = {n: sum(ds.SeriesNumber == n for ds in headers) for n in (1, 2, 3)}
    assert counts == {1: 3, 2: 60, 3: 28}
    assert len({ds.SeriesInstanceUID for ds in headers}) == 3


def _series(study: list[Path], number: int) -> list[Path]:
    return [path for path in study if path.name.startswith(f"{number}_")]


def test_the_ct_is_an_abdomen_in_hu(study: list[Path]) -> None:
    """Head to foot, the liver on the patient's right, enhanced tissue between air and bone."""
    volume = read_volume(_series(study, 2))
    array = volume.array

    assert volume.shape == (60, 256, 256)
    assert array.min() == -1024
    assert 400 < array.max() < 3072
    soft = ((array > 60) & (array < 180))[15:40].sum(axis=(0, 1))
    x = volume.affine[0, 3] + volume.affine[0, 2] * np.arange(256)
    assert soft[x < -20].sum() > 1.2 * soft[x > 20].sum()
    top, bottom = (volume.affine @ [k, 0, 0, 1] for k in (0, 59))
    assert top[2] > bottom[2]


def test_the_localizer_is_no_volume(study: list[Path]) -> None:
    """It is there to be refused with a reason."""
    with pytest.raises(UnusableVolumeError, match="localizers"):
        read_volume(_series(study, 1), tolerant=True)
    assert read_volume(_series(study, 3)).shape == (28, 192, 192)


def test_a_seed_writes_the_same_bytes_and_another_seed_another_study(
    study: list[Path], tmp_path: Path
) -> None:
    """Sent twice it must be a repetition, not a conflict."""
    again = write_phantom_study(tmp_path / "again", 3)
    other = write_phantom_study(tmp_path / "other", 4)

    assert [a.read_bytes() for a in again] == [b.read_bytes() for b in study]
    first, second = dcmread(study[0]), dcmread(other[0])
    assert first.StudyInstanceUID != second.StudyInstanceUID
