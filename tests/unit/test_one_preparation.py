"""The same file is the same tensor to training, scoring and the node, bit by bit, and unmirrored.

The trainer of an archive once saw every scan upside down, and scoring saw a NIfTI file as it was
stored while `radnet classify` saw it as it was taken.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from numpy.typing import NDArray
from pydicom import dcmread

from node.classify.recognise import recognise
from node.segment.source import read_source
from radnet.datasets.liver_cases import Case, real_cases
from radnet.datasets.liver_sets import table_cases
from radnet.datasets.manifest import Row, read_table
from radnet.datasets.prepared import Archive, prepare
from radnet.datasets.samples import Sample, collate, real_sample
from radnet.datasets.scans import read_manifest
from radnet.evaluation import scoring
from radnet.evaluation.strangers import Strangers
from radnet.inference.classifier import Classifier
from radnet.inference.preparation import (
    CLASSIFIER_SPACING_MM,
    CT_HU,
    CT_LEVELS,
    LIVER_SPACING_MM,
    Array,
)
from radnet.inference.recognise import recognise_scan
from radnet.inference.scan_file import read_scan_file
from radnet.inference.segmenter import LiverSegmenter
from radnet.labels.vocabulary import Region
from tests.made_ct import rotation
from tests.made_manifest import write_manifest
from tests.made_volume import (
    BODY_HU,
    CENTRE_MM,
    FINE,
    MARKERS,
    OFF_MM,
    SHAPE,
    SPACING_MM,
    axes,
    marker_mm,
    write_nifti,
    write_series,
)

HEAD: Final = "id,kind,files,modality,sequence,plane,contrast,coverage,note,source,licence,use"
OBLIQUE: Final = rotation(12, 0) @ rotation(7, 1) @ rotation(5, 2)
NAME: Final = "x"


class Spy:
    """A network that remembers what it was shown, and is unsure of everything."""

    def __init__(self) -> None:
        self.seen: list[Array] = []

    def last(self) -> Array:
        """Return the only stack it was shown, (Z, Y, X)."""
        (stack,) = self.seen
        return np.asarray(stack[0, 0])

    def __call__(self, stack: Array) -> list[Array]:
        """Return even odds for a stack, (1, 1, Z, Y, X)."""
        self.seen.append(stack.copy())
        cells = np.zeros((1, stack.shape[2] // 8, len(Region)), np.float32)
        return [np.zeros((1, 13), np.float32), cells, np.zeros((1, 4), np.float32)]


class SpySegmenter(LiverSegmenter):
    """A segmenter that remembers the HU its network would be shown, and finds nothing."""

    def __init__(self) -> None:
        self.seen: list[Array] = []
        super().__init__(Spy(), classifier(Spy()), {"preset": "made"}, "0" * 64)

    def probability(self, hounsfield: Array, progress: Any = None) -> Array:
        """Return no liver."""
        del progress
        self.seen.append(hounsfield.copy())
        return np.zeros_like(hounsfield)


def classifier(spy: Spy) -> Classifier:
    """Return a classifier around a spy."""
    return Classifier(spy, {"preset": "made"}, "0" * 64, "made")


@dataclass(frozen=True)
class Written:
    """A folder with one scan and its MANIFEST.csv, and how the networks are to see it.

    Attributes
    ----------
    directions
        Unit vectors of slices, rows and columns in LPS: slices in the order of their normal.
    """

    folder: Path
    paths: list[Path]
    directions: NDArray[np.float64]


def _enhanced(folder: Path) -> list[Path]:
    parts = write_series(folder.parents[1] / "parts", "HPL")
    folder.mkdir(parents=True)
    image = LegacyConvertedEnhancedCTImage(
        [dcmread(path) for path in parts], "1.2.3.4", 5, "1.2.3.4.5", 1
    )
    image.save_as(folder / "enhanced.dcm")
    return [folder / "enhanced.dcm"]


Write = Callable[[Path], list[Path]]
BACKWARDS: Final = tuple(reversed(range(SHAPE[0])))
HPL: Final = axes("HPL")
SERIES: Final[dict[str, tuple[Write, NDArray[np.float64]]]] = {
    "axial": (lambda to: write_series(to, "HPL"), HPL),
    "axial from the head": (lambda to: write_series(to, "FPL"), HPL),
    "files in the reverse order": (lambda to: write_series(to, "HPL", names=BACKWARDS), HPL),
    "prone": (lambda to: write_series(to, "HAR"), axes("HAR")),
    "sagittal": (lambda to: write_series(to, "LFP"), axes("RFP")),
    "coronal": (lambda to: write_series(to, "AFL"), axes("PFL")),
    "oblique": (lambda to: write_series(to, "HPL", OBLIQUE), OBLIQUE @ HPL),
    "oblique from the head": (lambda to: write_series(to, "FPL", OBLIQUE), OBLIQUE @ HPL),
    "enhanced": (_enhanced, HPL),
}
NIFTI: Final[dict[str, tuple[str, NDArray[np.float64] | None]]] = {
    **{f"NIfTI {letters}": (letters, None) for letters in ("LPH", "RAH", "LAH", "RAF", "PHR")},
    "NIfTI oblique": ("RAF", OBLIQUE),
}


@pytest.fixture(params=[*SERIES, *NIFTI])
def scan(request: pytest.FixtureRequest, tmp_path: Path) -> Written:
    """Write the body in one of many ways."""
    name = str(request.param)
    if name in SERIES:
        write, directions = SERIES[name]
        kind, paths = "dicom", write(tmp_path / "dicom" / NAME)
    else:
        letters, turn = NIFTI[name]
        kind, directions = "nifti", HPL if turn is None else turn @ HPL
        paths = [write_nifti(tmp_path / "nifti" / f"{NAME}.nii.gz", letters, turn)]
    row = f"{NAME},{kind},{len(paths)},CT,CT,,,liver,,made,none,test only"
    (tmp_path / "MANIFEST.csv").write_text(f"{HEAD}\n{row}\n", encoding="utf-8")
    return Written(tmp_path, sorted(paths), directions)


def served(paths: list[Path]) -> Array:
    """Return what the node's network sees of a series, or that of `radnet classify`, (Z, Y, X)."""
    spy = Spy()
    if paths[0].suffix == ".dcm":
        assert not recognise(paths, classifier(spy), 0.6).unusable
    else:
        found = recognise_scan(read_scan_file(paths[0], "CT"), 0.6, classifier(spy))
        assert found.unusable == ""
    return spy.last()


def scored(folder: Path) -> Array:
    """Return what `radnet evaluate --data` shows the network."""
    spy, refused = Spy(), list[str]()
    found = scoring.reports([folder], classifier(spy), SpySegmenter(), refused, Strangers())
    assert (len(list(found.reports)), refused) == (1, [])
    return spy.last()


def scored_row(manifest: Path) -> Array:
    """Return what `radnet evaluate --manifest` shows the network."""
    spy, refused = Spy(), list[str]()
    found = scoring.table_reports(manifest, classifier(spy), SpySegmenter(), refused, Strangers())
    assert (len(list(found.reports)), refused) == (1, [])
    return spy.last()


def learned(folder: Path) -> Sample:
    """Return what `radnet train --data` learns from."""
    return real_sample(folder, read_manifest(folder)[0])


def learned_row(row: Row, cache: Path) -> Sample:
    """Return what `radnet train --manifest` learns from."""
    good, bad = prepare([row], cache, lambda _done, _of: None)
    assert bad == []
    return Archive(good)[0]


def batch(sample: Sample) -> Array:
    """Return the tensor that a training step sees of one sample, (Z, Y, X)."""
    return np.asarray(collate([sample]).stack[0, 0])


def test_training_scoring_and_the_node_see_the_same_tensor(scan: Written, tmp_path: Path) -> None:
    """Bit by bit; training keeps half precision, to which the very same numbers are rounded."""
    manifest = write_manifest(tmp_path / "m.parquet", scan.paths)
    (row,) = read_table(manifest, "test")

    seen = served(scan.paths)

    assert scored(scan.folder).tobytes() == seen.tobytes()
    assert scored_row(manifest).tobytes() == seen.tobytes()
    kept = seen.astype(np.float16).astype(np.float32)
    assert batch(learned(scan.folder)).tobytes() == kept.tobytes()
    assert batch(learned_row(row, tmp_path / "cache")).tobytes() == kept.tobytes()


def test_nothing_is_mirrored(scan: Written) -> None:
    """What lies to the left, at the back and towards the head lies there in the tensor, too."""
    tensor = served(scan.paths)
    start = np.array([SHAPE[0] * SPACING_MM[0] / 2, 48 * 5.0, 48 * 5.0])  # mm to the middle

    def shown(place: NDArray[np.float64]) -> float:
        along = scan.directions.T @ (place - CENTRE_MM) + start
        return float(tensor[tuple((along / CLASSIFIER_SPACING_MM).astype(int))])

    for letter, value in MARKERS.items():
        there = marker_mm(letter)
        mirrored = 2 * np.array(CENTRE_MM) - there
        assert shown(there) == pytest.approx(np.interp(value, CT_HU, CT_LEVELS), abs=0.02), letter
        assert shown(mirrored) == pytest.approx(np.interp(BODY_HU, CT_HU, CT_LEVELS), abs=0.02)


@pytest.mark.parametrize("letters", ["LPH", "RAH", "RAF"])
def test_slices_are_labelled_where_they_are_shown(letters: str, tmp_path: Path) -> None:
    """A mask towards the head is learned there, whichever way file and mask are stored."""
    write_nifti(tmp_path / "liver" / f"{NAME}_ct.nii.gz", letters)
    write_nifti(tmp_path / "liver" / f"{NAME}_liver.nii.gz", "RPF", mask="H")
    row = f"{NAME},liver pair,2,CT,CT,,,liver,,made,none,train"
    (tmp_path / "MANIFEST.csv").write_text(f"{HEAD}\n{row}\n", encoding="utf-8")

    sample = learned(tmp_path)

    level = np.interp(MARKERS["H"], CT_HU, CT_LEVELS)
    shown = np.asarray(np.isclose(sample.image, level, atol=0.02)).any(axis=(1, 2))
    said = sample.slices[:, list(Region).index(Region.LIVER)] == 1
    middle = len(sample.image) / 2 - 0.5
    assert np.flatnonzero(said).mean() - middle == pytest.approx(OFF_MM["H"] / 4, abs=1)
    assert np.abs(np.flatnonzero(said)[[0, -1]] - np.flatnonzero(shown)[[0, -1]]).max() <= 1


@pytest.mark.parametrize("letters", ["LPH", "RAH", "RAF", "PHR"])
def test_the_liver_network_learns_what_it_is_shown(letters: str, tmp_path: Path) -> None:
    """A pair of NIfTI files, to training, scoring and `radnet segment`; the mask lies on it."""
    ct = write_nifti(tmp_path / "liver" / f"{NAME}_ct.nii.gz", letters, grid=FINE)
    write_nifti(tmp_path / "liver" / f"{NAME}_liver.nii.gz", "LAH", mask="L", grid=FINE)
    row = f"{NAME},liver pair,2,CT,CT,,,liver,,made,none,"
    (tmp_path / "MANIFEST.csv").write_text(f"{HEAD}\n{row}train\n", encoding="utf-8")

    (case,) = real_cases(tmp_path, frozenset({"train"}))
    (tmp_path / "MANIFEST.csv").write_text(f"{HEAD}\n{row}test only\n", encoding="utf-8")
    scoring_spy, serving_spy = SpySegmenter(), SpySegmenter()
    list(scoring.reports([tmp_path], classifier(Spy()), scoring_spy, [], Strangers()).reports)
    serving_spy.segment(read_scan_file(ct, "CT").volume())

    assert case.hounsfield.tobytes() == serving_spy.seen[0].tobytes()
    assert case.hounsfield.tobytes() == scoring_spy.seen[0].tobytes()
    _refuse_mirrored(case)


@pytest.mark.parametrize(
    ("letters", "turn"),
    [("HPL", None), ("FPL", None), ("LFP", None), ("HAR", None), ("HPL", OBLIQUE)],
)
def test_the_liver_network_learns_what_the_node_shows_it(
    letters: str, turn: NDArray[np.float64] | None, tmp_path: Path
) -> None:
    """A DICOM series of a manifest with a mask beside it, and the node's reading of the same."""
    paths = write_series(tmp_path / "series", letters, turn, grid=FINE)
    mask = write_nifti(tmp_path / "mask.nii.gz", "LAH", mask="L")
    manifest = write_manifest(tmp_path / "m.parquet", paths, mask)
    spy = SpySegmenter()

    (case,) = table_cases(manifest, "test")
    spy.segment(read_source(paths).volume)

    assert case.hounsfield.tobytes() == spy.seen[0].tobytes()
    _refuse_mirrored(case)


def _refuse_mirrored(case: Case) -> None:
    """Check that the left marker, which the mask names, is to the left of the body."""
    marker = np.argwhere(case.liver > 0.9)
    assert len(marker) > 100
    assert np.median(case.hounsfield[tuple(marker.T)]) == pytest.approx(MARKERS["L"], abs=1)
    middle = (np.array(case.liver.shape) - 1) / 2
    off = (marker.mean(axis=0) - middle) * LIVER_SPACING_MM  # of rows to the head, back and left
    assert off == pytest.approx([0, 0, OFF_MM["L"]], abs=4)
