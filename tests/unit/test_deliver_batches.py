"""How instances are divided over associations and requests."""

from datetime import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from node import settings
from node.deliver import dicomweb
from node.deliver.association import Peer
from node.deliver.attempts import Retries
from node.deliver.build import build, terms_of
from node.deliver.destination import OutboundInstance, TaggingDestination
from node.deliver.dimse import CONTEXTS_PER_ASSOCIATION, DimseSender, batches
from node.deliver.folder import FolderSender
from node.deliver.turns import Terms
from tests.outbound import series


def _instances(pairs: list[tuple[int, int]]) -> list[OutboundInstance]:
    return [
        OutboundInstance(f"1.{n}", f"2.{sop_class}", f"3.{syntax}", Path("x"))
        for n, (sop_class, syntax) in enumerate(pairs)
    ]


def _contexts(batch: list[OutboundInstance]) -> int:
    pairs = {(item.sop_class_uid, item.transfer_syntax_uid) for item in batch}
    return len(pairs) + len({sop_class for sop_class, _ in pairs})


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=60), st.integers(2, 9))
def test_batches_hold_every_instance_once_within_the_limit(
    pairs: list[tuple[int, int]], limit: int
) -> None:
    """An association with more contexts than there are IDs cannot be requested."""
    instances = _instances(pairs)

    parts = batches(instances, limit)

    assert sorted(item.sop_instance_uid for part in parts for item in part) == sorted(
        item.sop_instance_uid for item in instances
    )
    assert all(part and _contexts(part) <= limit for part in parts)


def test_one_series_is_one_association() -> None:
    """Many instances of one kind need one context, however many they are."""
    parts = batches(_instances([(1, 1)] * 1000))

    assert [len(part) for part in parts] == [1000]


def test_a_hundred_kinds_take_two_associations() -> None:
    """Each needs its syntax and the uncompressed one: 200 contexts, of which 128 fit."""
    parts = batches(_instances([(kind, 1) for kind in range(100)]))

    assert [len(part) for part in parts] == [CONTEXTS_PER_ASSOCIATION // 2, 36]


def test_requests_are_bounded(tmp_path: Path) -> None:
    """A STOW-RS request of a whole CT can be beyond what a proxy lets through."""
    sent = series(tmp_path, 2) * 60
    sent[3] = OutboundInstance("1.2.3", "1.2", "1.2", tmp_path / "missing")

    parts = list(dicomweb.requests(sent))

    assert [len(part) for part, _ in parts] == [50, 50, 19]
    assert [[o.state for o in outcomes] for _, outcomes in parts] == [["retry"], [], []]


def test_settings_become_terms(tmp_path: Path) -> None:
    """What is not said is as documented; what is said reaches the dispatcher."""
    adapter: TypeAdapter[settings.DestinationSettings] = TypeAdapter(settings.DestinationSettings)
    plain = {"kind": "folder", "name": "d", "path": str(tmp_path)}
    said = {
        "connections": 4, "priority": "high", "window": "22:00-06:00", "attempts": 9,
        "first_delay_s": 10, "longest_delay_s": 60, "break_after": 2,
    }  # fmt: skip

    assert terms_of(adapter.validate_python(plain)) == Terms()
    assert terms_of(adapter.validate_python(plain | said)) == Terms(
        4, "high", (time(22), time(6)), Retries(9, 10.0, 60.0), 2
    )


def test_settings_become_senders(tmp_path: Path) -> None:
    """Each kind has its sender; the node's own AE title is the default caller."""
    adapter: TypeAdapter[settings.DestinationSettings] = TypeAdapter(settings.DestinationSettings)
    dimse = {"kind": "dimse", "name": "a", "ae_title": "PACS", "host": "h", "port": 104}
    entries = [
        dimse,
        dimse | {"calling_ae": "OTHER"},
        {"kind": "dicomweb", "name": "b", "url": "http://h/dicom-web"},
        {"kind": "orthanc", "name": "c", "url": "http://h:8042"},
        {"kind": "folder", "name": "d", "path": str(tmp_path)},
    ]

    built = [build(adapter.validate_python(entry), "NODE") for entry in entries]

    assert built[0] == DimseSender("a", Peer("PACS", "h", 104, "NODE"))
    assert built[1] == DimseSender("a", Peer("PACS", "h", 104, "OTHER"))
    assert built[4] == FolderSender("d", tmp_path)
    assert [isinstance(sender, TaggingDestination) for sender in built] == [
        False, False, False, True, False,
    ]  # fmt: skip
