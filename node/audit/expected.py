"""What ought to stand in the catalog by the ledger's word. Pure: entries in, a state out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from node.model.events import Entry, EventKind
from node.model.states import DeliveryState

Detail = Mapping[str, Any]

STATES: Final[Mapping[str, DeliveryState]] = {
    EventKind.SENT: DeliveryState.DELIVERED,
    EventKind.COMMITTED: DeliveryState.DELIVERED,
    EventKind.PARKED: DeliveryState.PARKED,
    EventKind.RETRIED: DeliveryState.PENDING,
    EventKind.RESUMED: DeliveryState.PENDING,
    EventKind.REPLAYED: DeliveryState.PENDING,
    EventKind.PAUSED: DeliveryState.PAUSED,
    EventKind.CANCELLED: DeliveryState.CANCELLED,
}
"""What an entry about one instance at one destination makes of its delivery."""

_AFTER_FAILURE: Final = {
    "ask": DeliveryState.DELIVERED,
    "send": DeliveryState.PENDING,
}  # of a commitment; else parked
_PLACED_ONLY: Final = ("series", "sop_class")  # the first ones' stay when others take the place


@dataclass
class Expected:
    """The state that a chain of entries leads to.

    Attributes
    ----------
    instances : dict of str to mapping
        What was told of the bytes that lie there last, by SOP Instance UID, with the event that
        brought them as ``event``, and the study of it as ``study``.
    deleted : set of str
    apart : dict of (str, str) to mapping
        What was told of other bytes, by SOP Instance UID and digest.
    known_apart : set of (str, str)
        All that ever were kept apart, those that are not any more included.
    deliveries : dict of (str, str) to str
        State by SOP Instance UID and destination.
    committed : set of (str, str)
    findings : dict of (str, int) to mapping
        By Series Instance UID and revision.
    derived : dict of (str, int, str) to str
        SOP Instance UID by source series, revision and kind.
    """

    instances: dict[str, dict[str, Any]] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    apart: dict[tuple[str, str], Detail] = field(default_factory=dict)
    known_apart: set[tuple[str, str]] = field(default_factory=set)
    deliveries: dict[tuple[str, str], str] = field(default_factory=dict)
    committed: set[tuple[str, str]] = field(default_factory=set)
    findings: dict[tuple[str, int], Detail] = field(default_factory=dict)
    derived: dict[tuple[str, int, str], str] = field(default_factory=dict)

    def take(self, entry: Entry) -> None:
        """Follow one entry; one that changes nothing, or is of a newer version, is passed over."""
        step = _STEPS.get(entry.event)
        if step is not None:
            step(self, entry)
        if entry.event in (*STATES, EventKind.COMMITMENT_FAILED) and "to" in entry.detail:
            self._stand(entry)

    def _stand(self, entry: Entry) -> None:
        key = entry.subject, str(entry.detail["to"])
        state = STATES.get(entry.event)
        if state is None:
            state = _AFTER_FAILURE.get(str(entry.detail.get("then")), DeliveryState.PARKED)
        self.deliveries[key] = state
        self.committed.discard(key)
        if entry.event == EventKind.COMMITTED:
            self.committed.add(key)

    def place(self, entry: Entry, detail: Detail) -> None:
        """Let bytes lie under the UID of an entry."""
        self.instances[entry.subject] = dict(detail) | {
            "event": entry.event,
            "study": entry.study_instance_uid,
        }
        self.deleted.discard(entry.subject)

    def forget_deliveries(self, uid: str) -> None:
        """Other bytes, or the same anew: where they go is asked again."""
        for key in [key for key in self.deliveries if key[0] == uid]:
            del self.deliveries[key]
            self.committed.discard(key)


def expected(entries: Iterable[Entry]) -> Expected:
    """Return what entries lead to, oldest first."""
    state = Expected()
    for entry in entries:
        state.take(entry)
    return state


def _received(state: Expected, entry: Entry) -> None:
    before = state.instances.get(entry.subject)
    if before is None or before["event"] != EventKind.DERIVED:
        state.forget_deliveries(entry.subject)
        state.place(entry, entry.detail)
    else:  # made here, deleted, and back: it stays what it was, and delivered
        state.instances[entry.subject] = dict(entry.detail) | {
            "event": EventKind.DERIVED, "study": before["study"],
        }  # fmt: skip
        state.deleted.discard(entry.subject)


def _derived(state: Expected, entry: Entry) -> None:
    detail = entry.detail
    before = state.instances.get(entry.subject)
    if before is None or before["event"] == EventKind.DERIVED:
        state.place(entry, detail)
    if "of" in detail:
        state.derived[detail["of"], detail["revision"], detail["kind"]] = entry.subject


def _conflict(state: Expected, entry: Entry) -> None:
    key = entry.subject, str(entry.detail["sha256"])
    kept = dict(entry.detail) | {"event": entry.event, "study": entry.study_instance_uid}
    state.apart.setdefault(key, kept)
    state.known_apart.add(key)


def _released(state: Expected, entry: Entry) -> None:
    if "sha256" not in entry.detail:
        return  # a series, or a delivery: its bytes stay where they are
    uid, sha256 = entry.subject, str(entry.detail["sha256"])
    first = state.instances.get(uid)
    other = dict(state.apart.pop((uid, sha256), {"sha256": sha256}))
    if first is not None and uid not in state.deleted:
        state.apart[uid, str(first["sha256"])] = first
        state.known_apart.add((uid, str(first["sha256"])))
    for name in _PLACED_ONLY:
        other.pop(name, None)
    state.forget_deliveries(uid)
    state.place(entry, other)


def _discarded(state: Expected, entry: Entry) -> None:
    state.apart.pop((entry.subject, str(entry.detail.get("other_sha256"))), None)


def _deleted(state: Expected, entry: Entry) -> None:
    if entry.subject in state.instances:
        state.deleted.add(entry.subject)


def _routed(state: Expected, entry: Entry) -> None:
    for uid in entry.detail["instances"]:
        state.deliveries.setdefault((uid, str(entry.detail["to"])), DeliveryState.PENDING)


def _classified(state: Expected, entry: Entry) -> None:
    state.findings[entry.subject, int(entry.detail["revision"])] = entry.detail


_STEPS: Final = {
    EventKind.RECEIVED: _received,
    "adopted": _received,
    EventKind.DERIVED: _derived,
    EventKind.CONFLICT: _conflict,
    EventKind.RELEASED: _released,
    EventKind.DISCARDED: _discarded,
    EventKind.DELETED: _deleted,
    EventKind.ROUTED: _routed,
    EventKind.CLASSIFIED: _classified,
}
