"""A row of kind nifti in a MANIFEST.csv is read wherever a series is."""

from pathlib import Path

import numpy as np
import pytest

from radnet.cli.manifest import series_files
from radnet.datasets.fingerprint import fingerprint
from radnet.datasets.liver_cases import real_cases
from radnet.datasets.samples import real_samples
from radnet.datasets.scans import files, read_manifest
from radnet.errors import DataError, UnusableVolumeError
from radnet.evaluation.scoring import split_record
from radnet.labels.vocabulary import MR_SEQUENCES, Contrast, Plane, Region, Sequence
from radnet.training.experiments import QUICK, sides
from tests.made_volume import write_nifti, write_series

HEAD = "id,kind,files,modality,sequence,plane,contrast,coverage,note,source,licence,use"
MR = "head,nifti,1,MR,T2-FLAIR,axial,noncontrast,brain,,made,CC0,train"


def manifest(folder: Path, *rows: str) -> Path:
    """Write a manifest."""
    text = "".join(f"{row}\n" for row in (HEAD, *rows))
    (folder / "MANIFEST.csv").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("below", ["", "nifti"])
def test_it_is_learned_from_with_its_labels(below: str, tmp_path: Path) -> None:
    """Beside the manifest, or in a folder of its own beside those of the other kinds."""
    write_nifti(tmp_path / below / "head.nii.gz", "RAH")

    (sample,) = real_samples([manifest(tmp_path, MR)])

    assert sample.image.shape == (38, 96, 96)
    assert (sample.image.min(), sample.image.max(), sample.empty) == (0, 1, 0)
    assert sample.sequence == MR_SEQUENCES.index(Sequence.T2_FLAIR)
    assert sample.plane == list(Plane).index(Plane.AXIAL)
    assert sample.contrast == list(Contrast).index(Contrast.NONCONTRAST)
    assert sample.scan.tolist() == [float(region is Region.BRAIN) for region in Region]
    assert sample.spacing_mm == pytest.approx(6)


def test_it_stands_in_the_split_and_in_the_fingerprint(tmp_path: Path) -> None:
    """Whoever goes on with a training must go on with the same file."""
    path = write_nifti(tmp_path / "nifti" / "head.nii.gz", "RAH")
    (record,) = split_record([manifest(tmp_path, MR)])
    before = fingerprint(tmp_path)

    path.write_bytes(path.read_bytes() + b" ")

    assert (record["id"], record["kind"]) == ("head", "nifti")
    assert split_record([tmp_path])[0]["sha256"] != record["sha256"]
    assert before.startswith("2 files, ")
    assert fingerprint(tmp_path) != before


def test_without_a_mask_it_is_no_liver(tmp_path: Path) -> None:
    """Neither to learn from nor to experiment with; the pair beside it is."""
    write_nifti(tmp_path / "nifti" / "head.nii.gz", "RAH")
    write_nifti(tmp_path / "liver" / "x_ct.nii.gz", "LPH")
    write_nifti(tmp_path / "liver" / "x_liver.nii.gz", "RAF", mask="L")
    write_nifti(tmp_path / "liver" / "y_ct.nii.gz", "LPH")
    write_nifti(tmp_path / "liver" / "y_liver.nii.gz", "RAF", mask="L")
    pair = "{},liver pair,2,CT,CT,axial,,liver,,made,CC0,{}"
    manifest(tmp_path, MR, pair.format("x", "train"), pair.format("y", "test"))

    (case,) = real_cases(tmp_path, frozenset({"train"}))
    (tried,), (held_out,) = sides(tmp_path, QUICK)

    assert case.name == tried.name == "x"
    assert held_out.name == "y"
    assert np.array_equal(case.liver, tried.liver)


def test_a_kind_that_nobody_knows_is_told(tmp_path: Path) -> None:
    """It was once taken for DICOM, of which there were no files."""
    with pytest.raises(DataError, match="head: kind 'nrrd'; expected dicom, liver pair"):
        read_manifest(manifest(tmp_path, MR.replace("nifti", "nrrd")))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """And no traceback."""
    with pytest.raises(UnusableVolumeError, match=r"head\.nii\.gz"):
        real_samples([manifest(tmp_path, MR)])


def test_a_manifest_of_labels_finds_series_that_were_converted(tmp_path: Path) -> None:
    """Named by their Series Instance UID, as masks are; where DICOM lies there too, DICOM."""
    dicom = write_series(tmp_path / "a", "HPL")
    write_nifti(tmp_path / "b" / "1.2.3.nii.gz", "RAH")
    mask = write_nifti(tmp_path / "masks" / "1.2.4.nii.gz", "RAH", mask="L")
    write_nifti(tmp_path / "b" / "1.2.826.0.1.3680043.8.498.1.2.nii.gz", "RAH")

    found = series_files(tmp_path, [mask])

    assert found["1.2.3"] == [tmp_path / "b" / "1.2.3.nii.gz"]
    assert "1.2.4" not in found
    assert sorted(found["1.2.826.0.1.3680043.8.498.1.2"]) == dicom


@pytest.mark.real_data
def test_the_real_ones_are_read(real_data: Path) -> None:
    """Every volume of the folder, crops of a spine and slabs of a neck included."""
    folder = real_data / "nifti"
    scans = read_manifest(folder)

    samples = real_samples([folder])

    assert len(samples) == len(scans) == 14
    for scan, sample in zip(scans, samples, strict=True):
        assert files(folder, scan)[0].is_file()
        assert sample.image.shape[0] >= 4, scan.name
        assert sample.image.max() > 0.9, scan.name
