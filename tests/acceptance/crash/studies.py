"""Many small studies out of one phantom: the same pixels under new UIDs."""

from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from node.store.digests import data_set_sha256
from radnet.phantom.study import write_phantom_study
from tests.acceptance.crash.peers import SentStudy

EVERY = 2  # of the phantom's slices, to be quick: 10 mm apart


class StudyMaker:
    """Writes an abdominal CT (every second slice of the phantom) and a localizer, anew each time.

    Parameters
    ----------
    folder : Path
        Where the studies go.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        paths = write_phantom_study(folder / "phantom", seed=1)
        images = [pydicom.dcmread(path) for path in paths]
        ct = [image for image in images if image.Modality == "CT"][::EVERY]
        self._template = [*ct, *(image for image in images if image.SeriesNumber == 1)]

    def make(self) -> SentStudy:
        """Write the next study."""
        self._count += 1
        folder = self._folder / f"{self._count:03d}"
        folder.mkdir()
        entropy = f"crash/{self._count}"
        study = str(generate_uid(entropy_srcs=[entropy]))
        made = SentStudy(study, _anew(self._template[0].SeriesInstanceUID, entropy), {})
        for number, original in enumerate(self._template):
            image = _renamed(original, study, entropy)
            path = folder / f"{number:03d}.dcm"
            image.save_as(path, enforce_file_format=True)
            made.files[image.SOPInstanceUID] = path, data_set_digest(path)
        return made


def _anew(uid: str, entropy: str) -> str:
    return str(generate_uid(entropy_srcs=[entropy, uid]))


def _renamed(image: Dataset, study: str, entropy: str) -> Dataset:
    copy = Dataset(image)
    copy.file_meta = pydicom.dataset.FileMetaDataset(image.file_meta)
    copy.StudyInstanceUID = study
    for keyword in ("SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        setattr(copy, keyword, _anew(image[keyword].value, entropy))
    copy.file_meta.MediaStorageSOPInstanceUID = copy.SOPInstanceUID
    return copy


def data_set_digest(path: Path) -> str:
    """Return the SHA-256 of what follows the File Meta Information (PS3.10 Section 7.1)."""
    with path.open("rb") as file:
        return data_set_sha256(file)
