"""NIfTI in and out: the mask lies on exactly the grid of the file it was made from."""

import struct
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform

from radnet.errors import GeometryError, UnusableVolumeError, UsageError
from radnet.inference.scan_file import read_scan_file
from radnet.volume.nifti import is_nifti, read_nifti_file, refuse_uncertain
from radnet.volume.series import read_volume
from tests.made_ct import rotation, write_ct

SHAPE = (7, 6, 5)
AFFINE = np.array([[-2.0, 0, 0, 30], [0, -2.5, 0, -20], [0, 0, 4.0, 100], [0, 0, 0, 1]])
ORDERS = ["RAS", "LPS", "LAS", "RPI", "ASR", "SRA", "PIL", "IAL"]


def image(affine: np.ndarray = AFFINE, shape: tuple[int, ...] = SHAPE) -> nib.Nifti1Image:
    """Return numbered voxels."""
    return nib.Nifti1Image(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), affine)


def mask_of(path: Path, value: int, out: Path) -> Any:
    """Read `path`, write the mask of the voxel that holds `value`, and read it again."""
    scan = read_nifti_file(path)
    scan.write_mask(np.asarray(scan.volume.array) == value, out)
    return nib.load(out)


@pytest.mark.parametrize("codes", [(1, 0), (0, 1), (2, 4), (1, 1)], ids=str)
@pytest.mark.parametrize("oblique", [False, True])
@pytest.mark.parametrize("order", ORDERS)
def test_a_mask_has_the_grid_of_its_scan(
    order: str, oblique: bool, codes: tuple[int, int], tmp_path: Path
) -> None:
    """Shape, affine, both forms and their codes, units; and the voxel is the one meant."""
    base = AFFINE.copy()
    base[:3, :3] = (rotation(17, 0) @ rotation(12, 2) if oblique else np.eye(3)) @ base[:3, :3]
    way = ornt_transform(axcodes2ornt(nib.aff2axcodes(base)), axcodes2ornt(tuple(order)))
    source = image(base).as_reoriented(way)
    affine = source.affine
    assert np.allclose(affine, base @ inv_ornt_aff(way, SHAPE))
    source.set_qform(affine, codes[0])
    source.set_sform(affine, codes[1])
    source.header.set_xyzt_units("mm", "sec")
    nib.save(source, tmp_path / "scan.nii.gz")

    found = mask_of(tmp_path / "scan.nii.gz", 101, tmp_path / "mask.nii.gz")

    read = nib.Nifti1Image.from_filename(tmp_path / "scan.nii.gz")
    assert found.shape == source.shape
    assert np.array_equal(found.affine, read.affine)
    assert found.get_data_dtype() == np.uint8
    for name in ("qform_code", "sform_code", "xyzt_units", "pixdim", "srow_x", "quatern_b"):
        assert np.array_equal(found.header[name], read.header[name])
    assert np.array_equal(np.asarray(found.dataobj) == 1, np.asarray(source.dataobj) == 101)


def test_a_last_axis_of_one_stays(tmp_path: Path) -> None:
    """Programs write one volume as a series of one."""
    nib.save(image(shape=(*SHAPE, 1)), tmp_path / "scan.nii")

    assert mask_of(tmp_path / "scan.nii", 3, tmp_path / "mask.nii").shape == (*SHAPE, 1)


def test_nothing_that_may_name_a_patient_is_copied(tmp_path: Path) -> None:
    """Converters put names into descriptions and whole DICOM headers into extensions."""
    source = image()
    source.header["descrip"], source.header["db_name"] = b"Doe^Jane", b"Doe^Jane"
    source.header["aux_file"], source.header["intent_name"] = b"Doe^Jane", b"Doe^Jane"
    source.header.extensions.append(nib.nifti1.Nifti1Extension(6, b"Doe^Jane"))
    nib.save(source, tmp_path / "scan.nii")

    mask_of(tmp_path / "scan.nii", 3, tmp_path / "mask.nii")

    assert b"Doe" in (tmp_path / "scan.nii").read_bytes()
    assert b"Doe" not in (tmp_path / "mask.nii").read_bytes()


def test_nifti_2_stays_nifti_2(tmp_path: Path) -> None:
    """Its header holds more digits."""
    nib.save(nib.Nifti2Image(np.asarray(image().dataobj), AFFINE), tmp_path / "scan.nii")

    assert isinstance(mask_of(tmp_path / "scan.nii", 3, tmp_path / "m.nii"), nib.Nifti2Image)


def test_the_ending_may_be_in_capitals() -> None:
    """Windows writes .NII.GZ."""
    assert is_nifti(Path("SCAN.NII.GZ"))


def unsaid(path: Path) -> Path:
    """Write a file of which both codes are 0."""
    source = image()
    source.set_qform(AFFINE, 0)
    source.set_sform(AFFINE, 0)
    nib.save(source, path)
    return path


def test_what_does_not_say_how_the_patient_lies_is_not_drawn_in(tmp_path: Path) -> None:
    """Three programs guess three things; a guess once put 249 mL of liver where none was."""
    scan = read_nifti_file(unsaid(tmp_path / "scan.nii"))

    assert not scan.oriented
    with pytest.raises(GeometryError, match="qform_code and sform_code are 0"):
        refuse_uncertain(scan, "scan.nii")


@pytest.mark.parametrize(("told", "first"), [("LPS", (0, 0, 0)), ("RAS", (-12, -12.5, 0))])
def test_who_knows_can_say_how_the_patient_lies(
    told: str, first: tuple[float, float, float], tmp_path: Path
) -> None:
    """The letters say where the axes of the file point, as everywhere in NIfTI."""
    scan = read_nifti_file(unsaid(tmp_path / "scan.nii"), told)

    refuse_uncertain(scan, "scan.nii")
    index = np.argwhere(np.asarray(scan.volume.array) == (0 if told == "LPS" else 209))[0]
    place = np.asarray(scan.volume.affine) @ [*index, 1]
    assert np.allclose(place[:2], first[:2])


@pytest.mark.parametrize("told", ["RAX", "RRS", "RA", "front"])
def test_letters_that_are_no_orientation_are_refused(told: str, tmp_path: Path) -> None:
    """Not guessed at."""
    with pytest.raises(UsageError, match="expected one of R or L"):
        read_nifti_file(unsaid(tmp_path / "scan.nii"), told)


def test_directions_of_a_few_digits_are_perpendicular_enough(tmp_path: Path) -> None:
    """A thousandth of a radian moves the edge of this volume by 0.01 mm."""
    bent = AFFINE.copy()
    bent[1, 2] = 0.004
    nib.save(image(bent), tmp_path / "scan.nii")

    scan = read_nifti_file(tmp_path / "scan.nii")

    refuse_uncertain(scan, "scan.nii")
    assert 0 < scan.sideways_mm < 0.02
    assert np.allclose(nib.load(tmp_path / "scan.nii").affine, bent)  # type: ignore[attr-defined]


def damaged(path: Path, kind: str) -> Path:
    """Write a file and spoil one thing in it."""
    nib.save(nib.Nifti1Image(np.random.default_rng(1).normal(size=(40, 40, 40)), AFFINE), path)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    if kind == "stream":
        content[middle : middle + 200] = np.random.default_rng(2).bytes(200)
    elif kind == "one bit":  # nothing but the checksum at the end tells
        content[middle] ^= 1
    else:
        at, value = {
            "datatype": (70, struct.pack("<h", 9999)),
            "negative length": (44, struct.pack("<h", -30)),
            "axes": (40, struct.pack("<h", -3)),
            "intercept": (112, struct.pack("<ff", 1, np.inf)),
        }[kind]
        content[at : at + len(value)] = value
    path.write_bytes(bytes(content))
    return path


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("stream", "scan.nii.gz"),
        ("one bit", "scan.nii.gz"),
        ("datatype", "scan.nii"),
        ("negative length", "scan.nii"),
        ("axes", "scan.nii"),
        ("intercept", "scan.nii"),
    ],
)
def test_a_damaged_file_is_refused_by_name(kind: str, name: str, tmp_path: Path) -> None:
    """Zlib and nibabel have errors of their own; none of them is a traceback."""
    with pytest.raises(UnusableVolumeError, match=r"scan\.nii"):
        read_nifti_file(damaged(tmp_path / name, kind))


@pytest.mark.parametrize(("order", "directions"), [("SRA", "AFL"), ("RAS", "AFL"), ("IPL", "AFL")])
def test_a_coronal_scan_stays_one_however_its_file_is_ordered(
    order: str, directions: str, tmp_path: Path
) -> None:
    """The coarse axis is the one along which slices were taken."""
    source = image(np.diag([1.0, 6.0, 1.0, 1.0]))
    way = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(tuple(order)))
    nib.save(source.as_reoriented(way), tmp_path / "scan.nii")

    volume = read_nifti_file(tmp_path / "scan.nii").volume

    assert "".join(o.value for o in volume.get_closest_patient_orientation()) == directions


@pytest.mark.parametrize(
    ("orientation", "kind"),
    [
        ((1.0, 0, 0, 0, 1, 0), "axial"),
        ((1.0, 0, 0, 0, 0, -1), "coronal"),
        ((0, 1.0, 0, 0, 0, -1), "sagittal"),
    ],
)
def test_a_nifti_is_read_with_the_axes_of_its_dicom(
    orientation: tuple[float, ...], kind: str, tmp_path: Path
) -> None:
    """What a network learned from DICOM it sees again."""
    del kind
    folder = tmp_path / "dicom"
    folder.mkdir()
    write_ct(folder, orientation=orientation)
    dicom = read_volume(sorted(folder.iterdir()))
    lps = np.asarray(dicom.affine)[:, [2, 1, 0, 3]]
    stored = nib.Nifti1Image(
        np.asarray(dicom.array).transpose(2, 1, 0), np.diag([-1, -1, 1, 1]) @ lps
    )
    nib.save(nib.as_closest_canonical(stored), tmp_path / "scan.nii")

    volume = read_nifti_file(tmp_path / "scan.nii").volume

    assert np.allclose(volume.affine, dicom.affine, atol=1e-4)
    assert np.array_equal(volume.array, dicom.array)


MIRRORED = np.diag([-1.0, 1, 1, 1]) @ AFFINE
SHIFTED = AFFINE + np.array([[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 200], [0, 0, 0, 0]])
ZOOMED = AFFINE @ np.diag([1, 1, 2, 1])
ROUNDED = np.round(AFFINE + 0.0004, 3)


def two_places(path: Path, qform: np.ndarray, sform: np.ndarray = AFFINE) -> Path:
    """Write a file whose forms place the voxels differently."""
    source = image()
    source.set_qform(qform, 1)
    source.set_sform(sform, 1)
    nib.save(source, path)
    return path


@pytest.mark.parametrize("qform", [MIRRORED, SHIFTED, ZOOMED], ids=["mirror", "shift", "zoom"])
def test_what_lies_in_two_places_is_not_drawn_in_until_one_is_named(
    qform: np.ndarray, tmp_path: Path
) -> None:
    """The standard leaves open which form counts; programs differ by a side of the body."""
    path = two_places(tmp_path / "scan.nii", qform)

    with pytest.raises(GeometryError, match=r"scan\.nii: its qform and sform .* mm apart.*Say"):
        refuse_uncertain(read_nifti_file(path), path.name)

    for form, affine in (("qform", qform), ("SFORM", AFFINE)):
        scan = read_nifti_file(path, form)
        refuse_uncertain(scan, path.name)
        index = np.argwhere(np.asarray(scan.volume.array) == 0)[0]
        place = np.asarray(scan.volume.affine) @ [*index, 1]
        assert np.allclose(place[:3], (np.diag([-1, -1, 1, 1]) @ affine)[:3, 3], atol=1e-3)


def test_letters_settle_where_axes_point_and_not_how_large_voxels_are(tmp_path: Path) -> None:
    """Of a mirrored file they say the side; of a zoomed one nothing that helps."""
    mirrored = two_places(tmp_path / "m.nii", MIRRORED)
    zoomed = two_places(tmp_path / "z.nii", ZOOMED)

    refuse_uncertain(read_nifti_file(mirrored, "RAS"), "m.nii")
    with pytest.raises(UnusableVolumeError, match=r"z\.nii: .*say qform or sform"):
        read_nifti_file(zoomed, "RAS")
    assert not read_nifti_file(zoomed).sized
    assert not read_nifti_file(mirrored).oriented


@pytest.mark.parametrize("qform", [AFFINE, ROUNDED], ids=["same", "rounded"])
def test_forms_that_differ_by_rounding_agree(qform: np.ndarray, tmp_path: Path) -> None:
    """A quaternion of 32 bits, decimals that a program cut off."""
    scan = read_nifti_file(two_places(tmp_path / "scan.nii", qform))

    refuse_uncertain(scan, "scan.nii")
    assert not scan.conflict
    assert scan.sized


def test_a_form_that_is_not_there_cannot_be_chosen(tmp_path: Path) -> None:
    """Told by name, not taken from what stands beside it."""
    source = image()
    source.set_qform(AFFINE, 0)
    source.set_sform(AFFINE, 1)
    nib.save(source, tmp_path / "scan.nii")

    with pytest.raises(UnusableVolumeError, match=r"scan\.nii: its qform cannot be used"):
        read_nifti_file(tmp_path / "scan.nii", "qform")


def test_a_quaternion_of_no_rotation_is_a_form_that_disagrees(tmp_path: Path) -> None:
    """Longer than 1: what the file means by it nobody knows, but the sform may be chosen."""
    path = two_places(tmp_path / "scan.nii", AFFINE)
    content = bytearray(path.read_bytes())
    content[256:268] = struct.pack("<fff", 0.9, 0.9, 0.9)
    path.write_bytes(bytes(content))

    with pytest.raises(GeometryError, match="its qform is no affine"):
        refuse_uncertain(read_nifti_file(path), path.name)
    refuse_uncertain(read_nifti_file(path, "sform"), path.name)


@pytest.mark.parametrize("kind", [nib.Nifti1Pair, nib.Nifti2Pair])
@pytest.mark.parametrize("which", ["scan.hdr", "scan.img"])
def test_a_pair_is_read_by_either_file(kind: type, which: str, tmp_path: Path) -> None:
    """Header and voxels apart, as SPM writes them; its mask is one file on the same grid."""
    nib.save(kind(np.asarray(image().dataobj), AFFINE), tmp_path / "scan.img")
    assert is_nifti(tmp_path / which)

    found = mask_of(tmp_path / which, 101, tmp_path / "mask.nii.gz")

    assert np.array_equal(np.asarray(found.dataobj) == 1, np.asarray(image().dataobj) == 101)
    assert np.allclose(found.affine, AFFINE)


def test_half_a_pair_is_refused_by_name(tmp_path: Path) -> None:
    """The header without its voxels."""
    nib.save(nib.Nifti1Pair(np.asarray(image().dataobj), AFFINE), tmp_path / "scan.img")
    (tmp_path / "scan.img").unlink()

    with pytest.raises(UnusableVolumeError, match=r"scan\.hdr: not a NIfTI volume"):
        read_nifti_file(tmp_path / "scan.hdr")


def test_a_file_in_two_places_is_recognised_with_a_remark(tmp_path: Path) -> None:
    """Which side is left is unknown, and so the plane; of two sizes the pixels say nothing."""
    mirrored = read_scan_file(two_places(tmp_path / "m.nii", MIRRORED), "MR")
    zoomed = read_scan_file(two_places(tmp_path / "z.nii", ZOOMED), "MR")

    assert "apart; taken as its sform says, --orientation qform" in mirrored.remarks[0]
    assert not mirrored.labels.plane
    assert not mirrored.doubt
    assert "apart" in zoomed.doubt
    with pytest.raises(GeometryError, match="--orientation qform or sform"):
        mirrored.volume()
