"""Delivery to an Orthanc by its REST API: instances, and findings as labels and metadata."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx
import structlog
from pyorthanc import Orthanc

from node.deliver.destination import (
    OutboundInstance,
    Outcome,
    State,
    Wanted,
    everything,
    untried,
)
from node.deliver.http import OPEN, Access, meaning, raise_for, told, was_connected
from node.errors import PermanentDeliveryError, TransientDeliveryError

log = structlog.get_logger()

SUMMARY_METADATA: Final = 4200
"""Series metadata that holds all findings and labels as JSON; read back to replace them."""

FINDING_METADATA: Final = {
    "sequence": 4201,
    "plane": 4202,
    "contrast": 4203,
    "coverage": 4204,
    "localizer": 4205,
    "derived": 4206,
}
"""Numbers, since an Orthanc that does not know the names (orthanc/orthanc.json) takes those."""


@dataclass(frozen=True)
class OrthancSender:
    """A REST client for one Orthanc."""

    name: str
    url: str
    access: Access = OPEN

    def check(self) -> str:
        """Read its version; see `node.deliver.destination.Destination.check`."""
        with self._client() as client:
            system = self._system(client)
        labels = "" if system.get("HasLabels") else ", which has no labels"
        return f"Orthanc {system.get('Version', 'of unknown version')}{labels}"

    def send(
        self, instances: Sequence[OutboundInstance], wanted: Wanted = everything
    ) -> Iterator[Outcome]:
        """Upload every file; see `node.deliver.destination.Destination.send`."""
        try:
            client = self._client()
        except TransientDeliveryError as error:
            yield from untried(instances, str(error))
            return
        with client:
            for number, instance in enumerate(instances):
                uid = instance.sop_instance_uid
                if not wanted(uid):
                    continue
                try:
                    state, reason = _uploaded(client, instance)
                except httpx.HTTPError as error:  # nobody there: do not wait once per instance
                    log.warning("upload failed", destination=self.name, reason=told(error))
                    yield Outcome(uid, "retry", told(error), tried=was_connected(error))
                    yield from untried(instances[number + 1 :], told(error))
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
        with self._client() as client:
            try:
                series = self._place(client, "Series", series_uid)
                old = _labels_before(client, series)
                if self._system(client).get("HasLabels"):
                    study = self._place(client, "Study", study_uid)
                    _label(client, study, series, labels, sorted(old - set(labels)))
                _describe(client, series, findings, labels)
            except httpx.HTTPError as error:
                raise TransientDeliveryError(f"{self.url}: {told(error)}") from error

    def _client(self) -> Orthanc:
        return Orthanc(
            self.url.rstrip("/"), return_raw_response=True, **self.access.options(self.url)
        )

    def _system(self, client: Orthanc) -> dict[str, Any]:
        try:
            response = client.get_system()
        except httpx.HTTPError as error:
            raise TransientDeliveryError(f"{self.url}: {told(error)}") from error
        raise_for(response, f"{self.url}/system")
        try:
            return dict(response.json())
        except (ValueError, TypeError) as error:
            raise PermanentDeliveryError(f"{self.url} is no Orthanc") from error

    def _place(self, client: Orthanc, kind: str, uid: str) -> str:
        """Return the path of a study or series by its UID, as ``/series/<Orthanc id>``."""
        response = client.post(f"{client.url}/tools/lookup", content=uid)
        raise_for(response, "lookup")
        for found in response.json():
            if found["Type"] == kind:
                return f"{client.url}{found['Path']}"
        raise TransientDeliveryError(f"{self.url} does not hold {kind} {uid}")


def _uploaded(client: Orthanc, instance: OutboundInstance) -> tuple[State, str]:
    """Upload one file.

    Raises
    ------
    httpx.HTTPError
        If there is no answer.
    """
    try:
        with instance.path.open("rb") as file:  # sent in pieces: it may be larger than memory
            response = client.post_instances(content=file)
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
    except (ValueError, KeyError, TypeError):
        return "retry", "the answer to the upload cannot be read"
    if status == "Success":
        return "delivered", ""
    if status == "AlreadyStored":
        return "delivered", "it holds this instance already"
    return ("refused" if status == "FilteredOut" else "retry"), f"Orthanc says {status}"


def _labels_before(client: Orthanc, series: str) -> set[str]:
    """Return the labels the last `tag` put on a series; those of other people are not ours."""
    response = client.get(f"{series}/metadata/{SUMMARY_METADATA}")
    if response.status_code == httpx.codes.NOT_FOUND:
        return set()
    raise_for(response, "metadata")
    try:
        return {str(label) for label in response.json()["labels"]}
    except (ValueError, KeyError, TypeError):
        return set()


def _label(
    client: Orthanc, study: str, series: str, labels: Sequence[str], stale: Sequence[str]
) -> None:
    for label in labels:
        for place in (series, study):
            raise_for(client.put(f"{place}/labels/{label}", content=b""), f"label {label!r}")
    for label in stale:
        raise_for(client.delete(f"{series}/labels/{label}"), f"label {label!r}")
    if stale:
        kept = _labels_of_series(client, study)
        for label in sorted(set(stale) - kept):
            raise_for(client.delete(f"{study}/labels/{label}"), f"label {label!r}")


def _labels_of_series(client: Orthanc, study: str) -> set[str]:
    response = client.get(f"{study}/series")
    raise_for(response, "series")
    return {str(label) for series in response.json() for label in series.get("Labels", [])}


def _describe(
    client: Orthanc, series: str, findings: Mapping[str, str], labels: Sequence[str]
) -> None:
    for finding, number in FINDING_METADATA.items():
        place = f"{series}/metadata/{number}"
        if finding in findings:
            raise_for(client.put(place, content=findings[finding].encode()), finding)
        else:
            client.delete(place)  # 404 where there was none
    summary = json.dumps({"findings": dict(findings), "labels": list(labels)}, sort_keys=True)
    raise_for(client.put(f"{series}/metadata/{SUMMARY_METADATA}", content=summary), "findings")
