"""What OHIF shows of segments and reports to a radiologist who knows nothing of either."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from node.classify.recognition_report import SERIES_DESCRIPTION, build_recognition_report
from node.segment.liver import encode, segment_liver
from radnet.labels.vocabulary import Region
from tests.made_ct import SERIES, STUDY, MadeModel, edition, lopsided, nothing, write_ct
from tests.made_findings import findings, recognised, study
from tests.peers import RunningOrthanc
from tests.viewer_page import WAIT_MS, OpenedPage, opened

pytestmark = [pytest.mark.slow, pytest.mark.orthanc, pytest.mark.viewer]

LISTED: Final = """description => window.services?.displaySetService
  ?.getActiveDisplaySets().some(set => set.SeriesDescription === description)"""
HUNG: Final = """() => {
  const { cornerstoneViewportService, viewportGridService } = window.services;
  const ids = [...viewportGridService.getState().viewports.keys()];
  const viewports = ids.map(id => cornerstoneViewportService.getCornerstoneViewport(id));
  return viewports.every(viewport => viewport && viewport.getCurrentImageIdIndex() >= 0
    && (!viewport.getCornerstoneImage || viewport.getCornerstoneImage()));
}"""
OPEN: Final = """description => {
  const { displaySetService, viewportGridService } = window.services;
  const { displaySetInstanceUID } = displaySetService.getActiveDisplaySets()
    .find(set => set.SeriesDescription === description);
  const [viewportId] = viewportGridService.getState().viewports.keys();
  viewportGridService.setDisplaySetsForViewport(
    { viewportId, displaySetInstanceUIDs: [displaySetInstanceUID] });
}"""


def _report(page: OpenedPage, description: str) -> str:
    """Open a series of reports in the first viewport and return the text that is shown."""
    page.page.wait_for_function(LISTED, arg=description, timeout=WAIT_MS)
    page.page.wait_for_function(
        HUNG, timeout=WAIT_MS
    )  # else OHIF complains of images that it still waits for
    page.page.evaluate(OPEN, description)
    report = page.page.locator("div.overflow-auto", has_text="1. ").first
    report.get_by_text("Observer Type").wait_for(timeout=WAIT_MS)
    return report.inner_text()


def test_the_volume_is_read_in_the_list_of_segments(
    orthanc: RunningOrthanc, viewer: str, tmp_path: Path
) -> None:
    """And in the report, which OHIF by itself opens black (OHIF/Viewers#3390)."""
    paths = write_ct(tmp_path / "ct")
    result = segment_liver(paths, MadeModel(lopsided), edition(1))
    assert result.seg is not None
    scan = [path.read_bytes() for path in paths]
    orthanc.store(*scan, encode(result.seg), encode(result.report))

    with opened(viewer, STUDY) as page:
        page.wait_for_overlay("ct+seg")
        labels = page.page.evaluate(
            """() => Object.values(window.services.segmentationService.getSegmentations()[0]
                 .segments).map(segment => segment.label)"""
        )
        text = _report(page, "Liver volume (3D-RADNet)")
        page.keep_picture("liver-report")

    assert "Liver 2.3 mL" in labels
    assert "Volume: 2.34 ml" in text
    assert (page.errors, page.foreign) == ([], [])


def test_a_scan_without_a_liver_says_so(
    orthanc: RunningOrthanc, viewer: str, tmp_path: Path
) -> None:
    """A coded negative is an answer, too."""
    paths = write_ct(tmp_path / "ct")
    negative = segment_liver(paths, MadeModel(nothing), edition(1)).report
    orthanc.store(*(path.read_bytes() for path in paths), encode(negative))

    with opened(viewer, STUDY) as page:
        text = _report(page, "Liver volume (3D-RADNet)")

    assert "Presence: Absent" in text
    assert (page.errors, page.foreign) == ([], [])


def test_the_latest_recognition_report_is_the_one_that_is_read(
    orthanc: RunningOrthanc, viewer: str, tmp_path: Path
) -> None:
    """OHIF by itself shows the first of a series; markup in a description is only text."""
    paths = write_ct(tmp_path / "ct")
    scan = replace(
        recognised(
            4,
            *findings(sequence=None, coverage=(Region.LIVER,)),
            modality="CT",
            description="<img src=x onerror=alert(1)>",
        ),
        series_instance_uid=SERIES,
        sop_instance_uid=f"{SERIES}.1",
    )
    first = build_recognition_report(study(scan), edition(1))
    later = recognised(5, *findings(), description="AX T2 FLAIR")
    second = build_recognition_report(study(scan, later), edition(2), [first])
    orthanc.store(*(path.read_bytes() for path in paths), encode(first), encode(second))

    with opened(viewer, STUDY) as page:
        dialogs: list[str] = []
        page.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        text = _report(page, SERIES_DESCRIPTION)
        page.keep_picture("recognition-report")
        images = page.page.locator('img[src="x"]').count()

    assert "Tracking Identifier: Series 5: AX T2 FLAIR" in text
    assert "Modality or MR weighting: Unknown" in text
    assert "Target Region: Liver" in text
    assert "Series 4: <img src=x onerror=alert(1)>" in text
    assert (dialogs, images) == ([], 0)
    assert (page.errors, page.foreign) == ([], [])
