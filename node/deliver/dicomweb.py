"""Delivery by STOW-RS (PS3.18 Section 10.5).

Files go out as their own bytes. dicomweb-client would encode every data set anew, and raises
on the answer 409, in whose body the origin server says which instances it did store; so the
request is made here, on httpx.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from typing import Final
from uuid import uuid4

import httpx
import structlog
from pydicom.uid import UID, ExplicitVRLittleEndian

from node.deliver.bounded_http import ANSWER_S, BoundedHttp
from node.deliver.destination import OutboundInstance, Outcome, Wanted, everything, untried
from node.deliver.http import OPEN, Access, http_failure, meaning, raise_for, was_connected
from node.deliver.peer_statuses import PeerStatus, verdict
from node.deliver.stored import pieces, size
from node.deliver.stow_answer import holds, statuses
from node.deliver.transcode import plain_copy
from node.errors import PermanentDeliveryError, TransientDeliveryError

log = structlog.get_logger()

INSTANCES_PER_REQUEST: Final = 50
BYTES_PER_REQUEST: Final = 64 << 20
"""A request takes instances until it has as many, or as much; always at least one."""

ATTEMPTS_IN_COMPANY: Final = 2
"""After so many an instance gets a request of its own: it may be what the others fail by."""

_JSON: Final = "application/dicom+json"


@dataclass(frozen=True)
class DicomwebSender:
    """A STOW-RS user agent for one origin server."""

    name: str
    url: str
    access: Access = OPEN
    answer_s: float = ANSWER_S

    def check(self) -> str:
        """Ask for one study by QIDO-RS; see `node.deliver.destination.Destination.check`."""
        try:
            with self._client() as server:
                response = server.ask(
                    "GET", f"{self._studies}?limit=1", headers={"Accept": _JSON}, follow=True
                )
        except httpx.HTTPError as error:
            raise TransientDeliveryError(f"{self.url}: {http_failure(error)}") from error
        if response.status_code in (httpx.codes.METHOD_NOT_ALLOWED, httpx.codes.NOT_IMPLEMENTED):
            return "it answers, but not to QIDO-RS"  # it may take STOW-RS all the same
        raise_for(response, self._studies)
        return "DICOMweb answers"

    def send(
        self, instances: Sequence[OutboundInstance], wanted: Wanted = everything
    ) -> Iterator[Outcome]:
        """Store instances; see `node.deliver.destination.Destination.send`."""
        down = ""
        try:
            opened = self._client()
        except TransientDeliveryError as error:
            yield from untried(instances, str(error))
            return
        with opened as server:
            for planned, outcomes in requests(instances):
                yield from outcomes
                if down:
                    yield from untried(planned, down)
                    continue
                readable = [instance for instance in planned if wanted(instance.sop_instance_uid)]
                if not readable:
                    continue
                unheard = {instance.sop_instance_uid for instance in readable}
                try:
                    for outcome in self._sent(server, readable):
                        unheard.discard(outcome.sop_instance_uid)
                        yield outcome
                except httpx.HTTPError as error:  # nobody there: do not wait once per request
                    down, tried = http_failure(error), was_connected(error)
                    log.warning("STOW-RS failed", destination=self.name, reason=down)
                    for uid in sorted(unheard):
                        yield Outcome(uid, "retry", down, tried)

    def _client(self) -> BoundedHttp:
        return BoundedHttp(httpx.Client(**self.access.options(self.url)), self.answer_s)

    @property
    def _studies(self) -> str:
        return f"{self.url.rstrip('/')}/studies"

    def _sent(
        self, server: BoundedHttp, instances: Sequence[OutboundInstance]
    ) -> Iterator[Outcome]:
        """Make one request with the files that are sent, for as long as they are lent.

        Raises
        ------
        httpx.HTTPError
            If there is no answer.
        """
        with ExitStack() as lent:
            ready: list[OutboundInstance] = []
            for item in instances:
                try:
                    path = lent.enter_context(item.file())
                except OSError as error:
                    reason = f"cannot read a stored file: {error.strerror}"
                    yield Outcome(item.sop_instance_uid, "retry", reason)
                    continue
                ready.append(replace(item, path=path, prepared=nullcontext))
            if ready:
                yield from self._requested(server, ready)

    def _requested(
        self, server: BoundedHttp, instances: Sequence[OutboundInstance]
    ) -> Iterator[Outcome]:
        """Make one request.

        One that is refused as a whole, without a word on its instances, is made again in
        halves: one bad instance, or a limit on the size, says nothing against the others.

        Raises
        ------
        httpx.HTTPError
            If there is no answer.
        """
        boundary = uuid4().hex
        kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
        try:
            length = str(_length(instances, boundary))
            response = server.ask(
                "POST",
                self._studies,
                _multipart(instances, boundary),
                {"Content-Type": kind, "Content-Length": length, "Accept": _JSON},
            )
        except OSError as error:
            reason = f"cannot read a stored file: {error.strerror}"
            yield from (Outcome(item.sop_instance_uid, "retry", reason) for item in instances)
            return
        named = statuses(response.content)
        refused = meaning(response.status_code) == "refused"
        if refused and not named and len(instances) > 1:  # one of them, or only their number?
            middle = len(instances) // 2
            yield from self._requested(server, instances[:middle])
            yield from self._requested(server, instances[middle:])
            return
        searched = response.is_success
        for item in instances:
            status = named.get(item.sop_instance_uid)
            if _is_syntax_refused(item, status, response):
                yield from self._sent_plain(server, item)
            elif status is not None:
                yield Outcome(item.sop_instance_uid, *verdict(status))
            else:
                found = self._found(server, item) if searched else None
                searched = found is not None
                yield _unnamed(item, response, found=bool(found), others_named=bool(named))

    def _found(self, server: BoundedHttp, item: OutboundInstance) -> bool | None:
        """Ask by QIDO-RS whether the server has an instance; None where it cannot be asked.

        For servers that answer 200 and nothing else.
        """
        uid = item.sop_instance_uid
        response = server.ask(
            "GET",
            f"{self.url.rstrip('/')}/instances?SOPInstanceUID={uid}",
            headers={"Accept": _JSON},
            follow=True,
        )
        if response.status_code == httpx.codes.NO_CONTENT:
            return False
        return holds(response.content, uid) if response.is_success else None

    def _sent_plain(self, server: BoundedHttp, item: OutboundInstance) -> Iterator[Outcome]:
        """Send one instance decoded, to a server that refuses the syntax it is stored in."""
        try:
            with plain_copy(item.path, UID(item.transfer_syntax_uid)) as path:
                plain = replace(item, path=path, transfer_syntax_uid=ExplicitVRLittleEndian)
                yield from self._requested(server, [plain])
        except PermanentDeliveryError as error:
            yield Outcome(item.sop_instance_uid, "refused", str(error))
        except OSError as error:
            reason = f"cannot read or convert the stored file: {error.strerror}"
            yield Outcome(item.sop_instance_uid, "retry", reason)


def requests(
    instances: Sequence[OutboundInstance],
) -> Iterator[tuple[list[OutboundInstance], list[Outcome]]]:
    """Split instances into requests; each comes with outcomes of those that cannot be read."""
    taken: list[OutboundInstance] = []
    unreadable: list[Outcome] = []
    octets = 0
    for item in instances:
        try:
            length = item.path.stat().st_size
        except OSError as error:
            reason = f"cannot read the stored file: {error.strerror}"
            unreadable.append(Outcome(item.sop_instance_uid, "retry", reason))
            continue
        full = len(taken) >= INSTANCES_PER_REQUEST or octets + length > BYTES_PER_REQUEST
        alone = max(item.attempts, taken[-1].attempts if taken else 0) >= ATTEMPTS_IN_COMPANY
        if taken and (full or alone):
            yield taken, unreadable
            taken, unreadable, octets = [], [], 0
        taken.append(item)
        octets += length
    yield taken, unreadable


def _multipart(instances: Sequence[OutboundInstance], boundary: str) -> Iterator[bytes]:
    for item in instances:
        yield _head(boundary)
        yield from pieces(item.path, item.transfer_syntax_uid)
        yield b"\r\n"
    yield _tail(boundary)


def _length(instances: Sequence[OutboundInstance], boundary: str) -> int:
    """Return the length of the body, in bytes: not every proxy takes a chunked one."""
    around = len(_head(boundary)) + len(b"\r\n")
    files = sum(size(item.path, item.transfer_syntax_uid) + around for item in instances)
    return files + len(_tail(boundary))


def _head(boundary: str) -> bytes:
    return f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()


def _tail(boundary: str) -> bytes:
    return f"--{boundary}--\r\n".encode()


def _is_syntax_refused(
    item: OutboundInstance, status: int | None, response: httpx.Response
) -> bool:
    """Tell whether an instance was refused for its syntax, and could be sent in a plain one."""
    unsupported = response.status_code == httpx.codes.UNSUPPORTED_MEDIA_TYPE and status is None
    compressed = UID(item.transfer_syntax_uid).is_transfer_syntax and (
        UID(item.transfer_syntax_uid).is_compressed
    )
    return compressed and (status == PeerStatus.TRANSFER_SYNTAX_NOT_SUPPORTED or unsupported)


def _unnamed(
    item: OutboundInstance, response: httpx.Response, *, found: bool, others_named: bool
) -> Outcome:
    """Judge an instance that the answer says nothing about.

    A success says nothing then: whoever gave it may have stored nothing. What a search finds
    there has arrived (PS3.18 Section 10.5.3 asks for an answer that names each instance).
    """
    status = response.status_code
    state = meaning(status)
    if found:
        reason = f"HTTP {status} without a word on it; found by QIDO-RS"
        return Outcome(item.sop_instance_uid, "delivered", reason)
    if state == "delivered" and not others_named:
        reason = f"HTTP {status}, but the answer tells of no instance"
        return Outcome(item.sop_instance_uid, "retry", reason)
    if state == "delivered" or others_named:
        return Outcome(item.sop_instance_uid, "retry", f"HTTP {status}, but not confirmed")
    return Outcome(item.sop_instance_uid, state, f"HTTP {status} {response.reason_phrase}")
