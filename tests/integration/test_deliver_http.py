"""STOW-RS and Orthanc's REST API: the real Orthanc, and servers that answer badly."""

import json
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread
from pydicom.uid import RLELossless

from node.deliver.destination import OutboundInstance
from node.deliver.dicomweb import DicomwebSender
from node.deliver.http import Access
from node.deliver.orthanc import OrthancSender
from node.errors import PermanentDeliveryError, TransientDeliveryError
from node.settings.secret import Credentials, Secret
from tests.http_peer import http_server, item, response
from tests.outbound import SERIES, STUDY, ct_slice, series, states, written
from tests.peers import RunningOrthanc, free_port, running_orthanc


def test_stow_hears_each_instance_out_of_one_answer(tmp_path: Path) -> None:
    """202 and 409 tell in their body which instances were stored; the others say why not."""
    sent = series(tmp_path, 6)
    uids = [item.sop_instance_uid for item in sent]
    body = response(
        [item(uids[0]), item(uids[1], warning=0xB000)],
        [item(uids[2], failure=0xC122), item(uids[3], failure=0xA700), item(uids[4])],
    )

    with http_server(lambda path, content: (202, body)) as url:
        outcomes = list(DicomwebSender("web", url).send(sent))

    assert [outcome.sop_instance_uid for outcome in outcomes] == uids
    assert states(outcomes) == ["delivered", "delivered", "refused", "retry", "retry", "retry"]
    assert "coerced" in outcomes[1].reason
    assert "not confirmed" in outcomes[5].reason


def test_stow_200_with_an_incomplete_list_leaves_the_rest_in_doubt(tmp_path: Path) -> None:
    """Two statements that disagree: the careful one counts, and sending again is harmless."""
    sent = series(tmp_path, 2)
    body = response([item(sent[0].sop_instance_uid)], [])

    with http_server(lambda path, content: (200, body)) as url:
        outcomes = list(DicomwebSender("web", url).send(sent))

    assert states(outcomes) == ["delivered", "retry"]


@pytest.mark.parametrize(
    ("status", "state"),
    [(409, "refused"), (400, "refused"), (401, "retry"), (404, "retry"), (503, "retry")],
)
def test_stow_without_a_body_goes_by_the_http_status(
    tmp_path: Path, status: int, state: str
) -> None:
    """A proxy answers in place of the server, and knows no DICOM."""
    with http_server(lambda path, content: (status, None)) as url:
        outcomes = list(DicomwebSender("web", url).send(series(tmp_path, 2)))

    assert states(outcomes) == [state, state]
    assert str(status) in outcomes[0].reason


@pytest.mark.parametrize(
    ("searched", "state"),
    [
        ((200, "found"), "delivered"),
        ((200, []), "retry"),
        ((204, None), "retry"),
        ((404, None), "retry"),
        ((200, b"<html>Please log in.</html>"), "retry"),
        ((200, {"error": "session expired"}), "retry"),
    ],
)
@pytest.mark.parametrize("status", [200, 202])
def test_stow_that_names_no_instance_is_believed_where_a_search_finds_it(
    tmp_path: Path, searched: tuple[int, object], state: str, status: int
) -> None:
    """Some servers answer 200 and nothing else; so does a portal that has stored nothing."""
    sent = series(tmp_path, 2)

    def answer(path: str, body: bytes) -> tuple[int, object]:
        if body:
            return status, None
        uid = path.partition("SOPInstanceUID=")[2]
        assert path.startswith("/instances?")
        found = [{"00080018": {"vr": "UI", "Value": [uid]}}]
        return searched[0], found if searched[1] == "found" else searched[1]

    with http_server(answer) as url:
        outcomes = list(DicomwebSender("web", url).send(sent))

    assert states(outcomes) == [state, state]
    assert "QIDO" in outcomes[0].reason if state == "delivered" else "no instance"


@pytest.mark.parametrize(
    "content",
    [
        b"<html><body>Please log in.</body></html>",
        b"{",
        [],
        {},
        [None],
        "stored",
        {"error": "session expired"},
        {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [42752]}}]}},
        {"00081199": {"vr": "SQ", "Value": [{"00081196": {"vr": "US", "Value": [1e400]}}]}},
    ],
    ids=[
        *["a page", "half an object", "nothing", "an empty object", "null", "a text"],
        *["another object", "a failure without UID", "no number"],
    ],
)
def test_stow_200_with_something_else_than_an_answer_is_not_believed(
    tmp_path: Path, content: object
) -> None:
    """A portal between us and the archive says 200 as well, and stores nothing."""
    with http_server(lambda path, _content: (200, content)) as url:
        outcomes = list(DicomwebSender("web", url).send(series(tmp_path, 2)))

    assert states(outcomes) == ["retry", "retry"]
    assert outcomes[0].reason == "HTTP 200, but the answer tells of no instance"


def test_stow_hears_an_answer_in_a_list(tmp_path: Path) -> None:
    """Some servers put the data set into a list, as QIDO-RS does."""
    sent = series(tmp_path, 2)
    uids = [one.sop_instance_uid for one in sent]
    body = [response([item(uids[0])], [item(uids[1], failure=0xA700)])]

    with http_server(lambda path, content: (202, body)) as url:
        outcomes = list(DicomwebSender("web", url).send(sent))

    assert [outcome.reason for outcome in outcomes] == ["", "status A700: out of resources"]


def test_stow_sends_the_stored_bytes(tmp_path: Path) -> None:
    """Compressed pixels and odd elements arrive as they are."""
    sent = series(tmp_path, 2, RLELossless)
    bodies: list[tuple[str, bytes]] = []

    def remember(path: str, content: bytes) -> tuple[int, object]:
        bodies.append((path, content))
        return 200, response([item(one.sop_instance_uid) for one in sent], [])

    with http_server(remember) as url:
        list(DicomwebSender("web", f"{url}/dicom-web/").send(sent))

    ((path, content),) = bodies
    assert path == "/dicom-web/studies"
    assert all(item.path.read_bytes() in content for item in sent)


def test_a_server_that_is_down_means_retry(tmp_path: Path) -> None:
    """Promise 2: down for days, delivered in the end."""
    sent = series(tmp_path, 2)
    url = f"http://127.0.0.1:{free_port()}"

    for sender in (DicomwebSender("web", url), OrthancSender("orthanc", url)):
        outcomes = list(sender.send(sent))

        assert states(outcomes) == ["retry", "retry"]
        with pytest.raises(TransientDeliveryError, match="no answer"):
            sender.check()
    with pytest.raises(TransientDeliveryError, match="no answer"):
        OrthancSender("orthanc", url).tag(STUDY, SERIES, {}, [])


def test_a_server_that_goes_away_is_not_asked_for_each_instance(tmp_path: Path) -> None:
    """With a time-out to wait for, three hundred questions would hold a worker for an hour."""
    sent = series(tmp_path, 120)
    asked: list[str] = []

    def hang_up(path: str, body: bytes) -> tuple[int, object]:
        asked.append(path)
        raise ConnectionAbortedError

    with http_server(hang_up) as url:
        stow = list(DicomwebSender("web", url).send(sent))
        rest = list(OrthancSender("orthanc", url).send(sent))

    assert states(stow) == states(rest) == ["retry"] * 120
    assert asked == ["/studies", "/instances"]


@pytest.mark.parametrize(
    ("status", "content", "state"),
    [
        (200, {"Status": "Success"}, "delivered"),
        (200, {"Status": "AlreadyStored"}, "delivered"),
        (200, {"Status": "FilteredOut"}, "refused"),
        (200, {"Status": "Failure"}, "retry"),
        (200, None, "retry"),
        (400, None, "refused"),
        (401, None, "retry"),
        (507, None, "retry"),
    ],
)
def test_what_orthanc_says_of_an_upload(
    tmp_path: Path, status: int, content: object, state: str
) -> None:
    """Orthanc answers 200 also when a filter threw the instance away."""
    with http_server(lambda path, body: (status, content)) as url:
        (outcome,) = OrthancSender("orthanc", url).send(series(tmp_path, 1))

    assert outcome.state == state


def test_an_unreadable_password_means_retry(tmp_path: Path) -> None:
    """A secret that is not mounted yet."""
    secret = Secret("password of orthanc", tmp_path / "missing")
    access = Access(Credentials("user", secret))
    sender = OrthancSender("orthanc", "http://127.0.0.1:1", access)

    (outcome,) = sender.send(series(tmp_path, 1))

    assert outcome.state == "retry"
    with pytest.raises(TransientDeliveryError, match=r"password of orthanc: .*missing"):
        sender.check()


def test_a_server_that_is_no_orthanc_is_told(tmp_path: Path) -> None:
    """`radnode check` with the wrong URL."""
    with (
        http_server(lambda path, body: (200, None)) as url,
        pytest.raises(PermanentDeliveryError, match="is no Orthanc"),
    ):
        OrthancSender("orthanc", url).check()


@pytest.mark.orthanc
def test_orthanc_takes_stow_and_keeps_the_data_set(
    tmp_path: Path, orthanc: RunningOrthanc
) -> None:
    """The real thing, with one file that is no DICOM in the midst."""
    sent = series(tmp_path, 4)
    bad = tmp_path / "bad.dcm"
    bad.write_bytes(b"not DICOM at all" * 100)
    mixed = [sent[0], OutboundInstance("1.2.3", sent[0].sop_class_uid, "1.2", bad), *sent[1:]]
    sender = DicomwebSender("web", orthanc.dicomweb_url)

    outcomes = list(sender.send(mixed))

    assert [o.state == "delivered" for o in outcomes] == [True, False, True, True, True]
    assert orthanc.sop_instance_uids() == {item.sop_instance_uid for item in sent}
    assert dcmread(BytesIO(orthanc.file(sent[0].sop_instance_uid))) == dcmread(sent[0].path)
    assert sender.check() == "DICOMweb answers"


@pytest.mark.orthanc
def test_orthanc_takes_uploads_once(tmp_path: Path, orthanc: RunningOrthanc) -> None:
    """Promise 3: sending again is harmless, and says so."""
    sent = series(tmp_path, 3, RLELossless)
    sender = OrthancSender("orthanc", orthanc.url)

    first, second = list(sender.send(sent)), list(sender.send(sent))

    assert states(first) == states(second) == ["delivered"] * 3
    assert "already" in second[0].reason
    assert orthanc.file(sent[0].sop_instance_uid) == sent[0].path.read_bytes()
    assert sender.check().startswith("Orthanc 1.12.")


@pytest.mark.orthanc
def test_orthanc_refuses_what_is_no_dicom(tmp_path: Path, orthanc: RunningOrthanc) -> None:
    """It will not be DICOM tomorrow; the other instance goes."""
    sent = series(tmp_path, 2)
    sent[0].path.write_bytes(b"not DICOM at all" * 100)

    outcomes = list(OrthancSender("orthanc", orthanc.url).send(sent))

    assert states(outcomes) == ["refused", "delivered"]


def _found(orthanc: RunningOrthanc, kind: str) -> str:
    (identifier,) = orthanc.get(f"/{kind}")
    return f"/{kind}/{identifier}"


@pytest.mark.orthanc
def test_findings_become_labels_and_metadata(tmp_path: Path, orthanc: RunningOrthanc) -> None:
    """Where Orthanc's own rules and searches can use them; the images stay as they are."""
    list((sender := OrthancSender("orthanc", orthanc.url)).send(series(tmp_path, 2)))
    findings = {"sequence": "CT", "coverage": "liver, kidney", "other": "x"}

    for _ in range(2):
        sender.tag(STUDY, SERIES, findings, ["radnet-CT", "radnet-liver"])

    place = _found(orthanc, "series")
    assert orthanc.text(f"{place}/metadata/RadnetSequence") == "CT"
    assert orthanc.text(f"{place}/metadata/4204") == "liver, kidney"
    summary = json.loads(orthanc.text(f"{place}/metadata/RadnetFindings"))
    assert summary["findings"] == findings
    assert set(orthanc.get(f"{place}/labels")) == {"radnet-CT", "radnet-liver"}
    assert set(orthanc.get(f"{_found(orthanc, 'studies')}/labels")) == {
        "radnet-CT",
        "radnet-liver",
    }


@pytest.mark.orthanc
def test_a_revision_replaces_our_labels_and_leaves_those_of_others(
    tmp_path: Path, orthanc: RunningOrthanc
) -> None:
    """Promise 8; and a label that another series of the study has stays on the study."""
    other = ct_slice(99, series_uid="1.2.3.99")
    sender = OrthancSender("orthanc", orthanc.url)
    list(sender.send([*series(tmp_path, 2), written(other, tmp_path)]))
    sender.tag(STUDY, "1.2.3.99", {}, ["CT"])
    sender.tag(STUDY, SERIES, {"plane": "axial"}, ["CT", "liver", "axial"])
    study = _found(orthanc, "studies")
    place = next(
        f"/series/{item['ID']}"
        for item in orthanc.get(f"{study}/series")
        if item["MainDicomTags"]["SeriesInstanceUID"] == SERIES
    )
    _put_label(orthanc, place, "reviewed")

    sender.tag(STUDY, SERIES, {}, ["kidney"])

    assert set(orthanc.get(f"{place}/labels")) == {"kidney", "reviewed"}
    assert set(orthanc.get(f"{study}/labels")) == {"CT", "kidney"}
    assert "RadnetPlane" not in orthanc.get(f"{place}/metadata")


def _put_label(orthanc: RunningOrthanc, place: str, label: str) -> None:
    httpx.put(f"{orthanc.url}{place}/labels/{label}", content=b"").raise_for_status()


@pytest.mark.orthanc
def test_a_series_orthanc_does_not_hold_cannot_be_tagged_yet(orthanc: RunningOrthanc) -> None:
    """The images may still be on their way to it."""
    with pytest.raises(TransientDeliveryError, match="does not hold Series"):
        OrthancSender("orthanc", orthanc.url).tag(STUDY, SERIES, {}, [])


@pytest.mark.orthanc
def test_an_orthanc_with_a_password(tmp_path: Path) -> None:
    """The password comes from a file, and a wrong one is no reason to give an instance up."""
    folder = tmp_path / "orthanc"
    folder.mkdir()
    (tmp_path / "right").write_text("secret\n")
    (tmp_path / "wrong").write_text("public\n")
    sent = series(tmp_path, 1)
    locked = {"AuthenticationEnabled": True, "RegisteredUsers": {"node": "secret"}}
    with running_orthanc(folder, **locked) as orthanc:
        right, wrong = (
            OrthancSender(
                "orthanc",
                orthanc.url,
                Access(Credentials("node", Secret("password", tmp_path / file))),
            )
            for file in ("right", "wrong")
        )

        assert states(list(wrong.send(sent))) == ["retry"]
        assert states(list(right.send(sent))) == ["delivered"]
        with pytest.raises(TransientDeliveryError, match="401"):
            wrong.check()


@pytest.mark.orthanc
def test_a_label_with_a_key_and_a_value_is_none_for_orthanc(
    tmp_path: Path, orthanc: RunningOrthanc
) -> None:
    """It takes letters, digits, - and _: so a label is the prefix and the value alone."""
    list((sender := OrthancSender("orthanc", orthanc.url)).send(series(tmp_path, 1)))

    with pytest.raises(PermanentDeliveryError, match="label"):
        sender.tag(STUDY, SERIES, {}, ["radnet:seq=T2-FLAIR"])
    sender.tag(STUDY, SERIES, {}, ["radnet-T2-FLAIR"])
    assert orthanc.get(f"{_found(orthanc, 'series')}/labels") == ["radnet-T2-FLAIR"]
