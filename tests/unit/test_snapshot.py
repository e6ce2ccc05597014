"""What the headers of a series agree on: odd values are left out, nobody is chosen at random."""

import struct
import unicodedata
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, FileMetaDataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian
from sqlalchemy import String

from node.identity import contributing_equipment
from node.model.headers import PATIENT_COLUMNS, HeaderSnapshot
from node.series.snapshot import KEYWORDS, LONGEST, snapshot_of
from node.store.tables import series_header
from node.upkeep.snapshots import read_snapshot


def header(**values: Any) -> Dataset:
    """Return a header with these values, odd ones as they are."""
    ds = Dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for keyword, value in values.items():
            setattr(ds, keyword, value)
    return ds


def own(**values: Any) -> Dataset:
    """Return the header of what a radnet-node made."""
    return header(ContributingEquipmentSequence=Items([contributing_equipment()]), **values)


def raw(folder: Path, charset: str, name: bytes, description: bytes = b"") -> Path:
    """Write a file whose text is these octets; return its path."""
    ds = header(
        SOPClassUID=CTImageStorage, SOPInstanceUID="1.2.3", SeriesInstanceUID="1.2"
    )  # fmt: skip
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = UID(CTImageStorage)
    ds.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    path = folder / "1.dcm"
    ds.save_as(path, enforce_file_format=True)
    whole = path.read_bytes()
    charset_at = whole.index(b"\x08\x00\x16\x00", 132)  # in front of SOP Class UID
    text_at = whole.index(b"\x20\x00\x0e\x00")  # in front of Series Instance UID
    path.write_bytes(
        whole[:charset_at]
        + element(0x0008, 0x0005, b"CS", charset.encode())
        + whole[charset_at:text_at]
        + element(0x0008, 0x103E, b"LO", description)
        + element(0x0010, 0x0010, b"PN", name)
        + whole[text_at:]
    )
    return path


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    """Return one element in Explicit VR Little Endian."""
    padded = value + b" " * (len(value) % 2)
    return struct.pack("<HH2sH", group, number, vr, len(padded)) + padded


@pytest.mark.parametrize(
    ("charset", "name", "text"),
    [
        ("ISO_IR 100", b"M\xfcller^\xc4nne", "Müller^Änne"),
        ("ISO_IR 192", "Yamada^Tarou=山田^太郎".encode(), "Yamada^Tarou=山田^太郎"),
        ("GB18030", "Wang^XiaoDong=王^小东".encode("gb18030"), "Wang^XiaoDong=王^小东"),
        (
            "\\ISO 2022 IR 87",  # PS3.5 Annex H.3.1
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B",
            "Yamada^Tarou=山田^太郎",
        ),
        (
            "\\ISO 2022 IR 149",  # PS3.5 Annex I.2
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7",
            "Hong^Gildong=洪^吉洞",
        ),
        ("ISO_IR 144", "Смирнов^Иван".encode("iso8859-5"), "Смирнов^Иван"),
    ],
)
def test_text_is_decoded_by_its_character_set(
    tmp_path: Path, charset: str, name: bytes, text: str
) -> None:
    """Whatever the scanner speaks, the rows are Unicode."""
    assert read_snapshot([raw(tmp_path, charset, name)]).patient_name == text


@pytest.mark.parametrize("charset", ["ISO_IR 192", "GB18030", "\\ISO 2022 IR 87", "NO SUCH", ""])
def test_what_cannot_be_decoded_is_kept_with_replacement(tmp_path: Path, charset: str) -> None:
    """The part that can be read is found; nothing is raised or warned of, which would quote it."""
    path = raw(tmp_path, charset, b"Meier\xff\xfe^Eva", b"Abdomen")

    found = read_snapshot([path])

    assert found.patient_name is not None
    assert "Meier" in found.patient_name
    assert found.series_description == "Abdomen"


def test_values_are_trimmed_and_cut_and_hold_no_control_characters() -> None:
    """No header moves the cursor of a terminal; PostgreSQL refuses NUL and surrogates."""
    found = snapshot_of(
        [
            header(
                PatientID=" 4711 \0", PatientName="Meier^Eva^^^", AccessionNumber="A" * 300,
                SeriesDescription="a\x1b[31m\x00b\r\nc", StudyDescription="x\udcffy\u202ez",
                ProtocolName="", StationName=["CT1", "CT2"],
            )
        ]
    )  # fmt: skip

    assert (found.patient_id, found.patient_name) == ("4711", "Meier^Eva")
    assert found.accession_number == "A" * LONGEST["SH"]
    assert found.series_description == "a[31mb c"
    assert found.study_description == "x\ufffdyz"
    assert found.protocol_name is None
    assert found.station_name == "CT1\\CT2"


@pytest.mark.parametrize(
    ("keyword", "value", "kept"),
    [
        ("StudyDate", "20261130", "20261130"),
        ("StudyDate", "2026.11.30", "20261130"),
        ("StudyDate", "20260231", None),
        ("StudyDate", "00000000", None),
        ("StudyDate", "yesterday", None),
        ("StudyDate", "20261130-20261201", None),
        ("PatientBirthDate", "0070", None),
        ("StudyTime", "235959.123456", "235959.123456"),
        ("StudyTime", "23:59:59", "235959"),
        ("StudyTime", "12", "12"),
        ("StudyTime", "2460", None),
        ("SeriesNumber", "401", 401),
        ("SeriesNumber", "99999999999", None),
        ("SeriesNumber", "-1", -1),
    ],
)
def test_dates_times_and_numbers_are_values_or_nothing(
    keyword: str, value: str, kept: object
) -> None:
    """A date is compared with others: text that is none would stand among them."""
    (column,) = [one for one, named in KEYWORDS.items() if named == keyword]

    assert getattr(snapshot_of([header(**{keyword: value})]), column) == kept


def test_two_patients_are_none_and_it_says_so() -> None:
    """Neither is chosen; what both share stays."""
    found = snapshot_of(
        [header(PatientID=one, PatientName=f"{one}^X", StudyDate="20261130") for one in "AB"]
    )

    assert (found.patient_id, found.patient_name) == (None, None)
    assert found.study_date == "20261130"
    assert found.differing == ("patient_id", "patient_name")


def test_who_has_no_identifier_beside_one_who_has_may_be_somebody_else() -> None:
    """Of a description that is missing, nobody would think so."""
    found = snapshot_of([header(PatientID="A", SeriesDescription="T1"), header()])

    assert found.patient_id is None
    assert found.series_description == "T1"
    assert found.differing == ("patient_id",)


def test_own_output_says_nothing_of_the_images_beside_it() -> None:
    """Unless there is nothing else."""
    images = [header(PatientID="A", StudyDescription="CT abdomen", Modality="CT")] * 2
    made = own(PatientID="A", StudyDescription="ours", Modality="SEG")

    beside, alone = snapshot_of([*images, made]), snapshot_of([made])

    assert (beside.study_description, beside.modality) == ("CT abdomen", "CT")
    assert (beside.own_output, beside.differing, beside.header_count) == (False, (), 3)
    assert (alone.study_description, alone.own_output) == ("ours", True)


def test_the_accession_number_is_that_of_the_request_where_the_header_has_none() -> None:
    """As the rules see it."""
    request = header(AccessionNumber="R-1")

    assert snapshot_of([header(RequestAttributesSequence=[request])]).accession_number == "R-1"
    both = header(RequestAttributesSequence=[request], AccessionNumber="A-1")
    assert snapshot_of([both]).accession_number == "A-1"


def test_nothing_to_read_is_nothing_said(tmp_path: Path) -> None:
    """A file that is torn, or gone."""
    torn = tmp_path / "torn.dcm"
    torn.write_bytes(b"no DICOM")

    assert read_snapshot([torn, tmp_path / "gone.dcm"]) == HeaderSnapshot()
    assert snapshot_of([]) == HeaderSnapshot()


@given(
    st.sampled_from(["ISO_IR 192", "ISO_IR 100", "GB18030", "\\ISO 2022 IR 87", "x"]),
    st.dictionaries(st.sampled_from(sorted(KEYWORDS.values())), st.binary(max_size=600)),
)
def test_whatever_octets_come_fit_their_column(charset: str, values: dict[str, bytes]) -> None:
    """PostgreSQL refuses longer text than a column has, and lone surrogates."""
    ds = header()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds.SpecificCharacterSet = charset.split("\\")
    for keyword, value in values.items():
        tag = Tag(keyword)
        ds[tag] = RawDataElement(tag, dictionary_VR(tag), len(value), value, 0, False, True)

    found = snapshot_of([ds])

    for column in KEYWORDS:
        value = getattr(found, column)
        if isinstance(value, str):
            column_type = series_header.c[column].type
            assert isinstance(column_type, String)
            assert len(value) <= (column_type.length or 0)
            assert not any(unicodedata.category(one) in ("Cc", "Cs") for one in value)


def test_every_patient_column_is_taken_from_the_header() -> None:
    """The list holds nothing that is not there."""
    assert set(PATIENT_COLUMNS) - {"patient_name_folded", "descriptions_folded"} <= set(KEYWORDS)
