"""HTTP servers whose answers are too long, come too slowly, or never end."""

import gzip
import json
import resource
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from node.deliver.destination import Destination, OutboundInstance
from node.deliver.dicomweb import DicomwebSender
from node.deliver.http import OPEN
from node.deliver.orthanc import OrthancSender
from node.errors import TransientDeliveryError
from tests.http_peer import item, octets, raw_server, response, xml, xml_item
from tests.listening import slowly
from tests.outbound import SERIES, STUDY, series, states

JSON = "Content-Type: application/dicom+json"
Make = Callable[[str], Destination]

SENDERS = pytest.mark.parametrize(
    "make",
    [
        lambda url: DicomwebSender("web", url, answer_s=0.5),
        lambda url: OrthancSender("orthanc", url, answer_s=0.5),
    ],
    ids=["STOW-RS", "Orthanc"],
)


def _bomb() -> bytes:
    """Return 100 MB of spaces before an object, as gzip: 100 kB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(b" " * (1 << 20)) for _ in range(100)) + packer.flush()


def _headers_without_end() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    yield from slowly(b"X-Wait: a little\r\n" * 50)


def _without_length() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    yield from slowly(b" " * 900)


def _body_without_end() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"
    yield from slowly(b" " * 900)


@SENDERS
@pytest.mark.parametrize("answer", [_headers_without_end, _without_length, _body_without_end])
def test_an_answer_by_octets_does_not_outlive_its_time(
    tmp_path: Path, make: Make, answer: Callable[[], Iterable[bytes]]
) -> None:
    """Each octet comes in time, and the answer never: the slot is for others."""
    with raw_server(answer) as (url, cut_off):
        outcomes = list(make(url).send(series(tmp_path, 2)))
        with pytest.raises(TransientDeliveryError, match="no answer"):
            make(url).check()
        cut_off.wait(30)

    assert states(outcomes) == ["retry", "retry"]
    assert "no answer" in outcomes[0].reason
    assert cut_off.is_set()


@SENDERS
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (octets(_bomb(), JSON, "Content-Encoding: gzip"), "inflated"),
        (octets(b" " * (8 << 20), JSON), "over"),
        (octets(b"{}", JSON, "Content-Encoding: br"), "coding"),
        (octets(b"{}", JSON, "Content-Encoding: gzip"), "inflated"),
    ],
    ids=["a bomb", "8 MiB", "brotli", "no gzip"],
)
def test_an_answer_that_is_too_long_is_none(
    tmp_path: Path, make: Make, answer: bytes, said: str
) -> None:
    """Three megabytes of gzip took three gigabytes of memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with raw_server(lambda: [answer]) as (url, _):
        outcomes = list(make(url).send(series(tmp_path, 2)))

    assert states(outcomes) == ["retry", "retry"]
    assert said in outcomes[0].reason
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB


def test_a_refusal_is_heard_whatever_its_page_is(tmp_path: Path) -> None:
    """Else one bad instance would keep the others with it, and never be refused."""
    with raw_server(lambda: [octets(b"x" * (2 << 20), status="400 Bad Request")]) as (url, _):
        outcomes = list(DicomwebSender("web", url).send(series(tmp_path, 2)))

    assert states(outcomes) == ["refused", "refused"]


def _stored(sent: list[OutboundInstance]) -> bytes:
    return json.dumps(response([item(one.sop_instance_uid) for one in sent], [])).encode()


def test_a_packed_answer_is_read(tmp_path: Path) -> None:
    """Not asked for, and harmless."""
    sent = series(tmp_path, 2)
    packed = gzip.compress(_stored(sent))
    with raw_server(lambda: [octets(packed, JSON, "Content-Encoding: gzip")]) as (url, _):
        outcomes = list(DicomwebSender("web", url).send(sent))

    assert states(outcomes) == ["delivered", "delivered"]


def test_an_answer_in_xml_is_heard(tmp_path: Path) -> None:
    """It counted as success, whatever it said."""
    first, second = series(tmp_path, 2)
    said = xml(xml_item(first.sop_instance_uid), xml_item(second.sop_instance_uid))
    kind = "Content-Type: application/dicom+xml"
    with raw_server(lambda: [octets(said, kind)]) as (url, _):
        outcomes = list(DicomwebSender("web", url).send([first, second]))

    assert states(outcomes) == ["delivered", "retry"]
    assert "0110" in outcomes[1].reason


@pytest.mark.parametrize("content", [b"[]", b"{}", b"null", b"[null]", b"3", b"<html/>"])
def test_what_is_no_orthanc_is_tagged_later(content: bytes) -> None:
    """Whatever stands at that address today."""
    with (
        raw_server(lambda: [octets(content)]) as (url, _),
        pytest.raises(TransientDeliveryError),
    ):
        OrthancSender("orthanc", url, OPEN).tag(STUDY, SERIES, {}, ["CT"])
