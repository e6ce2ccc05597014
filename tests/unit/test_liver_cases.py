"""Which livers are learned from, and what is known of them."""

from importlib.resources import as_file
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pytest

from radnet.datasets.bowel import LARGEST, filled, gas_pockets
from radnet.datasets.liver_cases import DRAWN, UNKNOWN, Case, drawn_case, make_case, real_cases
from radnet.datasets.scans import read_manifest
from radnet.errors import DataError
from radnet.inference.preparation import axial
from tests.made_volume import made_volume


@pytest.fixture
def image() -> hd.Volume:
    """Return a scan of 30 slices of soft tissue."""
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 2.5], [0, 2.5, 0], [4, 0, 0]])
    return made_volume(np.full((30, 100, 100), 40, np.float32), affine)


def save(label: np.ndarray, affine: np.ndarray, path: Path) -> Path:
    """Write a mask on an LPS grid as NIfTI, which counts in RAS."""
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine[:, [2, 1, 0, 3]]
    nib.save(nib.Nifti1Image(label.transpose(2, 1, 0), ras), path)
    return path


def test_a_drawn_mask_tells_liver_from_what_is_not_known(image: hd.Volume, tmp_path: Path) -> None:
    """1 is liver, 2 takes no part; everything else was scanned and is none."""
    grid = axial(image)
    label = np.zeros(grid.array.shape, np.uint8)
    label[5:20, 80:100, 80:100] = 1
    label[5:20, 100:105, 80:100] = UNKNOWN

    case = drawn_case("x", image, save(label, grid.affine, tmp_path / "x.nii.gz"))

    assert np.array_equal(case.liver > 0.5, label == 1)
    assert not case.known[label == UNKNOWN].any()
    beyond = axial(image).array < -500
    assert beyond.any()
    assert np.array_equal(case.known, ~beyond & (label != UNKNOWN))
    assert case.enhanced == pytest.approx(40, abs=1)


def test_beyond_the_field_of_view_lies_what_is_at_its_edge(image: hd.Volume) -> None:
    """As the segmenter has it; nobody knows whether liver goes on there, and no gas is found."""
    mask = np.zeros_like(image.array)
    mask[:, :, :30] = 1

    case = make_case("x", image, mask, phantom=False)

    assert case.hounsfield.min() > 30
    assert not case.known[:, :, :40].any()
    assert not case.liver[~case.known].any()
    assert not case.gas.any()


def test_a_mask_of_another_scan_is_refused(image: hd.Volume, tmp_path: Path) -> None:
    """A mask that lies elsewhere would teach nonsense."""
    grid = axial(image)
    moved = grid.affine.copy()
    moved[0, 3] += 5
    path = save(np.ones(grid.array.shape, np.uint8), moved, tmp_path / "x.nii.gz")

    with pytest.raises(DataError, match="drawn on"):
        drawn_case("x", image, path)


@pytest.fixture(scope="module")
def learned(real_scans: Path) -> dict[str, Case]:
    """Return the real cases that are learned from, by name; read once, for they take seconds."""
    return {one.name: one for one in real_cases(real_scans, frozenset({"train"}))}


@pytest.mark.real_data
def test_every_shipped_mask_lies_on_its_scan(learned: dict[str, Case]) -> None:
    """And says liver where the tissue is liver-like: between water and bone."""
    drawn = {path.name.removesuffix(".nii.gz") for path in DRAWN.iterdir() if ".nii" in path.name}

    assert len(drawn) == 3
    for name in drawn:
        case = learned[name]
        assert 500 < case.liver.sum() * 0.025 < 2500, name
        assert 40 < case.enhanced < 150, name
        assert (case.hounsfield[case.liver > 0] > -50).mean() > 0.99, name


@pytest.mark.real_data
def test_no_scan_of_the_test_side_is_learned_from(
    real_scans: Path, learned: dict[str, Case]
) -> None:
    """The drawn masks and the scans without liver keep to the split, too."""
    test = {scan.name for scan in read_manifest(real_scans) if scan.role == "test"}
    with as_file(DRAWN) as folder:
        drawn = {path.name.removesuffix(".nii.gz") for path in folder.glob("*.nii.gz")}

    assert not test & (learned.keys() | drawn)
    assert {"chaos03", "ct_head_ge", *drawn} <= learned.keys()


def body() -> np.ndarray:
    """Return air around a body with a lung, a gas-filled bowel and fat."""
    hounsfield = np.full((40, 120, 120), -1000, np.float32)
    hounsfield[:, 10:110, 10:110] = 30
    hounsfield[:, 12:40, 12:40] = -100
    hounsfield[10:40, 20:70, 60:100] = -850  # lung: 1500 mL
    hounsfield[5:15, 80:90, 30:50] = -900  # bowel: 50 mL
    return hounsfield


def test_only_bowel_gas_is_a_pocket() -> None:
    """Neither the air around the body, nor lung, nor fat."""
    hounsfield = body()
    pockets = gas_pockets(hounsfield)

    bowel = np.zeros(hounsfield.shape, bool)
    bowel[5:15, 80:90, 30:50] = True

    assert pockets.max() == 1
    assert np.array_equal(pockets == 1, bowel)
    assert hounsfield[10:40, 20:70, 60:100].size > LARGEST


def test_a_filled_pocket_holds_what_a_bowel_may_hold() -> None:
    """Fluid or contrast instead of gas; liver and everything far from it stay as they were."""
    hounsfield = body()
    pockets = gas_pockets(hounsfield)
    liver = np.zeros_like(hounsfield)
    liver[5:15, 78:80, 30:50] = 1
    contents = []
    for seed in range(40):
        now = filled(hounsfield, pockets, liver, np.random.default_rng(seed))
        contents.append(float(np.median(now[pockets == 1])))
        changed = now != hounsfield
        assert not changed[liver > 0].any()
        assert not changed[:, :78].any()
        assert not changed[:, 92:].any()

    assert min(contents) < -800  # left as it was, now and then
    assert sum(-40 < one < 70 for one in contents) > 10
    assert sum(one > 80 for one in contents) > 3
