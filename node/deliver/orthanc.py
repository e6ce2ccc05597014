"""Delivery to an Orthanc by its REST API: instances, and findings as labels and metadata."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx
import structlog

from node.deliver.bounded_http import ANSWER_S, LARGEST_ANSWER, BoundedHttp
from node.deliver.destination import (
    OutboundInstance,
    Outcome,
    State,
    Wanted,
    everything,
    untried,
)
from node.deliver.http import OPEN, Access, http_failure, meaning, raise_for, was_connected
from node.deliver.stored import pieces, size
from node.errors import PermanentDeliveryError, TransientDeliveryError
from node.model.findings import FindingName

log = structlog.get_logger()

SUMMARY_METADATA: Final = 4200
"""Series metadata that holds all findings and labels as JSON; read back to replace them."""

FINDING_METADATA: Final = {
    FindingName.SEQUENCE: 4201,
    FindingName.PLANE: 4202,
    FindingName.CONTRAST: 4203,
    FindingName.COVERAGE: 4204,
    FindingName.LOCALIZER: 4205,
    FindingName.DERIVED: 4206,
}
"""Numbers, since an Orthanc that does not know the names (orthanc/orthanc.json) takes those."""

_PATH: Final = re.compile(r"/[a-z]+/[0-9a-f-]+")
_LABEL: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LARGEST_STUDY: Final = 16 * LARGEST_ANSWER  # it lists each instance


@dataclass(frozen=True)
class OrthancSender:
    """A REST client for one Orthanc.

    Attributes
    ----------
    label_prefix : str
        What each label of ours begins with, so that nobody takes it for one of his own.
    """

    name: str
    url: str
    access: Access = OPEN
    label_prefix: str = ""
    answer_s: float = ANSWER_S

    def check(self) -> str:
        """Read its version; see `node.deliver.destination.Destination.check`."""
        with self._client() as orthanc:
            system = self._system(orthanc)
        labels = "" if system.get("HasLabels") else ", which has no labels"
        return f"Orthanc {system.get('Version', 'of unknown version')}{labels}"

    def send(
        self, instances: Sequence[OutboundInstance], wanted: Wanted = everything
    ) -> Iterator[Outcome]:
        """Upload every file; see `node.deliver.destination.Destination.send`."""
        try:
            opened = self._client()
        except TransientDeliveryError as error:
            yield from untried(instances, str(error))
            return
        with opened as orthanc:
            for number, instance in enumerate(instances):
                uid = instance.sop_instance_uid
                if not wanted(uid):
                    continue
                try:
                    state, reason = self._uploaded(orthanc, instance)
                except httpx.HTTPError as error:  # nobody there: do not wait once per instance
                    log.warning("upload failed", destination=self.name, reason=http_failure(error))
                    yield Outcome(uid, "retry", http_failure(error), tried=was_connected(error))
                    yield from untried(instances[number + 1 :], http_failure(error))
                    return
                yield Outcome(uid, state, reason)

    def tag(
        self,
        study_uid: str,
        series_uid: str,
        findings: Mapping[str, str],
        labels: Sequence[str],
    ) -> None:
        """Put findings and labels on a series, and labels on its study.

        Labels of an earlier revision that no longer hold are taken away, from the study too
        unless another series of it has them. An Orthanc without labels (before 1.12) gets the
        metadata alone.

        Raises
        ------
        TransientDeliveryError
            If it cannot be reached or does not hold the series (yet).
        PermanentDeliveryError
            If it refuses a label or a value.
        """
        ours = [f"{self.label_prefix}{label}" for label in labels]
        with self._client() as orthanc:
            try:
                series = self._place(orthanc, "Series", series_uid)
                old = _labels_before(orthanc, series)
                if self._system(orthanc).get("HasLabels"):
                    study = self._place(orthanc, "Study", study_uid)
                    _label(orthanc, study, series, ours, sorted(old - set(ours)))
                _describe(orthanc, series, findings, ours)
            except httpx.HTTPError as error:
                raise TransientDeliveryError(f"{self.url}: {http_failure(error)}") from error

    def _client(self) -> BoundedHttp:
        return BoundedHttp(httpx.Client(**self.access.options(self.url)), self.answer_s)

    @property
    def _root(self) -> str:
        return self.url.rstrip("/")

    def _system(self, orthanc: BoundedHttp) -> dict[str, Any]:
        try:
            response = orthanc.ask("GET", f"{self._root}/system")
        except httpx.HTTPError as error:
            raise TransientDeliveryError(f"{self.url}: {http_failure(error)}") from error
        raise_for(response, f"{self.url}/system")
        try:
            return dict(response.json())
        except (ValueError, TypeError) as error:
            raise PermanentDeliveryError(f"{self.url} is no Orthanc") from error

    def _place(self, orthanc: BoundedHttp, kind: str, uid: str) -> str:
        """Return the URL of a study or series by its UID, as ``.../series/<Orthanc id>``."""
        response = orthanc.ask("POST", f"{self._root}/tools/lookup", uid.encode())
        raise_for(response, "lookup")
        for found in _listed(response):
            if found.get("Type") == kind and _PATH.fullmatch(str(found.get("Path"))):
                return f"{self._root}{found['Path']}"
        raise TransientDeliveryError(f"{self.url} does not hold {kind} {uid}")

    def _uploaded(self, orthanc: BoundedHttp, instance: OutboundInstance) -> tuple[State, str]:
        """Upload one file.

        Raises
        ------
        httpx.HTTPError
            If there is no answer.
        """
        syntax = instance.transfer_syntax_uid
        try:  # in pieces: it may be larger than memory
            with instance.file() as path:
                length = {"Content-Length": str(size(path, syntax))}
                body = pieces(path, syntax)
                response = orthanc.ask("POST", f"{self._root}/instances", body, length)
        except OSError as error:
            return "retry", f"cannot read the stored file: {error.strerror}"
        state = meaning(response.status_code)
        if state != "delivered":
            return state, f"HTTP {response.status_code} {response.reason_phrase}"
        return _judged(response)


def _judged(response: httpx.Response) -> tuple[State, str]:
    """Read the answer to an upload: 200 also comes with ``FilteredOut`` and ``Failure``."""
    try:
        status = str(response.json()["Status"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return "retry", "the answer to the upload cannot be read"
    if status == "Success":
        return "delivered", ""
    if status == "AlreadyStored":
        return "delivered", "it holds this instance already"
    return ("refused" if status == "FilteredOut" else "retry"), f"Orthanc says {status}"


def _listed(response: httpx.Response) -> list[dict[str, Any]]:
    """Return a list of objects.

    Raises
    ------
    TransientDeliveryError
        If the answer is none.
    """
    try:
        found = response.json()
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise TransientDeliveryError("the answer is no list of objects: is it an Orthanc?")
    return found


def _labels_before(orthanc: BoundedHttp, series: str) -> set[str]:
    """Return the labels the last `tag` put on a series; those of other people are not ours."""
    response = orthanc.ask("GET", f"{series}/metadata/{SUMMARY_METADATA}")
    if response.status_code == httpx.codes.NOT_FOUND:
        return set()
    raise_for(response, "metadata")
    try:
        return {str(label) for label in response.json()["labels"] if _LABEL.fullmatch(str(label))}
    except (ValueError, KeyError, TypeError, RecursionError):
        return set()


def _label(
    orthanc: BoundedHttp, study: str, series: str, labels: Sequence[str], stale: Sequence[str]
) -> None:
    for label in labels:
        for place in (series, study):
            raise_for(orthanc.ask("PUT", f"{place}/labels/{label}"), f"label {label!r}")
    for label in stale:
        raise_for(orthanc.ask("DELETE", f"{series}/labels/{label}"), f"label {label!r}")
    if stale:
        kept = _labels_of_series(orthanc, study)
        for label in sorted(set(stale) - kept):
            raise_for(orthanc.ask("DELETE", f"{study}/labels/{label}"), f"label {label!r}")


def _labels_of_series(orthanc: BoundedHttp, study: str) -> set[str]:
    response = orthanc.ask("GET", f"{study}/series", most=_LARGEST_STUDY)
    raise_for(response, "series")
    return {str(label) for series in _listed(response) for label in series.get("Labels") or []}


def _describe(
    orthanc: BoundedHttp, series: str, findings: Mapping[str, str], labels: Sequence[str]
) -> None:
    for finding, number in FINDING_METADATA.items():
        place = f"{series}/metadata/{number}"
        if finding in findings:
            raise_for(orthanc.ask("PUT", place, findings[finding].encode()), finding)
        else:
            orthanc.ask("DELETE", place)  # 404 where there was none
    summary = json.dumps({"findings": dict(findings), "labels": list(labels)}, sort_keys=True)
    place = f"{series}/metadata/{SUMMARY_METADATA}"
    raise_for(orthanc.ask("PUT", place, summary.encode()), "findings")
