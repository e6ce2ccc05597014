"""What was deleted and comes again: durable again, delivered again, never mixed up."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from node.audit.custody import changed_files
from node.model.states import DeliveryState, RevisionState
from node.store.digests import data_set_sha256
from node.upkeep.retention import RetentionJob
from tests.outbound import SERIES, STUDY, ct_slice
from tests.receiver import Node, running_receiver, send

UID = str(ct_slice(1).SOPInstanceUID)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Run a receiver whose only instance was delivered and is a tombstone, its file not yet gone.

    As after a kill between the two.
    """
    with running_receiver(tmp_path) as made:
        put(made, ct_slice(1))
        settle_and_deliver(made)
        assert made.catalog.retention.delete(SERIES, made.now, (), made.now) == 1
        yield made


def put(node: Node, ds: Dataset) -> None:
    """Send an instance, and see it acknowledged."""
    assoc = node.associate()
    assert send(assoc, ds) == 0x0000
    assoc.release()


def settle_and_deliver(node: Node) -> None:
    """Do what the worker does with a series that "outbox" takes."""
    number = node.catalog.revisions.settle(SERIES, {}, node.now)
    assert number is not None
    node.catalog.revisions.finish(SERIES, number, RevisionState.DONE)
    node.catalog.deliveries.add(f"source/{SERIES}/{number}", "outbox", [UID], node.now)
    node.catalog.deliveries.put_outcome(UID, "outbox", DeliveryState.DELIVERED, "", node.now)


def remove(node: Node) -> None:
    """Remove the files that retention has given up."""
    RetentionJob(node.catalog, node.files, 1e6, (), lambda: node.now).tick()


def digest(node: Node, path: Path) -> str:
    """Return the digest of a file by its relative path."""
    with node.files.absolute(path).open("rb") as file:
        return data_set_sha256(file)


def held(node: Node) -> str:
    """Return the digest of the file that the row names; check it against the row."""
    kept = node.catalog.instances.get(UID)
    assert kept is not None
    assert kept.deleted_at is None
    found = digest(node, kept.path)
    assert found == kept.sha256
    return found


@pytest.mark.parametrize("removed_first", [True, False])
def test_what_was_deleted_and_comes_again_is_new_again(node: Node, removed_first: bool) -> None:
    """Its series is taken in anew and it has no delivery: the rules decide again."""
    if removed_first:
        remove(node)
    put(node, ct_slice(1))
    remove(node)

    first = held(node)
    assert node.catalog.delivery_states.of_study(STUDY) == []
    assert [one.series_instance_uid for one in node.catalog.studies.unsettled()] == [SERIES]
    assert len(node.stored()) == 1
    assert list(changed_files(node.catalog, node.files, node.catalog.ledger.history(STUDY))) == []

    put(node, ct_slice(1))
    assert held(node) == first
    assert len(node.stored()) == 1

    settle_and_deliver(node)
    assert node.catalog.retention.delete(SERIES, node.now, (), node.now) == 1
    put(node, ct_slice(1))
    remove(node)
    assert held(node) == first


def test_other_bytes_under_a_deleted_uid_are_kept_apart(node: Node) -> None:
    """And the first ones, when they come after, are the instance."""
    remove(node)
    other = ct_slice(1)
    other.PixelData = bytes(len(other.PixelData))
    put(node, other)

    (conflict,) = node.catalog.instances.conflicts(STUDY)
    assert digest(node, conflict.path) == conflict.sha256
    tombstone = node.catalog.instances.get(UID)
    assert tombstone is not None
    assert tombstone.deleted_at is not None

    put(node, ct_slice(1))
    remove(node)

    assert held(node) != conflict.sha256
    assert digest(node, conflict.path) == conflict.sha256


def test_a_late_slice_of_a_deleted_series_makes_it_come_in_again(node: Node) -> None:
    """What is deleted stays so; the new one travels as the next revision."""
    remove(node)
    put(node, ct_slice(2))

    (progress,) = node.catalog.studies.unsettled()
    assert progress.revision == 1
    assert len(node.catalog.instances.of_series(SERIES)) == 1
    assert node.catalog.revisions.settle(SERIES, {}, node.now) == 2
    assert "worked on" in node.catalog.retention.kept_because(SERIES, 1e12, ())
    node.catalog.revisions.finish(SERIES, 2, RevisionState.DONE)
    assert "no destination" in node.catalog.retention.kept_because(SERIES, 1e12, ())


def test_prove_knows_what_was_deleted_by_right(node: Node) -> None:
    """A tombstone that the ledger does not tell of is a hole in custody."""
    remove(node)
    assert list(changed_files(node.catalog, node.files, node.catalog.ledger.history(STUDY))) == []

    put(node, ct_slice(2))
    with node.catalog.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE instance SET deleted_at = 1.0")
    (wrong,) = changed_files(node.catalog, node.files, node.catalog.ledger.history(STUDY))
    assert "disagree" in wrong
    assert str(ct_slice(2).SOPInstanceUID) in wrong
