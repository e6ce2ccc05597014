"""NRRD and MetaImage: the same body at the same place as NIfTI says, or a refusal by name."""

import gzip
import json
import subprocess
import sys
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from radnet.datasets.reading import read_files, read_placed
from radnet.errors import GeometryError, UnusableVolumeError
from radnet.inference.scan_file import read_scan_file
from radnet.volume.axes import DIRECTIONS
from radnet.volume.file_axes import as_taken
from radnet.volume.itk_file import is_itk_file, read_itk_file
from radnet.volume.itk_header import LONGEST
from radnet.volume.nifti import read_nifti_file
from tests.made_ct import rotation, write_ct
from tests.made_volume import MARKERS, SHAPE, SPACING_MM, axes, marker_mm, placed, write_nifti

sitk: Any = SimpleITK
Array = NDArray[Any]
OBLIQUE = rotation(17, 0) @ rotation(12, 2)
ORDERS = {
    "LPH": None, "RAH": None, "LAH": None, "RAF": None, "PHR": None, "LPH oblique": OBLIQUE,
    "RPH oblique": OBLIQUE,
}  # fmt: skip
SPACES = {"LPS": (1, 1, 1), "RAS": (-1, -1, 1), "LAS": (1, -1, 1)}
LONG = {
    "LPS": "left-posterior-superior",
    "RAS": "right-anterior-superior",
    "LAS": "left-anterior-superior",
}


def body(order: str) -> tuple[Array, Array]:
    """Return the asymmetric body, [column, row, slice], and its affine to LPS mm."""
    letters, turn = order.split()[0], ORDERS[order]
    at = [2 - DIRECTIONS[letter][0] for letter in letters]
    return placed(axes(letters, turn), [SPACING_MM[i] for i in at], [SHAPE[i] for i in at])


def of_itk(array: Array, affine: Array) -> Any:
    """Return a SimpleITK image of [column, row, slice]."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(steps.tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetDirection((affine[:3, :3] / steps).ravel().tolist())
    return image


def vectors(columns: Array) -> str:
    """Return vectors as NRRD writes them."""
    return " ".join(f"({x!r},{y!r},{z!r})" for x, y, z in columns.T.tolist())


def nrrd(array: Array, affine: Array, space: str = "LPS", **changed: str | None) -> bytes:
    """Return a NRRD file, written without ITK, in one of the spaces; fields may be changed."""
    at = affine[:3] * np.reshape(SPACES.get(space, (1, 1, 1)), (3, 1))
    fields: dict[str, str | None] = {
        "type": "short",
        "dimension": "3",
        "space": LONG.get(space, space),
        "sizes": " ".join(map(str, array.shape)),
        "space directions": vectors(at[:, :3]),
        "space origin": vectors(at[:, 3:]),
        "endian": "little",
        "encoding": "raw",
    }
    fields |= {name.replace("_", " "): value for name, value in changed.items()}
    text = "".join(f"{name}: {value}\n" for name, value in fields.items() if value is not None)
    voxels = array.astype("<i2").tobytes("F")
    voxels = gzip.compress(voxels) if fields["encoding"] == "gzip" else voxels
    return f"NRRD0004\n# made\n{text}note:=made\n\n".encode() + voxels


def meta(array: Array, affine: Array, data: str = "LOCAL", **changed: str | None) -> bytes:
    """Return a MetaImage header and, of LOCAL, its voxels; fields may be changed."""
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    fields: dict[str, str | None] = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": " ".join(map(repr, (affine[:3, :3] / steps).T.ravel().tolist())),
        "Offset": " ".join(map(repr, affine[:3, 3].tolist())),
        "AnatomicalOrientation": "RAI",
        "ElementSpacing": " ".join(map(repr, steps.tolist())),
        "DimSize": " ".join(map(str, array.shape)),
        "ElementType": "MET_SHORT",
    }
    fields |= changed | {"ElementDataFile": data}
    text = "".join(f"{name} = {value}\n" for name, value in fields.items() if value is not None)
    voxels = array.astype("<i2").tobytes("F")
    voxels = zlib.compress(voxels) if fields["CompressedData"] == "True" else voxels
    return text.encode() + (voxels if data == "LOCAL" else b"")


def write_meta_pair(folder: Path, array: Array, affine: Array, packed: bool = False) -> Path:
    """Write a header and its voxels beside it."""
    voxels = array.astype("<i2").tobytes("F")
    (folder / "scan.bin").write_bytes(zlib.compress(voxels) if packed else voxels)
    (folder / "scan.mhd").write_bytes(meta(array, affine, "scan.bin", CompressedData=str(packed)))
    return folder / "scan.mhd"


def by_itk(name: str, packed: bool = False) -> Callable[[Path, Array, Array], Path]:
    """Return what writes a file with SimpleITK."""

    def write(folder: Path, array: Array, affine: Array) -> Path:
        sitk.WriteImage(of_itk(array, affine), str(folder / name), packed)
        return folder / name

    return write


def by_hand(name: str, content: Callable[[Array, Array], bytes]) -> Callable[..., Path]:
    """Return what writes a file without SimpleITK."""

    def write(folder: Path, array: Array, affine: Array) -> Path:
        (folder / name).write_bytes(content(array, affine))
        return folder / name

    return write


WRITERS: dict[str, Callable[[Path, Array, Array], Path]] = {
    "NRRD": by_itk("scan.nrrd"),
    "NRRD gzip": by_itk("scan.nrrd", packed=True),
    "NRRD detached": by_itk("scan.nhdr"),
    "MHA": by_itk("scan.mha"),
    "MHA zlib": by_itk("scan.mha", packed=True),
    "MHD raw": by_itk("scan.mhd"),
    "MHD zraw": by_itk("scan.mhd", packed=True),
    **{f"NRRD in {space}": by_hand("scan.nrrd", partial(nrrd, space=space)) for space in SPACES},
    "MHA by hand": by_hand("SCAN.MHA", meta),
    "MHD by hand": write_meta_pair,
    "MHD by hand, zlib": lambda f, a, t: write_meta_pair(f, a, t, packed=True),
}  # fmt: skip


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", WRITERS)
def test_a_body_lies_where_its_nifti_lies(name: str, order: str, tmp_path: Path) -> None:
    """Voxels to the last bit, the place of each, and what is left, at the back, at the head."""
    array, affine = body(order)
    nifti = write_nifti(tmp_path / "scan.nii.gz", order.split()[0], ORDERS[order])

    stored = read_itk_file(WRITERS[name](tmp_path, array, affine))
    volume, expected = as_taken(stored).there(stored), read_nifti_file(nifti).volume

    assert np.array_equal(stored.array, array.transpose(2, 1, 0))
    assert np.allclose(stored.affine, affine[:, [2, 1, 0, 3]], atol=1e-9)
    assert volume.array.dtype == expected.array.dtype == np.float32
    assert np.array_equal(volume.array, expected.array)
    if ORDERS[order] is None:
        assert np.array_equal(volume.affine, expected.affine)
    assert np.allclose(volume.affine, expected.affine, atol=2e-4)  # NIfTI: float32
    for letter, value in MARKERS.items():
        index = np.argwhere(np.asarray(volume.array) == value).mean(axis=0)
        assert np.allclose((volume.affine @ [*index, 1])[:3], marker_mm(letter), atol=3)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", ["NRRD in RAS", "MHA"])
def test_a_mask_lies_on_the_grid_of_its_file(name: str, order: str, tmp_path: Path) -> None:
    """Index by index: who reads both into arrays may compare them; and so in the patient."""
    array, affine = body(order)
    scan = read_scan_file(WRITERS[name](tmp_path, array, affine), "CT")
    volume = scan.volume()

    scan.write_mask(volume, np.asarray(volume.array) == MARKERS["L"], tmp_path / "mask.nii.gz")

    mask = nib.Nifti1Image.from_filename(tmp_path / "mask.nii.gz")
    assert np.array_equal(np.asarray(mask.dataobj) == 1, array == MARKERS["L"])
    assert np.allclose(np.diag([-1, -1, 1, 1]) @ mask.affine, affine, atol=2e-4)


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
@pytest.mark.parametrize("name", ["scan.nrrd", "scan.mha"])
def test_every_kind_of_number_is_read(name: str, kind: str, tmp_path: Path) -> None:
    """As SimpleITK writes it."""
    array = np.arange(120).reshape(4, 5, 6).astype(kind)
    by_itk(name)(tmp_path, array, np.eye(4))

    assert np.array_equal(read_itk_file(tmp_path / name).array, array.transpose(2, 1, 0))


@pytest.mark.parametrize("name", ["scan.nrrd", "scan.mha"])
def test_what_a_converter_wrote_beside_is_passed_over(name: str, tmp_path: Path) -> None:
    """Fields of a NIfTI header, attributes of DICOM; a damaged one is told without its words."""
    image = of_itk(*body("LPH"))
    for key, value in {"dim[0]": "3", "0008|0060": "CT", "0010|0010": "Doe^Jane"}.items():
        image.SetMetaData(key, value)
    sitk.WriteImage(image, str(tmp_path / name))
    content = (tmp_path / name).read_bytes()

    assert b"Doe^Jane" in content
    assert np.array_equal(read_itk_file(tmp_path / name).array, body("LPH")[0].transpose(2, 1, 0))

    (tmp_path / name).write_bytes(content.replace(b"0010|0010", b"Doe Jane\n1"))
    with pytest.raises(UnusableVolumeError, match=r"line \d+ of its header is no field") as told:
        read_itk_file(tmp_path / name)
    assert "Doe" not in str(told.value)


def test_it_is_read_to_be_classified_learned_and_judged(tmp_path: Path) -> None:
    """Wherever a NIfTI file is: modality by its values, plane by its axes."""
    path = WRITERS["NRRD in RAS"](tmp_path, *body("PHR"))
    nifti = write_nifti(tmp_path / "scan.nii.gz", "PHR")

    scan, same = read_scan_file(path), read_scan_file(nifti)

    assert (scan.modality, scan.remarks, scan.doubt) == (same.modality, same.remarks, same.doubt)
    assert scan.labels == same.labels
    assert scan.labels.plane
    assert np.array_equal(scan.seen().array, same.seen().array)
    assert np.array_equal(read_placed(path).array, read_placed(nifti).array)
    assert np.array_equal(read_files([path], "CT", "x").array, same.seen().array)


def test_what_is_no_ct_is_told(tmp_path: Path) -> None:
    """As of a NIfTI file."""
    array, affine = body("LPH")
    path = by_itk("mr.nrrd")(tmp_path, np.abs(array) * 3, affine)

    assert read_scan_file(path).modality == "MR"
    assert "Is this an MR" in read_scan_file(path, "ct").doubt
    with pytest.raises(UnusableVolumeError, match=r"mr\.nrrd: .*Is this an MR"):
        read_files([path], "CT", "x")


def spoilt(name: str, **changed: str | None) -> Callable[[Path], Path]:
    """Return what writes a file of which fields were changed, or taken out."""

    def write(folder: Path) -> Path:
        array, affine = body("LPH")
        content = (nrrd if name.endswith("nrrd") else meta)(array, affine, **changed)  # type: ignore[arg-type]
        (folder / name).write_bytes(content)
        return folder / name

    return write


N, M = "scan.nrrd", "scan.mha"
NO_PLACE = {
    "NRRD without space": (spoilt(N, space=None), "space is not there; expected LPS, RAS or LAS"),
    "NRRD in a scanner": (spoilt(N, space="scanner-xyz"), "space scanner-xyz; expected LPS"),
    "NRRD anywhere": (spoilt(N, space="3D-right-handed"), "space 3D-right-handed"),
    "NRRD without directions": (spoilt(N, space_directions=None), "space directions is not there"),
    "NRRD with two directions": (
        spoilt(N, space_directions="(1,0,0) (0,1,0) none"), "space directions .* 3 x",
    ),
    "NRRD with spacings": (
        spoilt(N, space=None, space_directions=None, spacings="1 1 1"), "does not say how",
    ),
    "NRRD without origin": (spoilt(N, space_origin=None), "space origin is not there"),
    "NRRD with infinity": (spoilt(N, space_origin="(0,inf,0)"), "space origin"),
    "NRRD in cm": (spoilt(N, space_units='"cm" "cm" "cm"'), "space units cm; expected mm"),
    "Meta without letters": (spoilt(M, AnatomicalOrientation=None), "Orientation is not there"),
    "Meta with question marks": (spoilt(M, AnatomicalOrientation="???"), "Orientation \\?\\?\\?"),
    "Meta without matrix": (spoilt(M, TransformMatrix=None), "TransformMatrix is not there"),
    "Meta with half a matrix": (spoilt(M, TransformMatrix="1 0 0 0 1 0"), "expected 9 numbers"),
    "Meta with two": (spoilt(M, Rotation="1 0 0 0 1 0 0 0 1"), "TransformMatrix .* and "),
    "Meta without offset": (spoilt(M, Offset=None), "Offset is not there; expected 3 numbers"),
    "Meta without spacing": (spoilt(M, ElementSpacing=None), "ElementSpacing is not there"),
    "Meta of negative spacing": (spoilt(M, ElementSpacing="-4 4 6"), "expected three lengths"),
    "Meta in cm": (spoilt(M, DistanceUnits="cm"), "DistanceUnits cm; expected mm"),
    "Meta askew": (spoilt(M, TransformMatrix="1 0 0 0 1 0 0 .2 .98"), "not perpendicular"),
    "NRRD askew": (
        spoilt(N, space_directions="(4,0,0) (0,4,0) (0,1.2,6)"), "by .* mm at its edge",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_PLACE)
def test_what_does_not_say_how_the_patient_lies_is_refused(name: str, tmp_path: Path) -> None:
    """ITK takes it for LPS, of 1 mm, in mm: a guess once mirrored a liver."""
    write, why = NO_PLACE[name]

    with pytest.raises(GeometryError, match=rf"^scan\.(nrrd|mha): .*{why}"):
        read_itk_file(write(tmp_path))


def image(name: str, made: Callable[[], Any]) -> Callable[[Path], Path]:
    """Return what writes another image with SimpleITK."""

    def write(folder: Path) -> Path:
        sitk.WriteImage(made(), str(folder / name))
        return folder / name

    return write


def damaged(name: str, change: Callable[[bytearray], object]) -> Callable[[Path], Path]:
    """Return what writes a compressed file and spoils it."""

    def write(folder: Path) -> Path:
        content = bytearray(by_itk(name, packed=True)(folder, *body("LPH")).read_bytes())
        change(content)
        (folder / name).write_bytes(content)
        return folder / name

    return write


def cut(content: bytearray) -> None:
    """Take the end away."""
    del content[-60:]


def bit(content: bytearray) -> None:
    """Change one bit of the voxels."""
    content[-60] ^= 1


def half_a_checksum(content: bytearray) -> None:
    """Take away what nothing but the checksum needs."""
    del content[-2:]


def checksum(content: bytearray) -> None:
    """Change one bit of the checksum."""
    content[-6 if content.startswith(b"NRRD") else -2] ^= 1


def head_alone(content: bytearray) -> None:
    """Leave the first fields."""
    del content[60:]


def nothing(content: bytearray) -> None:
    """Leave nothing."""
    content.clear()


HUGE = "2048 2048 2048"
DAMAGED = {
    f"{change.__name__} of {name}": (damaged(name, change), r"copied whole, or is damaged|no NRRD")
    for name in (N, M)
    for change in (cut, bit, checksum, half_a_checksum, head_alone, nothing)
}
REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    **DAMAGED,
    "NRRD of 4": (
        image(N, lambda: sitk.Image([4, 4, 4, 2], sitk.sitkInt16)), "4 dimensions; expected 3",
    ),
    "Meta of 4": (
        image(M, lambda: sitk.Image([4, 4, 4, 2], sitk.sitkInt16)), "4 dimensions; expected 3",
    ),
    "NRRD of 2": (image(N, lambda: sitk.Image([4, 4], sitk.sitkInt16)), "2 dimensions"),
    "Meta of 2": (image(M, lambda: sitk.Image([4, 4], sitk.sitkInt16)), "2 dimensions"),
    "NRRD of vectors": (
        image(N, lambda: sitk.Image([4, 4, 4], sitk.sitkVectorInt16, 3)), "dimensions; expected 3",
    ),
    "Meta of vectors": (
        image(M, lambda: sitk.Image([4, 4, 4], sitk.sitkVectorInt16, 3)), "expected one number",
    ),
    "NRRD of slices of colours": (
        image(N, lambda: sitk.Image([4, 4], sitk.sitkVectorUInt8, 3)), "does not say|dimensions",
    ),
    "NRRD complex": (
        image(N, lambda: sitk.Image([4, 4, 4], sitk.sitkComplexFloat32)), "dimensions; expected 3",
    ),
    "Meta complex": (
        image(M, lambda: sitk.Image([4, 4, 4], sitk.sitkComplexFloat32)), "one number|dimensions",
    ),
    "NRRD of blocks": (spoilt(N, type="block", block_size="2"), "cannot be read|dimensions"),
    "NRRD twice": (spoilt(N, datafile="a.raw", data_file="a.raw"), "line 12 .* the second time"),
    "NRRD of no field": (spoilt(N, type="short\nhello"), "line 4 of its header is no field"),
    "NRRD too large": (spoilt(N, sizes=HUGE), "2048 x 2048 x 2048 voxels need about .* GB"),
    "Meta too large": (spoilt(M, DimSize=HUGE), "2048 x 2048 x 2048 voxels need about .* GB"),
    "NRRD of no slices": (spoilt(N, sizes="60 50 0"), "60 50 0 voxels; expected three numbers"),
    "Meta of negative size": (spoilt(M, DimSize="60 50 -25"), "expected three numbers"),
    "NRRD of more": (spoilt(N, sizes="60 50 26"), "cannot be read"),
    "Meta of more": (spoilt(M, DimSize="60 50 26"), "bytes of voxels in .* promises 156,000"),
    "Meta of less": (spoilt(M, DimSize="60 50 24"), "bytes of voxels in .* promises 144,000"),
    "Meta not packed": (spoilt(M, CompressedData="t\n#"), "line 6 of its header is no field"),
    "Meta of channels": (spoilt(M, ElementNumberOfChannels="2"), "MET_SHORT x 2; expected one"),
    "Meta of long": (spoilt(M, ElementType="MET_LONG"), "MET_LONG x 1; expected one number"),
    "Meta scaled": (spoilt(M, ElementToIntensityFunctionSlope="2"), "programs read differently"),
    "NRRD after a header": (spoilt(N, byte_skip="4"), "byteskip 4.*expected 0"),
    "NRRD as text": (spoilt(N, encoding="text"), "encoding text; expected raw or gzip"),
    "Meta as text": (spoilt(M, BinaryData="False"), "its voxels are text"),
    "Meta after a header": (spoilt(M, HeaderSize="4"), "headersize 4.*expected 0"),
    "Meta with a hidden line": (spoilt(M, Comment="a\rElementDataFile = /x"), "is no text"),
    "Meta named twice": (spoilt(M, elementdatafile="a.raw"), "line 13 .* for the second time"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_whole_volume_of_numbers_is_refused(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """By name and with what to do; ITK writes nothing beside it. A bit costs no slice unseen."""
    write, why = REFUSED[name]

    with pytest.raises(UnusableVolumeError, match=rf"^scan\.(nrrd|mha): .*{why}"):
        read_itk_file(write(tmp_path))

    assert capfd.readouterr() == ("", "")


def test_voxels_that_are_not_packed_as_said_are_refused(tmp_path: Path) -> None:
    """Of these ITK gives what lay in memory, and no error."""
    path = write_meta_pair(tmp_path, *body("LPH"))
    path.write_bytes(meta(*body("LPH"), "scan.bin", CompressedData="True"))

    with pytest.raises(UnusableVolumeError, match=r"scan\.mhd: its voxels cannot be unpacked"):
        read_itk_file(path)


OUTSIDE = ("/etc/hostname", "../scan.bin", "below/../../scan.bin", "C:/scan.bin", "a\\scan.bin",
           "link.bin")  # fmt: skip


@pytest.mark.parametrize("data", OUTSIDE)
@pytest.mark.parametrize("name", ["scan.nhdr", "scan.mhd"])
def test_a_header_reads_no_file_outside_its_folder(
    name: str, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever sends a header would choose what is read; it is refused before ITK is there."""
    array, affine = body("LPH")
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "scan.bin").write_bytes(array.astype("<i2").tobytes("F"))
    (home / "link.bin").symlink_to(tmp_path / "scan.bin")
    content = (
        meta(array, affine, data) if name == "scan.mhd" else nrrd(array, affine, data_file=data)
    )
    (home / name).write_bytes(content.partition(b"\n\n")[0])
    monkeypatch.setitem(sys.modules, "SimpleITK", None)

    with pytest.raises(UnusableVolumeError, match=rf"^{name}: .*outside its folder .*Put both"):
        read_itk_file(home / name)


@pytest.mark.parametrize("data", ["LIST", "LIST 2D\nDoe^Jane.raw", "s%03d.raw 1 25 1", ""])
@pytest.mark.parametrize("name", ["scan.nhdr", "scan.mhd"])
def test_voxels_in_several_files_are_refused(name: str, data: str, tmp_path: Path) -> None:
    """One file or none: a slice that is missing would not be seen."""
    array, affine = body("LPH")
    content = (
        meta(array, affine, data) if name == "scan.mhd" else nrrd(array, affine, data_file=data)
    )
    (tmp_path / name).write_bytes(content.partition(b"\n\n")[0])

    with pytest.raises(UnusableVolumeError, match=rf"^{name}: its voxels are in several files"):
        read_itk_file(tmp_path / name)


@pytest.mark.parametrize("name", ["scan.nhdr", "scan.mhd"])
def test_a_header_alone_is_refused(name: str, tmp_path: Path) -> None:
    """People copy one of the two."""
    by_itk(name)(tmp_path, *body("LPH"))
    (tmp_path / "scan.raw").unlink()

    with pytest.raises(UnusableVolumeError, match=rf"^{name}: .*no file scan\.raw.*Copy both"):
        read_itk_file(tmp_path / name)


def test_a_header_has_an_end(tmp_path: Path) -> None:
    """A file of any size that is called so is not read whole."""
    (tmp_path / "scan.mha").write_bytes(
        b"Comment = " + b"x" * LONGEST + b"\nElementDataFile = LOCAL\n"
    )

    with pytest.raises(UnusableVolumeError, match=r"scan\.mha: .*without ElementDataFile"):
        read_itk_file(tmp_path / "scan.mha")


def test_what_is_called_so_and_is_something_else_is_refused(tmp_path: Path) -> None:
    """Content counts, too; and a file that is not there is no traceback."""
    nifti = write_nifti(tmp_path / "scan.nii", "LPH")

    for name in ("a.nrrd", "a.mha"):
        (tmp_path / name).write_bytes(nifti.read_bytes())
        with pytest.raises(UnusableVolumeError, match=rf"^a\.{name[2:]}: "):
            read_itk_file(tmp_path / name)
    with pytest.raises(UnusableVolumeError, match=r"none\.mhd: cannot be read \(No such file"):
        read_itk_file(tmp_path / "none.mhd")
    assert not is_itk_file(nifti)


QUIET = """
import json, sys
from pathlib import Path
from radnet.datasets import reading
from radnet.inference import scan_file

for name in sys.argv[1:]:
    scan_file.read_scan_file(Path(name), "CT").volume()
print(json.dumps("SimpleITK" in sys.modules))
"""


def test_no_other_scan_waits_for_simpleitk(tmp_path: Path) -> None:
    """The node serves DICOM: ITK is imported by the first file that needs it."""
    write_ct(tmp_path / "ct")
    nifti = write_nifti(tmp_path / "scan.nii", "LPH")
    found = []
    for paths in ((tmp_path / "ct", nifti), (by_itk("a.nrrd")(tmp_path, *body("LPH")),)):
        done = subprocess.run(
            [sys.executable, "-c", QUIET, *map(str, paths)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found.append((json.loads(done.stdout), done.stderr))

    assert found == [(False, ""), (True, "")]
