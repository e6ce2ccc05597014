"""Coerced images at real peers: filled there, valid there, and as received everywhere else."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from node.audit.custody import changed_files
from node.deliver.association import Peer
from node.deliver.coerced import Coercion
from node.deliver.coercion import Fillable
from node.deliver.destination import Destination, OutboundInstance
from node.deliver.dicomweb import DicomwebSender
from node.deliver.dimse import DimseSender
from node.deliver.folder import FolderSender
from node.deliver.orthanc import OrthancSender
from node.derived.coercion import Stamp
from node.pipeline.coercing import BatchCoercion
from radnet.phantom.study import write_phantom_study
from tests.abdomen_findings import findings_of
from tests.bench import Bench, slices
from tests.made_ct import SERIES, STUDY
from tests.node_process import wait_for
from tests.outbound import series, states
from tests.peers import RunningOrthanc, free_port, running_storescp

DESCRIPTION = "3D-RADNet: CT axial contrast"


def coerced(items: list[OutboundInstance]) -> list[OutboundInstance]:
    """Return instances that are coerced on their way, as the pipeline prepares them."""
    of = BatchCoercion({item.sop_instance_uid: _coercion(item) for item in items})
    return [replace(item, prepared=of.prepared(item.sop_instance_uid)) for item in items]


def _coercion(item: OutboundInstance) -> Coercion:
    return Coercion(
        item.sop_instance_uid,
        item.sop_class_uid,
        item.transfer_syntax_uid,
        findings_of(coverage=["liver", "kidney"]),
        list(Fillable),
        Stamp(1_700_000_000.0, "SCANNER"),
    )


def _stored(path: Path) -> OutboundInstance:
    ds = dcmread(path, stop_before_pixels=True)
    syntax = str(ds.file_meta.TransferSyntaxUID)
    return OutboundInstance(str(ds.SOPInstanceUID), str(ds.SOPClassUID), syntax, path)


@pytest.mark.dcmtk
@pytest.mark.parametrize(
    ("stored", "option", "arrives"),
    [
        (ExplicitVRLittleEndian, "+x=", ExplicitVRLittleEndian),
        (ImplicitVRLittleEndian, "+xi", ImplicitVRLittleEndian),
        (RLELossless, "+xa", RLELossless),
        (RLELossless, "+x=", ExplicitVRLittleEndian),
    ],
    ids=["explicit", "implicit", "compressed", "decompressed"],
)
def test_storescp_gets_attributes_filled(
    tmp_path: Path, dcmtk: dict[str, str], stored: UID, option: str, arrives: UID
) -> None:
    """In the syntax it takes; also where the pixels must be decoded for it."""
    sent = series(tmp_path / "in", 3, stored)
    before = [item.path.read_bytes() for item in sent]
    port = free_port()

    with running_storescp(dcmtk["storescp"], tmp_path / "out", port, option):
        peer = Peer("STORESCP", "127.0.0.1", port, "RADNODE", connect_s=10, response_s=10)
        outcomes = list(DimseSender("storescp", peer).send(coerced(sent)))

    received = [dcmread(path) for path in (tmp_path / "out").iterdir()]
    assert states(outcomes) == ["delivered"] * 3
    assert [item.path.read_bytes() for item in sent] == before
    assert {ds.SOPInstanceUID for ds in received} == {item.sop_instance_uid for item in sent}
    for ds in received:
        original = next(item for item in sent if item.sop_instance_uid == ds.SOPInstanceUID)
        assert (ds.BodyPartExamined, ds.SeriesDescription) == ("ABDOMEN", DESCRIPTION)
        assert ds.OriginalAttributesSequence[0].ReasonForTheAttributeModification == "COERCE"
        assert ds.file_meta.TransferSyntaxUID == arrives
        assert (ds.pixel_array == dcmread(original.path).pixel_array).all()


def _orthanc_rest(orthanc: RunningOrthanc) -> Destination:
    return OrthancSender("orthanc", orthanc.url)


def _orthanc_stow(orthanc: RunningOrthanc) -> Destination:
    return DicomwebSender("web", orthanc.dicomweb_url)


@pytest.mark.orthanc
@pytest.mark.parametrize("sender", [_orthanc_rest, _orthanc_stow], ids=["REST", "STOW-RS"])
def test_orthanc_shows_and_finds_what_was_filled(
    tmp_path: Path, orthanc: RunningOrthanc, sender: Callable[[RunningOrthanc], Destination]
) -> None:
    """As main tags of the series, which a worklist or a viewer asks for."""
    sent = series(tmp_path, 2)

    outcomes = list(sender(orthanc).send(coerced(sent)))

    assert states(outcomes) == ["delivered"] * 2
    (found,) = orthanc.post(
        "/tools/find",
        {"Level": "Series", "Query": {"BodyPartExamined": "ABDOMEN"}, "Expand": True},
    )
    assert found["MainDicomTags"]["SeriesDescription"] == DESCRIPTION
    held = orthanc.file(sent[0].sop_instance_uid)
    with coerced(sent)[0].file() as again:
        assert held == again.read_bytes()


def test_a_folder_gets_the_same_file_twice(tmp_path: Path) -> None:
    """Whole, with a File Meta Information of our own."""
    sent = series(tmp_path / "in", 1)
    out = tmp_path / "out"

    list(FolderSender("folder", out).send(coerced(sent)))
    (path,) = out.iterdir()
    first = path.read_bytes()
    list(FolderSender("folder", out).send(coerced(sent)))

    assert path.read_bytes() == first
    assert dcmread(path).BodyPartExamined == "ABDOMEN"


def _errors(program: str, path: Path) -> set[str]:
    """Return the errors that dciodvfy names."""
    done = subprocess.run(
        [program, str(path)], capture_output=True, text=True, check=False, errors="replace"
    )
    lines = (done.stdout + done.stderr).splitlines()
    assert lines, "dciodvfy said nothing, not even the IOD"
    return {line for line in lines if line.startswith("Error")}


def _emptied(path: Path, folder: Path) -> OutboundInstance:
    """Return a copy without the two attributes; as it is where they are not there anyway."""
    ds = dcmread(path)
    for keyword in Fillable:
        ds.pop(keyword, None)
    copy = folder / f"{ds.SOPInstanceUID}.dcm"
    ds.save_as(copy)
    return _stored(copy)


@pytest.mark.dcmtk
def test_a_made_up_study_stays_valid(dcmtk: dict[str, str], tmp_path: Path) -> None:
    """By the letter of PS3.3, with both attributes filled."""
    paths = write_phantom_study(tmp_path / "study", 5)

    for path in paths[:1] + paths[-1:]:
        (item,) = coerced([_emptied(path, tmp_path)])
        with item.file() as filled:
            assert dcmread(filled).BodyPartExamined == "ABDOMEN"
            assert _errors(dcmtk["dciodvfy"], filled) <= _errors(dcmtk["dciodvfy"], item.path)


@pytest.mark.dcmtk
@pytest.mark.real_data
def test_images_of_real_scanners_get_no_new_errors(dcmtk: dict[str, str], tmp_path: Path) -> None:
    """Fifteen vendors' files, compressed and in big endian order too, as they came."""
    folders = sorted((Path(os.environ["RADNET_REAL_DATA"]) / "dicom").iterdir())
    changed = 0
    for folder in folders:
        stored = _stored(min(folder.glob("*.dcm")))
        (item,) = coerced([stored])
        with item.file() as filled:
            if filled == stored.path:
                continue
            changed += 1
            before, after = dcmread(stored.path), dcmread(filled)
            assert all(after[element.tag] == element for element in before if not element.is_empty)
            errors = _errors(dcmtk["dciodvfy"], filled) - _errors(dcmtk["dciodvfy"], stored.path)
            assert errors == set(), folder.name
    assert changed >= 5


def test_custody_is_proven_and_the_pipeline_fills_what_it_found(bench: Bench) -> None:
    """From the first slice to the ledger: the images of the series, not the SEG and the SR."""
    terms = bench.worker.delivering.terms
    assert isinstance(terms, dict)
    terms["pacs"] = replace(terms["pacs"], coerce=frozenset(Fillable))
    bench.receive(*slices(*range(6)))
    bench.tick(3)
    wait_for(lambda: len(bench.pacs.sent) == 8 and bench.nothing_pending(), "everything", 60)

    images = [ds for ds in bench.pacs.sent if ds.SeriesInstanceUID == SERIES]
    assert [ds.get("BodyPartExamined") for ds in images] == ["LIVER"] * 6
    others = [ds for ds in bench.pacs.sent if ds.SeriesInstanceUID != SERIES]
    assert len(others) == 2
    assert not any("OriginalAttributesSequence" in ds for ds in others)
    ledger = bench.catalog.ledger
    assert ledger.proof().broken == ""
    entries = list(ledger.entries())
    assert list(changed_files(bench.catalog, bench.files, entries)) == []
    assert sum(entry.event == "coerced" for entry in ledger.history(STUDY)) == 6
