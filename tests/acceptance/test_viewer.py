"""What a radiologist sees who opens a study: OHIF on a real Orthanc, in a real browser."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import highdicom as hd
import httpx
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import SegmentationStorage, generate_uid

from node.segment.liver import encode, segment_liver
from radnet.phantom.study import write_phantom_study
from tests.made_ct import MADE, SERIES, STUDY, MadeModel, edition, lopsided, write_ct
from tests.node_process import running, wait_for
from tests.pacs_settings import SEGMENT_LIVER, by_c_store, everything_to
from tests.peers import NO_NAGLE, RunningOrthanc
from tests.viewer_page import OpenedPage, opened

pytestmark = [pytest.mark.slow, pytest.mark.orthanc, pytest.mark.viewer]

CAPTURE = "capture = true\n"
"""The contours as a picture: one image more, which hangs nowhere by itself."""
ODD = (251, 253)
"""Rows and columns."""


def _written(segmentation: bytes) -> dict[str, NDArray[np.uint8]]:
    """Return what a SEG says of each slice of its scan, [row, column] by SOP Instance UID."""
    read = hd.seg.segread(BytesIO(segmentation))
    uids = [source[2] for source in read.get_source_image_uids()]
    pixels = read.get_pixels_by_source_instance(uids, combine_segments=True)
    return {str(uid): plane.astype(np.uint8) for uid, plane in zip(uids, pixels, strict=True)}


def _mismatches(
    page: Mapping[str, NDArray[np.uint8]], written: Mapping[str, NDArray[np.uint8]]
) -> int:
    """Count the voxels that differ, of the same slices."""
    assert set(page) == set(written)
    return sum(int(np.count_nonzero(plane != written[uid])) for uid, plane in page.items())


def _without_trouble(page: OpenedPage) -> None:
    assert page.errors == []
    assert page.foreign == []


@pytest.mark.dcmtk
def test_a_ct_through_the_node_hangs_beside_its_liver(
    dcmtk: dict[str, str], orthanc: RunningOrthanc, viewer: str, tmp_path: Path
) -> None:
    """Sent by storescu; nothing is clicked, and each voxel in the page is one of the SEG."""
    sent = [pydicom.dcmread(path) for path in write_phantom_study(tmp_path / "study", 5)]
    study = str(sent[0].StudyInstanceUID)
    settings = by_c_store(orthanc) + CAPTURE + everything_to("pacs") + SEGMENT_LIVER
    with running(tmp_path, settings) as node:
        address = ["-aec", "RADNODE", "127.0.0.1", str(node.port)]
        subprocess.run(
            [dcmtk["storescu"], "-R", "+sd", *address, tmp_path / "study"],
            check=True,
            env=os.environ | NO_NAGLE,
        )
        wait_for(lambda: len(orthanc.sop_instance_uids()) >= len(sent) + 4, "SEG, SRs and capture")
    (segmentation,) = _segmentations(orthanc)

    with opened(viewer, study) as page:
        page.wait_for_overlay("ct+seg")

        written = _written(segmentation)
        assert _mismatches(page.labelmap(), written) == 0
        assert sum(int(plane.sum()) for plane in written.values()) > 10_000
        scan, beside = page.shown()
        assert (scan["id"], beside["id"]) == ("ct", "ct+seg")
        assert scan["series"] == beside["series"][:1]
        assert scan["slice"] == beside["slice"]
        assert scan["slice"] in _middle(sent, written)
        page.keep_picture("ct-and-liver")
        _without_trouble(page)


def _segmentations(orthanc: RunningOrthanc) -> list[bytes]:
    files = [orthanc.file(uid) for uid in orthanc.sop_instance_uids()]
    return [
        file
        for file in files
        if pydicom.dcmread(BytesIO(file), stop_before_pixels=True).SOPClassUID
        == SegmentationStorage
    ]


def _middle(sent: Sequence[Dataset], written: Mapping[str, NDArray[np.uint8]]) -> set[str]:
    """Return the SOP Instance UIDs of the slice, or two, amid those that hold liver."""
    liver = {uid for uid, plane in written.items() if plane.any()}
    held = [ds for ds in sent if ds.SOPInstanceUID in liver]
    held.sort(key=lambda ds: float(ds.ImagePositionPatient[2]))
    middle = held[(len(held) - 1) // 2 : len(held) // 2 + 1]
    return {str(ds.SOPInstanceUID) for ds in middle}


def test_of_two_segmentations_the_latest_hangs(
    orthanc: RunningOrthanc, viewer: str, tmp_path: Path
) -> None:
    """A late slice made a second one; the first stays in the PACS."""
    paths = write_ct(tmp_path / "ct")
    first = segment_liver(paths, MadeModel(lopsided), edition(1))
    later = replace(edition(2), made=MADE + timedelta(hours=1))
    second = segment_liver(paths, MadeModel(lambda shape: ~lopsided(shape)), later)
    assert first.seg is not None
    assert second.seg is not None
    scan = [path.read_bytes() for path in paths]
    orthanc.store(*scan, encode(first.seg), encode(second.seg))

    with opened(viewer, STUDY) as page:
        page.wait_for_overlay("ct+seg")

        assert _mismatches(page.labelmap(), _written(encode(second.seg))) == 0
        _without_trouble(page)


def _odd_size(ds: Dataset, index: int) -> None:
    """Give a slice rows and columns of which eight pixels never end with a row: an `Edit`."""
    ds.Rows, ds.Columns = ODD
    ds.PixelData = (np.indices(ODD).sum(axis=0) + index).astype("<u2").tobytes()


def _scattered(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return a body of voxels here and there, so that a bit in a wrong place is seen."""
    body: NDArray[np.bool_] = np.random.default_rng(7).random(shape) < 0.3
    return body


def test_frames_that_end_amid_an_octet_show_voxel_by_voxel(
    orthanc: RunningOrthanc, viewer: str, tmp_path: Path
) -> None:
    """PS3.5 8.1.1 packs bits across frames; a viewer that begins each at an octet garbles it."""
    paths = write_ct(tmp_path / "ct", _odd_size)
    found = segment_liver(paths, MadeModel(_scattered), edition(1)).seg
    assert found is not None
    assert (found.Rows * found.Columns) % 8
    orthanc.store(*(path.read_bytes() for path in paths), encode(found))

    with opened(viewer, STUDY) as page:
        page.wait_for_overlay("ct+seg")

        written = _written(encode(found))
        assert _mismatches(page.labelmap(), written) == 0
        assert all(plane.any() for plane in written.values())
        _without_trouble(page)


def test_a_study_we_know_nothing_of_opens_as_ohif_opens_it(
    orthanc: RunningOrthanc, viewer: str, tmp_path: Path
) -> None:
    """Neither does a SEG of ours hang whose scan is not there."""
    paths = write_ct(tmp_path / "ct")
    elsewhere = segment_liver(paths, MadeModel(lopsided), edition(1)).seg
    assert elsewhere is not None
    elsewhere.ReferencedSeriesSequence[0].SeriesInstanceUID = generate_uid()
    orthanc.store(*(path.read_bytes() for path in paths), encode(elsewhere))

    with opened(viewer, STUDY) as page:
        page.page.wait_for_function(
            """() => window.services?.cornerstoneViewportService
                 ?.getCornerstoneViewport('default')?.getCurrentImageIdIndex() >= 0"""
        )

        assert [view["series"] for view in page.shown()] == [[SERIES]]
        _without_trouble(page)


def test_the_list_of_studies_names_them(
    orthanc: RunningOrthanc, viewer: str, tmp_path: Path
) -> None:
    """As OHIF asks: with a list whose commas are percent-encoded."""
    slices = [pydicom.dcmread(path) for path in write_ct(tmp_path / "ct")]
    slices[0].StudyDescription = "ABDOMEN"
    orthanc.store(encode(slices[0]))

    answer = httpx.get(f"{viewer}/dicom-web/studies?includefield=00081030%2C00080060", timeout=30)

    (study,) = answer.json()
    assert study["00081030"]["Value"] == ["ABDOMEN"]
    bulk = httpx.get(
        f"{viewer}/dicom-web/studies/{STUDY}/series/{SERIES}/metadata", timeout=30
    ).text
    assert orthanc.url not in bulk
