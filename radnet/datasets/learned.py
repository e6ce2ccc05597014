"""Which scans weights learned from: a list beside their file, compared where they are judged.

``NAME.learned.json`` holds digests of voxels and of patients. It stands beside the weights, not in
them, and may be read by its owner alone: a digest of a patient's number can be guessed, and
weights travel. The weights' record has the digest of the list.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

import highdicom as hd
import numpy as np

from radnet.harvest.durable import publish
from radnet.volume.axes import UPRIGHT, turn_to

KEPT: Final = 32  # characters of a digest of voxels
DIGEST: Final = "learned_sha256"  # in the record


class Known(Protocol):
    """A scan to learn from: digests of its voxels and of its patient, '' where not known."""

    @property
    def content(self) -> str:
        """Return the digest of its voxels."""

    @property
    def patient(self) -> str:
        """Return the digest of who it is of."""


@dataclass(frozen=True)
class Learned:
    """What weights learned from.

    Attributes
    ----------
    scans, patients
        Digests of voxels and of patients.
    untold
        Weights that they began from and whose scans nobody told.
    chosen_by
        Digests of voxels and of patients that were not learned from, but by which these weights
        were chosen among others.
    """

    scans: frozenset[str] = frozenset()
    patients: frozenset[str] = frozenset()
    untold: tuple[str, ...] = ()
    chosen_by: frozenset[str] = frozenset()

    def learned(self, content: str, patient: str) -> str:
        """Return how the weights learned from a scan, '' if they did not.

        Parameters
        ----------
        content, patient
            Its digests; '' where they are not known.
        """
        if content in self.scans:
            return "learned from these very voxels"
        return "learned from its patient" if patient in self.patients else ""

    def why(self, content: str, patient: str) -> str:
        """Return why a scan is no stranger to the weights, '' if it is one.

        Parameters
        ----------
        content, patient
            Its digests; '' where they are not known.
        """
        if how := self.learned(content, patient):
            return how
        if content in self.chosen_by:
            return "was chosen by these very voxels"
        return "was chosen by its patient" if patient in self.chosen_by else ""

    def beside(self, scans: Iterable[Known]) -> "Learned":
        """Return what is learned from with more scans."""
        more = list(scans)
        return replace(
            self,
            scans=self.scans | {one.content for one in more if one.content},
            patients=self.patients | {one.patient for one in more if one.patient},
        )

    def choosing_by(self, scans: Iterable[Known]) -> "Learned":
        """Return what is learned from where the weights are chosen by other scans."""
        digests = {digest for one in scans for digest in (one.content, one.patient) if digest}
        return replace(self, chosen_by=self.chosen_by | digests)

    def text(self) -> str:
        """Return the list as it is kept."""
        told = {
            "scans": sorted(self.scans),
            "patients": sorted(self.patients),
            "untold": list(self.untold),
        }
        if self.chosen_by:  # lists of weights that were not chosen are as they always were
            told["chosen_by"] = sorted(self.chosen_by)
        return json.dumps(told, indent=0) + "\n"

    def digest(self) -> str:
        """Return what the weights' record says of the list."""
        return hashlib.sha256(self.text().encode()).hexdigest()


def voxel_digest(volume: hd.Volume) -> str:
    """Return what tells the voxels of a scan from others', whatever file they came in.

    Parameters
    ----------
    volume : hd.Volume
        As it was taken; in any order and direction of its axes.

    Returns
    -------
    str
    """
    array = np.asarray(turn_to(np.asarray(volume.affine), UPRIGHT).there(volume).array)
    total = hashlib.sha256(repr(array.shape).encode())
    for plane in array:
        total.update((plane.astype("<f4") + np.float32(0)).tobytes())  # -0.0 is 0
    return total.hexdigest()[:KEPT]


def list_beside(weights: Path) -> Path:
    """Return where the list of a weights file is kept."""
    return weights.with_suffix(".learned.json")


def keep_learned(weights: Path, learned: Learned) -> None:
    """Write the list of a weights file; it is whole, or the one before, and its owner's alone."""
    path = list_beside(weights)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    part.touch(0o600)
    part.write_text(learned.text(), encoding="utf-8")
    publish(part, path)


def learned_by(weights: Path, record: Mapping[str, Any]) -> Learned | None:
    """Return what weights learned from, None where nobody tells.

    Parameters
    ----------
    weights
        Their file.
    record
        Of the weights; a list of other weights is none.
    """
    path = list_beside(weights)
    if not path.is_file():
        return None
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        found = Learned(
            frozenset(told["scans"]),
            frozenset(told["patients"]),
            tuple(told["untold"]),
            frozenset(told.get("chosen_by", ())),
        )
    except (ValueError, KeyError, TypeError):
        return None
    return found if record.get(DIGEST) in (None, found.digest()) else None
