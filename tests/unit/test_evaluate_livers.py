"""Which livers `radnet evaluate --data` scores, and which masks it refuses."""

import hashlib
from pathlib import Path
from typing import cast

import highdicom as hd
import nibabel as nib
import numpy as np
import pytest

from radnet.datasets.learned import Learned, voxel_digest
from radnet.datasets.liver_cases import real_cases
from radnet.datasets.patients import patient_key
from radnet.datasets.reading import read_placed
from radnet.errors import DataError
from radnet.evaluation.scorecard import scorecard
from radnet.evaluation.scoring import ScanReport, reports, split_record
from radnet.evaluation.strangers import Strangers
from radnet.inference.classifier import Classifier, Prediction
from radnet.inference.segmenter import LiverMask, LiverSegmenter
from radnet.labels.vocabulary import Contrast, Plane, Region
from tests.small_training import lits

HEAD = "id,kind,files,modality,sequence,plane,contrast,coverage,note,source,licence,use"
ROW = "x,liver pair,2,CT,CT,axial,,liver,,made,none,test only"


class Sure:
    """A classifier and a segmenter: unsure of everything, but that what is bright is liver."""

    def __init__(self, *, left_out: bool = True) -> None:
        self.record = {"left_out": left_out}

    def classify(self, _volume: hd.Volume, _modality: str) -> Prediction:
        """Return the same of every volume."""
        return Prediction(
            {},
            dict.fromkeys(Plane, 1 / 3),
            dict.fromkeys(Contrast, 0.5),
            dict.fromkeys(Region, 0.9),
            4.0,
            np.zeros((1, 9), np.float32),
            32.0,
            modality="CT",
        )

    def segment(self, volume: hd.Volume) -> LiverMask:
        """Return what is brighter than fat."""
        return LiverMask(np.asarray(volume.array) > 30, (0, 1), 0.9)


def judged(
    folder: Path, who: Strangers | None = None, *, left_out: bool = True
) -> tuple[list[ScanReport], list[str]]:
    """Return the reports of `folder`, and what was refused."""
    refused: list[str] = []
    sure = Sure(left_out=left_out)
    networks = cast("Classifier", sure), cast("LiverSegmenter", sure)
    found = reports([folder], *networks, refused, who or Strangers())
    return [one for one in found.reports if one is not None], refused


def pair(folder: Path, use: str = "test only") -> Path:
    """Make the first case of a set in LiTS layout a liver pair of a manifest; return its mask."""
    lits(folder, 1)
    (folder / "liver").mkdir()
    (folder / "volume-0.nii.gz").rename(folder / "liver" / "x_ct.nii.gz")
    mask = (folder / "segmentation-0.nii.gz").rename(folder / "liver" / "x_liver.nii.gz")
    row = ROW.replace("test only", use)
    (folder / "MANIFEST.csv").write_text(f"{HEAD}\n{row}\n", encoding="utf-8")
    return mask


def cut(file: Path) -> None:
    """Take the lowest twelve slices off a mask but not off its affine: it lies elsewhere now."""
    mask = nib.Nifti1Image.from_filename(file)
    nib.save(nib.Nifti1Image(np.asarray(mask.dataobj)[:, :, 12:], mask.affine), file)


def move(file: Path) -> None:
    """Shift a mask by 120 mm."""
    mask = nib.Nifti1Image.from_filename(file)
    affine = np.array(mask.affine)
    affine[2, 3] += 120
    nib.save(nib.Nifti1Image(np.asarray(mask.dataobj), affine), file)


def turn(file: Path) -> None:
    """Store a mask from right to left; it lies where it lay."""
    mask = nib.Nifti1Image.from_filename(file)
    affine = np.array(mask.affine) @ np.diag([-1.0, 1, 1, 1])
    affine[:3, 3] = (mask.affine @ [mask.shape[0] - 1, 0, 0, 1])[:3]
    nib.save(nib.Nifti1Image(np.asarray(mask.dataobj)[::-1], affine), file)


def test_a_mask_that_lies_elsewhere_is_refused_by_name(tmp_path: Path) -> None:
    """Compared voxel by voxel it had a Dice."""
    move(pair(tmp_path))

    found, refused = judged(tmp_path)

    assert not found
    assert len(refused) == 1
    assert refused[0].startswith("x_liver.nii.gz: ")
    assert "expected a mask of this very scan" in refused[0]


def test_a_mask_of_another_shape_is_refused_by_name(tmp_path: Path) -> None:
    """Slices were cut off it, its affine does not tell: it lies in the scan, not at the liver."""
    cut(pair(tmp_path))

    found, refused = judged(tmp_path)

    assert not found
    assert len(refused) == 1
    assert refused[0].startswith("x_liver.nii.gz: 18 x 48 x 48 voxels; x_ct.nii.gz has 30 x 48 x")


def test_a_mask_stored_from_the_other_side_is_turned(tmp_path: Path) -> None:
    """The same liver in the same place, whatever the order of its voxels."""
    turn(pair(tmp_path))

    found, refused = judged(tmp_path)

    assert not refused
    assert found[0].liver
    assert found[0].liver.dice == pytest.approx(1.0, abs=0.01)


def test_nor_is_it_learned_from(tmp_path: Path) -> None:
    """`radnet train liver --data` reads the same pairs."""
    move(pair(tmp_path, "train"))

    with pytest.raises(DataError, match=r"x_liver\.nii\.gz"):
        real_cases(tmp_path, frozenset({"train"}))


def test_of_a_set_in_lits_layout_what_training_held_out_is_scored(tmp_path: Path) -> None:
    """Every fourth patient, as `radnet train liver` leaves them out; a tumour is liver."""
    found, refused = judged(lits(tmp_path, 8))

    assert not refused
    assert [one.scan.name for one in found] == ["volume-3.nii.gz", "volume-7.nii.gz"]
    for one in found:
        assert one.liver
        assert one.liver.truth_ml == pytest.approx(18 * 18 * 14 * 64 / 1000)
        assert one.liver.dice == pytest.approx(1.0, abs=0.01)
    assert scorecard(found) == []  # that they are CTs was given, and no more is known


def test_no_liver_is_scored_with_weights_that_learned_from_it(tmp_path: Path) -> None:
    """Those of `--every-scan` may have: a set in LiTS layout calls nothing `test only`."""
    found, _ = judged(lits(tmp_path, 4), left_out=False)

    assert [one.liver for one in found] == [None]


def test_a_scan_that_the_weights_learned_from_is_not_scored(tmp_path: Path) -> None:
    """It was, without a word; under another name, stored the other way round, it is the same."""
    folder = lits(tmp_path / "set", 8)
    stored = nib.Nifti1Image.from_filename(folder / "volume-3.nii.gz")
    turned = np.array(stored.affine) @ np.diag([-1.0, 1, 1, 1])
    turned[:3, 3] = (stored.affine @ [stored.shape[0] - 1, 0, 0, 1])[:3]
    copy = tmp_path / "copy.nii"
    nib.save(nib.Nifti1Image(np.asarray(stored.dataobj)[::-1], turned), copy)
    known = Learned(frozenset({voxel_digest(read_placed(copy))}))

    by_classifier, by_liver = Strangers(classifier=known), Strangers(liver=known)
    (other,), refused = judged(folder, by_classifier)
    first, second = judged(folder, by_liver)[0]

    assert (other.scan.name, refused) == ("volume-7.nii.gz", [])
    assert by_classifier.excluded == [
        "volume-3.nii.gz: scan not scored, the classifier learned from these very voxels"
    ]
    assert (first.liver, first.prediction.modality) == (None, "CT")  # it is classified
    assert second.liver is not None
    assert by_liver.excluded == [
        "volume-3.nii.gz: liver not scored, the liver learned from these very voxels"
    ]


def test_nor_is_another_scan_of_a_patient_it_learned_from(tmp_path: Path) -> None:
    """Who it is of stands in the frozen split of the folder."""
    folder = lits(tmp_path, 8)
    (folder / "split.csv").write_text("volume,patient,side\nvolume-3,anna,test\n")
    who = Strangers(classifier=Learned(patients=frozenset({patient_key("anna")})))

    found, _ = judged(folder, who)

    assert [one.scan.name for one in found] == ["volume-7.nii.gz"]
    assert "learned from its patient" in who.excluded[0]


def test_a_segmentation_of_another_scan_is_refused_by_name(tmp_path: Path) -> None:
    """The others are scored."""
    cut(lits(tmp_path, 8) / "segmentation-3.nii.gz")

    found, refused = judged(tmp_path)

    assert [one.scan.name for one in found] == ["volume-7.nii.gz"]
    assert len(refused) == 1
    assert refused[0].startswith("segmentation-3.nii.gz: ")


def test_the_split_of_a_set_in_lits_layout_is_recorded(tmp_path: Path) -> None:
    """Each volume with its role and the bytes of both files."""
    record = split_record([lits(tmp_path, 4)])

    assert [one["role"] for one in record] == ["train", "train", "train", "test"]
    both = [tmp_path / f"{part}-3.nii.gz" for part in ("volume", "segmentation")]
    expected = hashlib.sha256(b"".join(path.read_bytes() for path in both)).hexdigest()
    assert record[3]["sha256"] == expected


def test_a_volume_without_its_segmentation_is_named(tmp_path: Path) -> None:
    """Before any scan is judged."""
    (lits(tmp_path, 4) / "segmentation-1.nii.gz").unlink()

    with pytest.raises(DataError, match=r"segmentation-1\.nii\.gz"):
        judged(tmp_path)
