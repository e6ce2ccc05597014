"""What a training learns from, in a few characters: its checkpoint keeps them."""

import hashlib
from pathlib import Path
from typing import Final

from radnet.datasets.lits import SPLIT

SCANS: Final = ("MANIFEST.csv", "dicom/*/*.dcm", "liver/*.nii.gz", "nifti/*.nii.gz", "*.nii.gz")
LITS: Final = ("volume-*", "segmentation-*")  # in any folder below
HEADS: Final = ("*_gm.nii.gz", "*_wm.nii.gz")  # tissue maps: see `radnet.synthesis`
TOLD: Final = ("MANIFEST.csv", SPLIT)  # files whose content counts
KEPT: Final = 12  # characters of a digest


def fingerprint(source: Path) -> str:
    """Return what tells a file or a set of scans from others.

    Of a file, its content. Of a folder, how many files its layout names, and a digest of their
    names and sizes: a set may hold hundreds of GB. Of its MANIFEST.csv or frozen split the
    content counts. The set may have moved elsewhere in the meantime.
    """
    if source.is_file():
        return hashlib.sha256(source.read_bytes()).hexdigest()[:KEPT]
    is_flat = (source / "MANIFEST.csv").is_file() or any(any(source.glob(one)) for one in HEADS)
    patterns = SCANS if is_flat else [f"**/{one}" for one in LITS]
    files = sorted(path for pattern in patterns for path in source.glob(pattern))
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.relative_to(source)} {path.stat().st_size}\n".encode())
    for path in (source / name for name in TOLD):
        if path.is_file():
            total.update(path.read_bytes())
    return f"{len(files)} files, {total.hexdigest()[:KEPT]}"
