"""A study that hangs by its recognition report: OHIF on a real Orthanc, nothing clicked."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage, MRImageStorage

from node.classify.recognition_report import build_recognition_report
from node.classify.study_findings import SeriesFindings, StudyFindings
from node.model.records import Finding
from node.segment.liver import encode, segment_liver
from radnet.labels.vocabulary import Contrast, Plane, Region, Sequence
from tests.made_ct import (
    AXIAL,
    SAGITTAL,
    SHAPE,
    STUDY,
    MadeModel,
    edition,
    lopsided,
    made_slice,
    write_ct,
)
from tests.made_findings import RULES, findings
from tests.peers import RunningOrthanc
from tests.viewer_page import WAIT_MS, OpenedPage, opened

pytestmark = [pytest.mark.slow, pytest.mark.orthanc, pytest.mark.viewer]

PRIOR: Final = f"{STUDY}.7"
SILENT: Final = (
    "SeriesDescription", "ProtocolName", "ScanningSequence", "SequenceVariant", "SequenceName",
    "ScanOptions", "EchoTime", "RepetitionTime", "InversionTime", "EchoTrainLength", "FlipAngle",
    "MRAcquisitionType", "ImageType",
)  # fmt: skip
DRAWN: Final = """ids => {
  const { viewportGridService, cornerstoneViewportService } = window.services ?? {};
  if (!viewportGridService?.serviceImplementation._getState) return false; // not set up yet
  const shown = [...viewportGridService.getState().viewports.keys()];
  return shown.join() === ids.join() && shown.every(id => {
    const viewport = cornerstoneViewportService.getCornerstoneViewport(id);
    return viewport?.getCurrentImageIdIndex() >= 0 && viewport.getCornerstoneImage();
  });
}"""


@dataclass(frozen=True)
class MadeSeries:
    """A series that a test makes, and what the node recognised of it."""

    number: int
    found: tuple[Finding, ...]
    modality: str = "MR"
    study: str = STUDY
    orientation: tuple[float, ...] = AXIAL
    header: Mapping[str, Any] = field(default_factory=dict)

    @property
    def uid(self) -> str:
        """Series Instance UID."""
        return f"{self.study}.1{self.number:02}"

    def images(self) -> Iterator[Dataset]:
        """Yield its slices."""
        for index in range(SHAPE[0]):
            ds = made_slice(index, self.orientation)
            ds.SOPClassUID = CTImageStorage if self.modality == "CT" else MRImageStorage
            ds.Modality, ds.StudyInstanceUID = self.modality, self.study
            ds.SeriesInstanceUID, ds.SeriesNumber = self.uid, self.number
            ds.SOPInstanceUID = f"{self.uid}.{index + 1}"
            for keyword, value in self.header.items():
                setattr(ds, keyword, value)
            ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
            yield ds


def _store(orthanc: RunningOrthanc, *instances: Dataset) -> None:
    orthanc.store(*map(encode, instances))


def _report(*series: tuple[Dataset, tuple[Finding, ...]]) -> Dataset:
    told = tuple(
        SeriesFindings(
            image.SeriesInstanceUID, image.SOPClassUID, image.SOPInstanceUID, found, image.Modality
        )
        for image, found in series
    )
    return build_recognition_report(StudyFindings(series[0][0], told, RULES), edition(1))


def _store_study(orthanc: RunningOrthanc, *series: MadeSeries) -> None:
    images = [list(made.images()) for made in series]
    _store(orthanc, *(image for slices in images for image in slices))
    _store(
        orthanc,
        _report(*zip((slices[0] for slices in images), (s.found for s in series), strict=True)),
    )


def _hung(page: OpenedPage, *viewports: str, name: str) -> list[str]:
    """Return the series that are drawn in these viewports, and keep a picture."""
    page.page.wait_for_function(DRAWN, arg=list(viewports), timeout=WAIT_MS)
    shown = page.shown()
    assert [view["id"] for view in shown] == list(viewports)
    page.keep_picture(name)
    assert (page.errors, page.foreign) == ([], [])
    return [view["series"][0] for view in shown]


def _brain(sequence: Sequence, contrast: Contrast = Contrast.NONCONTRAST) -> tuple[Finding, ...]:
    return findings(sequence, Plane.AXIAL, contrast, (Region.BRAIN,), ())


@pytest.mark.real_data
def test_a_brain_hangs_by_sequence_though_a_header_is_silent(
    orthanc: RunningOrthanc, viewer: str, real_data: Path
) -> None:
    """Real scans put into one study in another order; nothing names the sequence of one."""
    scans = {
        "mr_flair_rembrandt": Sequence.T2_FLAIR,
        "mr_t2_brain_adi": Sequence.T2,
        "mr_t1_ax_cptac": Sequence.T1,
    }
    series = []
    for number, (name, sequence) in enumerate(scans.items(), 1):
        for path in sorted((real_data / "dicom" / name).glob("*.dcm")):
            ds = pydicom.dcmread(path)
            ds.StudyInstanceUID, ds.StudyDate, ds.SeriesNumber = STUDY, "20260102", number
            ds.PatientID, ds.PatientName, ds.StudyDescription = "MADE", "Made^Up", "MRI HEAD"
            if sequence is Sequence.T2:
                for keyword in SILENT:
                    if keyword in ds:
                        delattr(ds, keyword)
            _store(orthanc, ds)
        series.append((ds, _brain(sequence)))
    _store(orthanc, _report(*series))
    flair, t2, t1 = (str(image.SeriesInstanceUID) for image, _ in series)

    with opened(viewer, STUDY) as page:
        assert _hung(page, "t1", "t2", "flair", name="brain-by-sequence") == [t1, t2, flair]


def test_four_sequences_hang_two_by_two(orthanc: RunningOrthanc, viewer: str) -> None:
    """T1, T1 with agent, T2, FLAIR; a doubtful second T2 does not."""
    flair, t2 = MadeSeries(1, _brain(Sequence.T2_FLAIR)), MadeSeries(3, _brain(Sequence.T2))
    agent = MadeSeries(4, _brain(Sequence.T1, Contrast.CONTRAST))
    t1 = MadeSeries(5, _brain(Sequence.T1))
    sure = t2.found[0]
    doubtful = Finding(sure.name, sure.value, 0.5, sure.source, {}, sure.model_sha256)
    other = MadeSeries(2, (doubtful, *t2.found[1:]))
    _store_study(orthanc, flair, other, t2, agent, t1)

    with opened(viewer, STUDY) as page:
        assert _hung(page, "t1", "t1-contrast", "t2", "flair", name="brain-two-by-two") == [
            t1.uid, agent.uid, t2.uid, flair.uid,
        ]  # fmt: skip


def test_a_liver_hangs_by_phase(orthanc: RunningOrthanc, viewer: str) -> None:
    """Noncontrast on the left, though it came last."""
    made = {
        contrast: findings(Sequence.CT, Plane.AXIAL, contrast, (Region.LIVER,), ())
        for contrast in Contrast
    }
    phase = MadeSeries(1, made[Contrast.CONTRAST], "CT")
    plain = MadeSeries(2, made[Contrast.NONCONTRAST], "CT")
    _store_study(orthanc, phase, plain)

    with opened(viewer, STUDY) as page:
        assert _hung(page, "noncontrast", "contrast", name="liver-by-phase") == [
            plain.uid,
            phase.uid,
        ]


def test_a_spine_hangs_sagittal(orthanc: RunningOrthanc, viewer: str) -> None:
    """T1 on the left; an axial T2 of the same spine does not hang."""

    def made(number: int, sequence: Sequence, plane: Plane) -> MadeSeries:
        found = findings(sequence, plane, None, (), (Region.PELVIS,))
        orientation = SAGITTAL if plane is Plane.SAGITTAL else AXIAL
        header = {"BodyPartExamined": "LSPINE"}
        return MadeSeries(number, found, orientation=orientation, header=header)

    axial = made(1, Sequence.T2, Plane.AXIAL)
    t2, t1 = made(2, Sequence.T2, Plane.SAGITTAL), made(3, Sequence.T1, Plane.SAGITTAL)
    _store_study(orthanc, axial, t2, t1)

    with opened(viewer, STUDY) as page:
        assert _hung(page, "t1", "t2", name="spine-sagittal") == [t1.uid, t2.uid]


def test_the_current_study_hangs_beside_the_prior(orthanc: RunningOrthanc, viewer: str) -> None:
    """Both are in the link, the older one first."""
    current = MadeSeries(1, _brain(Sequence.T2_FLAIR))
    prior = MadeSeries(3, _brain(Sequence.T2_FLAIR), study=PRIOR, header={"StudyDate": "20250102"})
    _store_study(orthanc, current, MadeSeries(2, _brain(Sequence.T2)))
    _store_study(orthanc, prior)

    with opened(viewer, f"{PRIOR},{STUDY}") as page:
        assert _hung(page, "current", "prior", name="current-and-prior") == [
            current.uid,
            prior.uid,
        ]


def test_two_segmentations_of_one_scan_and_one_of_a_scan_that_is_away(
    orthanc: RunningOrthanc, viewer: str, tmp_path: Path
) -> None:
    """The liver hangs beside its scan, phases or not; the stray one disturbs nothing."""
    paths = write_ct(tmp_path / "ct")
    made = [segment_liver(paths, MadeModel(lopsided), edition(number)).seg for number in (1, 2, 3)]
    first, second, stray = (segmentation for segmentation in made if segmentation is not None)
    stray.ReferencedSeriesSequence[0].SeriesInstanceUID = f"{STUDY}.66"
    stray.SeriesInstanceUID = f"{STUDY}.67"  # of a series OHIF takes the last instance
    scan = [pydicom.dcmread(path) for path in paths]
    _store(orthanc, *scan, first, second, stray)

    with opened(viewer, STUDY) as page:
        page.wait_for_overlay("ct+seg")
        series = str(scan[0].SeriesInstanceUID)
        assert _hung(page, "ct", "ct+seg", name="liver-and-stray") == [series, series]


HOSTILE: Final = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def test_a_hostile_report_of_300_series_hangs_nothing(
    orthanc: RunningOrthanc, viewer: str
) -> None:
    """Markup in every text, none of the series there: the study opens as OHIF opens it."""
    made = MadeSeries(1, _brain(Sequence.T1))
    images = list(made.images())
    report = pydicom.dcmread(BytesIO(encode(_report((images[0], made.found)))))
    measurements = report.ContentSequence[-1]
    (group,) = measurements.ContentSequence
    measurements.ContentSequence = [deepcopy(group) for _ in range(300)]
    _vandalize(report.ContentSequence)
    report.SeriesDescription = HOSTILE
    _store(orthanc, *images, report)

    with opened(viewer, STUDY) as page:
        dialogs: list[str] = []
        page.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        assert _hung(page, "default", name="hostile-report") == [made.uid]
        assert dialogs == []


def _vandalize(items: Any) -> None:
    for item in items:
        for keyword, value in {"TextValue": HOSTILE, "UID": "1.2.3.4"}.items():
            if keyword in item:
                setattr(item, keyword, value)
        for code in item.get("ConceptCodeSequence", []):
            code.CodeValue, code.CodeMeaning = "__proto__", HOSTILE
        _vandalize(item.get("ContentSequence", []))
