"""Whose a scan is: a digest, for neither a name nor a number of a patient leaves the scans."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from radnet.datasets.scans import Scan
from radnet.volume.headers import read_file

KEPT: Final = 16  # characters of a digest, as `radnet labels manifest` writes them


def patient_key(person: str) -> str:
    """Return the digest that stands for a person.

    Parameters
    ----------
    person
        Patient ID (0010,0020); where that is empty, Study Instance UID.

    Returns
    -------
    str
        As in the column ``patient`` of a manifest of `radnet labels manifest`.
    """
    return hashlib.sha256(person.encode()).hexdigest()[:KEPT]


def patient_of(scan: Scan, paths: Sequence[Path]) -> str:
    """Return whose a scan of a data folder is.

    Parameters
    ----------
    scan : Scan
        Its row, which may name the patient.
    paths
        Its files.

    Returns
    -------
    str
        A digest of what the row says, else of what DICOM says; '' of any other scan: it counts as
        the only one of its patient.
    """
    if scan.patient:
        return patient_key(scan.patient)
    if scan.kind == "dicom" and paths:
        header = read_file(paths[0], pixels=False)
        return patient_key(str(header.get("PatientID") or header.get("StudyInstanceUID") or ""))
    return ""
