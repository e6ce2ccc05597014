"""The main job with real peers: storescu sends a real CT, Orthanc ends with its SEG and SR."""

import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, SegmentationStorage

from node.identity import is_own_output
from node.views.studies import page_of_studies
from radnet.volume.series import read_volume
from tests.node_process import NodeProcess, running, wait_for
from tests.pacs_settings import SEGMENT_LIVER, by_c_store, everything_to
from tests.peers import NO_NAGLE, RunningOrthanc

REPORTS = (ComprehensiveSRStorage, Comprehensive3DSRStorage)


@pytest.fixture
def node(tmp_path: Path, orthanc: RunningOrthanc) -> Iterator[NodeProcess]:
    """Run a node that sends everything to Orthanc and labels it there."""
    labels = f"""
[[destinations]]
name = "labels"
kind = "orthanc"
url = "{orthanc.url}"
"""
    rules = everything_to("pacs", "labels") + SEGMENT_LIVER
    text = by_c_store(orthanc) + labels + rules
    with running(tmp_path, text) as process:
        yield process


def held(orthanc: RunningOrthanc) -> list[Dataset]:
    """Return everything Orthanc holds, without pixels."""
    return [
        pydicom.dcmread(io.BytesIO(orthanc.file(uid)), stop_before_pixels=True)
        for uid in orthanc.sop_instance_uids()
    ]


@pytest.mark.slow
@pytest.mark.dcmtk
@pytest.mark.orthanc
@pytest.mark.real_data
def test_orthanc_holds_segmentation_and_report_of_a_real_ct(
    real_data: Path,
    dcmtk: dict[str, str],
    orthanc: RunningOrthanc,
    node: NodeProcess,
    tmp_path: Path,
) -> None:
    """The promise of the whole project, on a scan with a liver in it."""
    folder = real_data / "dicom" / "ct_abdomen_hcc015_recon"
    sources = sorted(folder.glob("*.dcm"))

    subprocess.run(
        [dcmtk["storescu"], "-R", "+sd", "-aec", "RADNODE", "127.0.0.1", str(node.port), folder],
        check=True,
        env=os.environ | NO_NAGLE,
    )
    wait_for(
        lambda: len(orthanc.sop_instance_uids()) >= len(sources) + 3, "SEG and SRs at Orthanc"
    )

    everything = held(orthanc)
    segmentations = [ds for ds in everything if ds.SOPClassUID == SegmentationStorage]
    reports = [ds for ds in everything if ds.SOPClassUID in REPORTS]
    assert len(segmentations) == 1
    assert len(reports) == 2  # on the liver, and on what was recognised
    assert len(everything) == len(sources) + 3
    assert len({ds.StudyInstanceUID for ds in everything}) == 1
    assert all(is_own_output(ds) for ds in (*segmentations, *reports))

    for made in (*segmentations, *reports):
        path = tmp_path / f"{made.SOPInstanceUID}.dcm"
        path.write_bytes(orthanc.file(made.SOPInstanceUID))
        judged = subprocess.run(
            [dcmtk["dciodvfy"], path], check=False, capture_output=True, text=True
        )
        assert "Error" not in judged.stdout + judged.stderr

    volume = read_volume(sources)
    read_back = hd.seg.segread(tmp_path / f"{segmentations[0].SOPInstanceUID}.dcm").get_volume(
        combine_segments=True
    )
    on_source = read_back.match_geometry(volume)
    litres = np.count_nonzero(on_source.array) * volume.voxel_volume / 1e6
    assert on_source.spatial_shape == volume.spatial_shape
    assert np.count_nonzero(on_source.array) == np.count_nonzero(read_back.array)
    assert 0.5 < litres < 4.0

    wait_for(lambda: len(labelled(orthanc)) == 1, "labels at Orthanc")
    assert {"radnet-CT", "radnet-liver"} <= set(labelled(orthanc)[0])
    assert all(label.startswith("radnet-") for label in labelled(orthanc)[0])


def labelled(orthanc: RunningOrthanc) -> list[list[str]]:
    """Return the labels of every series that has some."""
    found: list[list[str]] = []
    for series in orthanc.get("/series"):
        labels = orthanc.get(f"/series/{series}/labels")
        if labels:
            found.append([str(label) for label in labels])
    return found


@pytest.mark.slow
@pytest.mark.orthanc
def test_own_output_that_comes_back_is_not_processed_again(
    orthanc: RunningOrthanc, node: NodeProcess, real_data: Path, dcmtk: dict[str, str]
) -> None:
    """Promise 9: a PACS that forwards our SEG must not start a loop."""
    folder = real_data / "dicom" / "ct_abdomen_hcc015_recon"
    env = os.environ | NO_NAGLE
    target = ["-aec", "RADNODE", "127.0.0.1", str(node.port)]
    subprocess.run([dcmtk["storescu"], "-R", "+sd", *target, folder], check=True, env=env)
    count = len(list(folder.glob("*.dcm"))) + 2
    wait_for(lambda: len(orthanc.sop_instance_uids()) >= count, "SEG and SR at Orthanc")
    before = orthanc.sop_instance_uids()

    for ds in held(orthanc):
        if is_own_output(ds):
            path = node.config.parent / "back.dcm"
            path.write_bytes(orthanc.file(ds.SOPInstanceUID))
            subprocess.run([dcmtk["storescu"], "-R", *target, path], check=True, env=env)

    (study,) = page_of_studies(node.catalog).studies
    series = node.catalog.studies.series_of(study.study_instance_uid)
    assert [one.revision for one in series if one.instance_count > 2] == [1]
    assert not node.catalog.studies.unsettled()
    assert orthanc.sop_instance_uids() == before
