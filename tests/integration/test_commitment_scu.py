"""Asking a peer to commit: the same association, and everything a peer can do wrong."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from pynetdicom.dimse_primitives import N_ACTION
from pynetdicom.presentation import build_context

from node.commitment.ask import ask
from node.commitment.messages import PUSH_MODEL
from node.commitment.reports import Reports
from node.deliver.association import Peer, associated
from node.model.commitment import Failed, Reference
from node.model.records import Circuit, Delivery
from node.model.states import CircuitState, DeliveryState
from node.model.work import Task, TaskKey, WorkKind
from node.pipeline.commitments import CommitmentRequests, Committing
from node.pipeline.due import DueWork, Handler, in_turn
from node.pipeline.engine import Engine
from tests.commitment_peer import (
    CommitmentPeer,
    Request,
    commit_all,
    commitment_peer,
    report_early,
)
from tests.due_time import batches_due, pass_time
from tests.inline_jobs import InlineJobs
from tests.node_process import wait_for
from tests.peers import free_port
from tests.store_rows import STUDY, open_catalog, stored

TIMEOUT_S = 100.0


class Node:
    """Rows with three delivered instances, and what asks for their commitment."""

    def __init__(self, folder: Path, port: int, wait_s: float) -> None:
        self.now = 1000.0
        self.catalog = open_catalog(f"sqlite:///{folder / 'catalog.sqlite'}", lambda: self.now)
        for number in range(3):
            one = stored(number)
            self.catalog.studies.record(one, 100.0)
            self.catalog.deliveries.add("b", "pacs", [one.sop_instance_uid], 101.0)
            self.catalog.deliveries.put_outcome(
                one.sop_instance_uid, "pacs", DeliveryState.DELIVERED, "", 102.0
            )
        peer = Peer("PACS", "127.0.0.1", port, "RADNODE", connect_s=10, response_s=10)
        self.commitments = CommitmentRequests(
            self.catalog,
            {"pacs": Committing(peer, TIMEOUT_S, wait_s)},
            lambda: 0.5,
        )
        self.due = DueWork(InlineJobs(), self.catalog.claims, "worker")
        self.due.add([self.handler(self.commitments.ask)])

    def handler(self, ask: Callable[[Task], None]) -> Handler:
        """Return what is done of a request."""
        return Handler(WorkKind.ASK, 4, ask, self.commitments.bury, in_turn(per_lane=1))

    def tick(self, seconds: float = 0.0) -> None:
        """Let time pass, make requests and send them as the jobs would."""
        pass_time(self, seconds)
        self.commitments.tick()
        self.due.look(WorkKind.ASK)

    def made(self) -> list[str]:
        """Return every Transaction UID that was ever made, in order."""
        with self.catalog.engine.connect() as connection:
            rows = connection.exec_driver_sql(
                "SELECT transaction_uid FROM commitment_request ORDER BY asked_at"
            )
            return [str(row[0]) for row in rows]

    def rows(self) -> list[Delivery]:
        """Return the deliveries in the order of their instances."""
        return self.catalog.delivery_states.of_study(STUDY)

    def standing(self) -> set[str | None]:
        """Return how the instances stand."""
        return {row.commitment for row in self.rows()}


@pytest.fixture
def peer() -> Iterator[CommitmentPeer]:
    """Run a peer that takes every request and says no more."""
    with commitment_peer(CommitmentPeer()) as running:
        yield running


@pytest.fixture
def node(tmp_path: Path, peer: CommitmentPeer) -> Iterator[Node]:
    """Give a node that stays as long as it takes for a report on the same association."""
    made = Node(tmp_path, peer.port, wait_s=30.0)
    yield made
    made.catalog.close()


@pytest.fixture
def hasty(tmp_path: Path, peer: CommitmentPeer) -> Iterator[Node]:
    """Give a node that does not stay."""
    made = Node(tmp_path, peer.port, wait_s=0.0)
    yield made
    made.catalog.close()


def test_a_report_on_the_same_association_commits(node: Node, peer: CommitmentPeer) -> None:
    """Asked once, with every instance and its class; our answer is Success."""
    peer.then = commit_all
    node.tick()

    wait_for(lambda: bool(peer.statuses), "our answer", 30)
    (request,) = peer.requests
    assert [one.sop_instance_uid for one in request.wanted] == [
        stored(n).sop_instance_uid for n in range(3)
    ]
    assert {one.sop_class_uid for one in request.wanted} == {stored(0).sop_class_uid}
    assert peer.statuses == [0x0000]
    assert node.standing() == {"committed"}

    node.tick(1e6)
    assert len(peer.requests) == 1


@pytest.mark.parametrize("held", ["paused", "not answering"])
def test_a_destination_that_is_held_up_is_not_asked(
    node: Node, peer: CommitmentPeer, held: str
) -> None:
    """Days of maintenance must not use up the attempts, after which an instance is parked."""
    peer.then = commit_all
    if held == "paused":
        node.catalog.outlets.set_paused("pacs", True, node.now)
    else:
        node.catalog.outlets.change_circuit(
            "pacs", lambda _: Circuit(state=CircuitState.OPEN), node.now
        )
    for _ in range(40):
        node.tick(86_400)

    assert peer.requests == []
    assert {row.state for row in node.rows()} == {"delivered"}

    node.catalog.outlets.set_paused("pacs", False, node.now)
    node.catalog.outlets.change_circuit("pacs", lambda _: Circuit(), node.now)
    node.tick()

    assert node.standing() == {"committed"}


def test_a_report_before_the_answer_commits(node: Node, peer: CommitmentPeer) -> None:
    """Allowed to nobody, done by some."""
    peer.at_once = report_early
    node.tick()

    assert node.standing() == {"committed"}


def test_a_report_that_ends_as_we_leave_does_not_hold_us(peer: CommitmentPeer) -> None:
    """The thread that serves it says at its end that the reactor runs: it has stopped for us."""
    to = Peer("PACS", "127.0.0.1", peer.port, "RADNODE", connect_s=10, response_s=10)
    with associated(to, [build_context(PUSH_MODEL)]) as association:
        association._reactor_checkpoint.clear()
        wait_for(lambda: association._is_paused, "the reactor to stop", 30)
        server = threading.Thread(target=lambda: setattr(association, "_is_paused", False))
        server.start()
        server.join()
        stopped = association._is_paused
        association._reactor_checkpoint.set()

    assert stopped


def test_a_peer_that_never_reports_is_asked_again(hasty: Node, peer: CommitmentPeer) -> None:
    """When the time has run out, with another Transaction UID each time."""
    hasty.tick()
    hasty.tick(TIMEOUT_S - 1)
    assert len(peer.requests) == 1

    hasty.tick(1)
    hasty.tick(TIMEOUT_S)

    assert len({one.transaction_uid for one in peer.requests}) == len(peer.requests) == 3
    assert hasty.standing() == {"asked"}


def _fail_the_second(peer: CommitmentPeer, request: Request) -> None:
    first, second, third = request.wanted
    peer.report(request, [first, third], [Failed(second, 0x0112)])


def test_failures_are_sent_again_alone(node: Node, peer: CommitmentPeer) -> None:
    """Two are committed to; the third becomes a batch of its own that is due at once."""
    peer.then = _fail_the_second
    node.tick()

    wait_for(lambda: bool(peer.statuses), "our answer", 30)
    assert [(row.state, row.commitment) for row in node.rows()] == [
        ("delivered", "committed"), ("pending", None), ("delivered", "committed"),
    ]  # fmt: skip
    assert "0112" in node.rows()[1].reason
    again = batches_due(node.catalog, "pacs", node.now)[0]  # "again" before "b"
    (pending,) = node.catalog.pending.of_batch(again.key, "pacs")
    assert pending.sop_instance_uid == stored(1).sop_instance_uid


def _report_twice(peer: CommitmentPeer, request: Request) -> None:
    peer.report(request, request.wanted[:1])
    peer.report(request, request.wanted[:2])
    peer.report(request, request.wanted)


def test_a_peer_that_reports_piecemeal_and_twice_is_answered_each_time(
    node: Node, peer: CommitmentPeer
) -> None:
    """The association stays until all is answered for; a repeat changes nothing."""
    peer.then = _report_twice
    node.tick()

    wait_for(lambda: len(peer.statuses) == 3, "our answers", 30)
    assert peer.statuses == [0x0000] * 3
    assert node.standing() == {"committed"}
    assert [e.event for e in node.catalog.ledger.history(STUDY)].count("committed") == 3


def _report_a_strange_transaction(peer: CommitmentPeer, request: Request) -> None:
    peer.report(request, request.wanted, transaction_uid="1.2.3.4.5")
    peer.report(request, request.wanted)


def test_a_wrong_transaction_is_refused_and_changes_nothing(
    node: Node, peer: CommitmentPeer
) -> None:
    """0110; the right one after it counts."""
    peer.then = _report_a_strange_transaction
    node.tick()

    wait_for(lambda: len(peer.statuses) == 2, "our answers", 30)
    assert peer.statuses == [0x0110, 0x0000]
    assert node.standing() == {"committed"}


def test_a_refused_request_is_made_again_later(node: Node, peer: CommitmentPeer) -> None:
    """Short of resources today; another Transaction UID tomorrow."""
    peer.status = 0x0213
    node.tick()
    assert node.standing() == {"again"}

    peer.status, peer.then = 0x0000, commit_all
    node.tick(1)
    assert len(peer.requests) == 1
    node.tick(60)

    assert len({one.transaction_uid for one in peer.requests}) == 2
    assert node.standing() == {"committed"}


def test_an_aborted_association_is_asked_again(node: Node, peer: CommitmentPeer) -> None:
    """The peer may have the request, or not: nobody knows."""
    peer.at_once = lambda _peer, request: request.association.abort()
    node.tick()

    assert node.standing() == {"again"}


def _answer_another(_peer: CommitmentPeer, request: Request) -> None:
    answer = N_ACTION()
    answer.MessageIDBeingRespondedTo = 9
    answer.AffectedSOPClassUID = PUSH_MODEL
    answer.Status = 0x0000
    (context,) = request.association.accepted_contexts
    request.association.dimse.send_msg(answer, cast("int", context.context_id))


def test_an_answer_to_another_message_is_none(node: Node, peer: CommitmentPeer) -> None:
    """PS3.7 Section 10.3.5: nobody knows whether the request came through."""
    peer.at_once = _answer_another
    node.tick()

    assert node.standing() == {"again"}


def test_reports_without_end_do_not_hold_us(
    peer: CommitmentPeer, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody is patient with a report that is being taken, for as long as with an answer."""
    let_go = threading.Event()
    monkeypatch.setattr(Reports, "take", lambda *_: let_go.wait(60) and 0x0000)
    peer.at_once = report_early
    reports = Reports(node.catalog, lambda: 0.0, {})
    to = Peer("PACS", "127.0.0.1", peer.port, "RADNODE", connect_s=10, response_s=0.3)

    ask(to, "1.2.3", [Reference("1.2", "1.3")], reports, lambda: False, wait_s=0.1)

    assert not let_go.is_set()
    let_go.set()


def test_nobody_there_is_asked_again(tmp_path: Path) -> None:
    """Down for days: the wait grows, the rows stay."""
    node = Node(tmp_path, free_port(), wait_s=0.0)
    node.tick()
    assert node.standing() == {"again"}
    node.tick(60)

    assert node.standing() == {"again"}
    assert len(node.made()) == 2
    node.catalog.close()


def test_a_peer_without_storage_commitment_is_asked_again(tmp_path: Path) -> None:
    """Its operator has to allow it; then the images need not be sent again."""
    with commitment_peer(CommitmentPeer(), commits=False) as scp:
        node = Node(tmp_path, scp.port, wait_s=0.0)
        node.tick()

        assert node.standing() == {"again"}
        assert {row.state for row in node.rows()} == {"delivered"}
        node.catalog.close()


def test_a_request_is_sent_once_even_if_its_job_runs_twice(
    hasty: Node, peer: CommitmentPeer
) -> None:
    """Killed between N-ACTION and checkpoint: the step runs again, the N-ACTION does not."""
    hasty.tick()
    for transaction in hasty.made():
        task = hasty.catalog.work.task(TaskKey(WorkKind.ASK, "pacs", transaction))
        assert task is not None
        hasty.commitments.ask(task)

    assert len(peer.requests) == 1


def test_the_durable_engine_asks_by_itself(tmp_path: Path, peer: CommitmentPeer) -> None:
    """Rows, then a job by Transaction UID, then the N-ACTION."""
    peer.then = commit_all
    node = Node(tmp_path, peer.port, wait_s=30.0)
    engine = Engine(f"sqlite:///{tmp_path / 'pipeline.sqlite'}", "test:worker")
    due = DueWork(engine, node.catalog.claims, "test:worker")
    due.add([node.handler(engine.step(node.commitments.ask, "ask"))])
    engine.launch()
    try:
        node.commitments.tick()
        due.look(WorkKind.ASK)
        wait_for(lambda: node.standing() == {"committed"}, "commitment", 60)
    finally:
        engine.close()
        node.catalog.close()
    assert len(peer.requests) == 1
