"""What a STOW-RS server says of instances, in JSON and XML, and what is no answer."""

import json

import pytest

from node.deliver.stow_answer import holds, statuses
from tests.http_peer import NATIVE, item, response, xml, xml_item


@pytest.mark.parametrize("space", ["", f' xmlns="{NATIVE}" xml:space="preserve"'])
def test_xml_is_heard_as_json_is(space: str) -> None:
    """A server may answer in what we did not ask for; failures in it count."""
    stored = xml_item("1.1") + xml_item("1.2", "00081196", 0xB000)
    failed = xml_item("1.3", "00081197", 0xA700) + xml_item("1.4")
    heard = {"1.1": 0, "1.2": 0xB000, "1.3": 0xA700, "1.4": 0x0110}
    same = response(
        [item("1.1"), item("1.2", warning=0xB000)], [item("1.3", failure=0xA700), item("1.4")]
    )

    assert statuses(xml(stored, failed, space)) == heard
    assert statuses(json.dumps(same).encode()) == heard
    assert statuses(b"\xef\xbb\xbf" + xml(stored, failed, space)) == heard


def test_an_instance_in_both_sequences_has_failed() -> None:
    """The careful one of two statements counts."""
    both = response([item("1.1")], [item("1.1", failure=0xC000)])

    assert statuses(json.dumps(both).encode()) == {"1.1": 0xC000}
    assert statuses(xml(xml_item("1.1"), xml_item("1.1"))) == {"1.1": 0x0110}


def test_a_failure_whose_reason_is_success_is_a_failure() -> None:
    """It stands in the sequence of those that failed."""
    odd = response([], [item("1.1", failure=0)])

    assert statuses(json.dumps(odd).encode()) == {"1.1": 0x0110}


def test_all_data_sets_of_a_list_count() -> None:
    """Some servers answer with one for each instance."""
    parts = [response([item("1.1")], []), response([], [item("1.2", failure=0xA700)])]

    assert statuses(json.dumps(parts).encode()) == {"1.1": 0, "1.2": 0xA700}


ENTITIES = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "1.1">]><NativeDicomModel>'
    b'<DicomAttribute tag="00081199" vr="SQ"><Item><DicomAttribute tag="00081155">'
    b"<Value>&a;</Value></DicomAttribute></Item></DicomAttribute></NativeDicomModel>"
)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b"[[]]",
        b"3",
        b'"stored"',
        b"<html>login</html>",
        b"<html><body>Please log in<br></body></html>",
        b"<NativeDicomModel>",
        b'{"00081199": {"Value": "1.1"}}',
        b'{"00081199": {"vr": "SQ", "Value": [{}]}}',
        b'{"00081199": {"vr": "SQ", "Value": [null]}}',
        b'{"00081199": []}',
        b'{"00081199":{"vr":"SQ","Value":[' * 5000,
        b"\xff\xfe\x00",
        ENTITIES,
        xml(failed='<Item number="1"/>'),
        xml('<Item number="1"/>'),
    ],
)
def test_what_names_no_instance_says_nothing(content: bytes) -> None:
    """And raises nothing: it comes from a stranger."""
    assert statuses(content) == {}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b'[{"00080018": {"vr": "UI", "Value": ["1.1"]}}]', True),
        (b'[{"00080018": {"vr": "UI", "Value": ["1.2"]}}]', False),
        (b"[]", False),
        (b"", None),
        (b"<html>1.1</html", None),
        (b"[1]", None),
    ],
)
def test_a_search_finds_an_instance_by_its_uid(content: bytes, found: bool | None) -> None:
    """None: whoever answered knows no QIDO-RS."""
    assert holds(content, "1.1") is found
