"""Rows of what is run again; turns of what becomes pending after its batch was through."""

import pytest

from node.model.failures import HoldKind
from node.model.keys import HeldRevision
from node.model.records import Hold
from node.model.states import DeliveryState, HoldState, RevisionState
from node.model.work import WorkKind
from node.receive.tally import MOST, AssociationTally
from node.store.catalog import Catalog
from node.store.studies.revisions import Ending
from tests.due_time import batch_claimed, batches_due, revisions_due, task_claimed
from tests.store_rows import SERIES, STUDY, stored


@pytest.fixture
def through(catalog: Catalog) -> Catalog:
    """Give a catalog with a series that was recognised and routed."""
    catalog.studies.record(stored(1), 100.0)
    catalog.revisions.settle(SERIES, {}, 101.0)
    catalog.revisions.finish(SERIES, 1, RevisionState.DONE)
    return catalog


def test_each_round_of_quarantine_and_of_reprocessing_is_a_job_of_its_own(
    through: Catalog,
) -> None:
    """A job's id is made of the claim: one that was used before would run nothing."""
    seen: list[str] = []
    for again in (False, True, False):
        (one,) = through.candidates.named(SERIES)
        assert through.quarantine.begin_round(one, again, 200.0)
        assert through.revisions.is_sent_again(SERIES, 1) is again
        first = task_claimed(through, WorkKind.RECOGNISE)
        assert through.revisions.end(first, Ending(RevisionState.UNUSABLE, "recognition died"))
        through.quarantine.hold(
            Hold(HoldKind.RECOGNITION, STUDY, SERIES, HeldRevision(1), "x"), 201.0
        )
        (held,) = through.quarantine.held()
        through.quarantine.start_again(held, 202.0)
        second = task_claimed(through, WorkKind.RECOGNISE)
        assert through.revisions.end(second, Ending(RevisionState.DONE))
        seen += [first.job, second.job]

    assert len(set(seen)) == 6
    assert not through.revisions.is_sent_again(SERIES, 1)


def test_a_round_begins_once(through: Catalog) -> None:
    """Two operators at once have it run once."""
    (one,) = through.candidates.named(STUDY)

    assert [through.quarantine.begin_round(one, False, 200.0) for _ in range(2)] == [True, False]
    assert revisions_due(through) == [(SERIES, 1)]
    assert [e.event for e in through.ledger.history(STUDY)].count("reprocessed") == 1


def test_send_again_lasts_until_the_results_are_noted(through: Catalog) -> None:
    """Routing ends as "queued" where a segmentation follows, whose results are sent again too."""
    (one,) = through.candidates.named(STUDY)
    through.quarantine.begin_round(one, True, 200.0)

    through.revisions.finish(SERIES, 1, RevisionState.QUEUED)
    assert through.revisions.is_sent_again(SERIES, 1)
    through.revisions.finish(SERIES, 1, RevisionState.DONE)
    assert not through.revisions.is_sent_again(SERIES, 1)


def test_what_is_new_in_a_batch_that_was_through_is_due_at_once(through: Catalog) -> None:
    """It would wait for the next start of the worker, which looks for what has no turn."""
    through.studies.record(stored(2), 110.0)
    batch, (first, second) = f"source/{SERIES}/1", (stored(n).sop_instance_uid for n in (1, 2))
    through.deliveries.add(batch, "pacs", [first], 120.0)
    (job,) = batches_due(through, "pacs", 120.0)
    through.deliveries.put_outcome(first, "pacs", DeliveryState.DELIVERED, "", 121.0, batch)
    task = batch_claimed(through, "pacs", job.key)
    assert through.deliveries.end_batch(task)

    through.deliveries.add(batch, "pacs", [first], 130.0)
    assert batches_due(through, "pacs", 130.0) == []
    through.deliveries.add(batch, "pacs", [first, second], 140.0, urgent=True)

    (again,) = batches_due(through, "pacs", 140.0, only_urgent=True)
    assert again.serial == task.serial
    assert [one.sop_instance_uid for one in through.pending.of_batch(batch, "pacs")] == [second]


def test_an_association_is_counted_by_study_within_bounds() -> None:
    """A peer that sends a million studies fills no memory and no line of the log."""
    tally = AssociationTally()
    for number in range(MOST + 3):
        tally.keep(f"1.{number}")
        tally.keep("1.0")
    tally.refused += 1

    told = tally.summary()
    assert told["instances"] == 2 * (MOST + 3)
    assert told["refused"] == 1
    assert told["studies"]["1.0"] == MOST + 4
    assert len(told["studies"]) == MOST
    assert told["of_other_studies"] == 3


@pytest.mark.parametrize("state", RevisionState)
def test_what_is_held_is_run_again_whatever_its_revision_is_at(
    through: Catalog, state: RevisionState
) -> None:
    """A look that held it may have overlapped with an order to run it again.

    Were the order to do nothing, the ledger would tell of a replay that never was.
    """
    (one,) = through.candidates.named(SERIES)
    through.quarantine.begin_round(one, False, 200.0)
    through.quarantine.hold(Hold(HoldKind.RECOGNITION, STUDY, SERIES, HeldRevision(1), "x"), 201.0)
    if state is not RevisionState.COMPLETE:
        through.revisions.finish(SERIES, 1, state, "why")
    (held,) = through.quarantine.held()

    through.quarantine.start_again(held, 202.0)

    assert revisions_due(through) == [(SERIES, 1)]
    (row,) = through.revisions.of_series(SERIES)
    assert (row.state, row.reason, row.failure_kind) == (RevisionState.COMPLETE, "", None)
    assert (row.rounds, through.quarantine.held((HoldState.REPLAYED,))[0].rounds) == (1, 1)
