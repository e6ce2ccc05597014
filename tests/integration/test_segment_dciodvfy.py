"""Results of made-up and real series in the eyes of dicom3tools."""

import subprocess
from pathlib import Path

import pytest

from node.segment.liver import encode, segment_liver
from radnet.phantom.study import write_phantom_study
from tests.made_ct import MadeModel, edition, lopsided, nothing, write_ct

pytestmark = pytest.mark.dcmtk


def _errors(program: str, path: Path) -> list[str]:
    """Return the errors that dciodvfy names; its exit status is 0 with some of them."""
    done = subprocess.run([program, str(path)], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    assert lines, "dciodvfy said nothing, not even the IOD"
    return [line for line in lines if line.startswith("Error")]


def _all_errors(program: str, paths: list[Path], folder: Path) -> dict[str, list[str]]:
    """Segment twice, with and without liver, and return the errors of all seven objects."""
    model = MadeModel(lopsided)
    first = segment_liver(paths, model, edition(1), with_capture=True)
    second = segment_liver(paths, model, edition(2), [first.report], with_capture=True)
    negative = segment_liver(paths, MadeModel(nothing), edition(3), [first.report, second.report])
    made = {
        "seg": first.seg,
        "report": first.report,
        "capture": first.capture,
        "capture of revision 2": second.capture,
        "seg of revision 2": second.seg,
        "report of revision 2": second.report,
        "negative": negative.report,
    }
    errors = {}
    for name, dataset in made.items():
        assert dataset is not None
        path = folder / f"{name}.dcm"
        path.write_bytes(encode(dataset))
        errors[name] = _errors(program, path)
    return {name: found for name, found in errors.items() if found}


def test_results_of_a_made_up_series_are_valid(dcmtk: dict[str, str], tmp_path: Path) -> None:
    """SEG and SR by the letter of PS3.3."""
    paths = write_ct(tmp_path / "ct")

    assert _all_errors(dcmtk["dciodvfy"], paths, tmp_path) == {}


def test_the_phantom_study_is_valid(dcmtk: dict[str, str], tmp_path: Path) -> None:
    """What the node shows itself with is DICOM by the letter too."""
    paths = write_phantom_study(tmp_path / "study", 5)

    chosen = [path for path in paths if path.name.endswith(("_001.dcm", "_003.dcm"))]
    assert len(chosen) == 6
    assert [error for path in chosen for error in _errors(dcmtk["dciodvfy"], path)] == []


@pytest.mark.real_data
@pytest.mark.parametrize(
    "series",
    ["ct_abdomen_hcc015_recon", "ct_abdomen_hcc007_pre", "ct_headneck_acrin001"],
)
def test_results_of_real_series_are_valid(
    dcmtk: dict[str, str], real_data: Path, tmp_path: Path, series: str
) -> None:
    """Errors of the source's patient and study must not be inherited."""
    paths = sorted((real_data / "dicom" / series).glob("*.dcm"))

    assert _all_errors(dcmtk["dciodvfy"], paths, tmp_path) == {}
