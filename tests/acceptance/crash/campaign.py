"""One node, killed at many points while studies pass through it."""

import os
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from node.model.states import CommitmentState, DeliveryState
from node.model.work import WorkKind
from node.store.catalog import Catalog
from node.store.tables import delivery
from tests.acceptance.crash.peers import RecordingPeer, Scanner, SentStudy
from tests.acceptance.crash.points import POINTS, Point
from tests.acceptance.crash.studies import StudyMaker
from tests.node_process import NodeProcess, wait_for
from tests.peers import ROOT

PATIENCE_S: Final = 300.0
REST_S: Final = 900.0  # a commitment that was not answered is asked for again after minutes
COMMITTING: Final = ("pacs",)
WHOLE_NODE_EVERY: Final = 3  # of the kills takes the supervisor and the other process along
LAUNCHER: Final = ROOT / "tests" / "acceptance" / "crash" / "launcher"
SETTINGS: Final = """
[retention]
delete = true
keep_days = 0
[[destinations]]
name = "pacs"
kind = "dimse"
ae_title = "RECORDER"
host = "127.0.0.1"
port = {port}
commitment = true
commitment_timeout_s = 20
commitment_wait_s = 0
first_delay_s = 1
capture = true
[[rules]]
name = "all"
when = "true"
deliver = ["pacs"]
[[rules]]
name = "liver"
when = '"liver" in findings.coverage.value'
segment = ["liver"]
results_to = ["pacs"]
"""


@dataclass(frozen=True)
class Order:
    """Kill at this call of this point; "node" takes the whole process group."""

    point: Point
    call: int
    scope: str


def drawn(points: Sequence[Point], runs: int, seed: int) -> list[Order]:
    """Return every point `runs` times in an order, and at calls, drawn at random."""
    chance = random.Random(seed)  # noqa: S311 - reproducible, not secret
    orders: list[Order] = []
    for _ in range(runs):
        for point in chance.sample(points, len(points)):
            scope = "node" if len(orders) % WHOLE_NODE_EVERY == 1 else "process"
            orders.append(Order(point, chance.randint(1, point.calls), scope))
    return orders


@dataclass
class Campaign:
    """A node under attack, with its scanner and its recording peer.

    Attributes
    ----------
    killed
        How often at which point.
    """

    folder: Path
    node: NodeProcess
    peer: RecordingPeer
    scanner: Scanner
    maker: StudyMaker
    killed: Counter[int] = field(default_factory=Counter)
    studies: list[SentStudy] = field(default_factory=list)
    _serial: int = 0
    _standing: dict[str, Order] = field(default_factory=dict)

    def carry_out(self, orders: Sequence[Order]) -> None:
        """Kill at every point in turn, one point of each role at a time, while studies come."""
        queues = {
            role: [order for order in orders if order.point.role == role]
            for role in ("receive", "work")
        }
        while any(queues.values()):
            for queue in queues.values():
                if queue:
                    self._give(queue.pop(0))
            study = self.maker.make()
            self.studies.append(study)
            self.scanner.send(study, PATIENCE_S, self.keep_running)
            wait_for(self._carried_out, f"kills at {self._numbers()}", PATIENCE_S)

    def _numbers(self) -> str:
        return ", ".join(str(order.point.number) for order in self._standing.values())

    def _give(self, order: Order) -> None:
        """Write an order whole: the node's processes look for it all the time."""
        self._serial += 1
        role = order.point.role
        text = f"{self._serial} {order.point.number} {order.call} {order.scope}"
        draft = self.folder / "draft"
        draft.write_text(text, encoding="ascii")
        draft.rename(self.folder / f"order-{role}")
        self._standing[role] = order

    def _carried_out(self) -> bool:
        self.keep_running()
        for role, order in list(self._standing.items()):
            done = self.folder / f"order-{role}.done"
            if done.exists():
                done.unlink()
                self.killed[order.point.number] += 1
                del self._standing[role]
        return not self._standing

    def keep_running(self) -> None:
        """Start the node again where its whole group was killed."""
        if not self.node.runs:
            self.node.launch()

    def settle(self) -> None:
        """Return when nothing is on its way any more; where that never comes, say what is."""
        try:
            wait_for(self._rests, "rest", REST_S)
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *self.on_its_way()])) from error

    def _rests(self) -> bool:
        # A kill of the whole group may fall after the last look at whether the node runs.
        self.keep_running()
        return not self.on_its_way()

    def on_its_way(self) -> list[str]:
        """Return what still has to happen."""
        catalog, found = self.node.catalog, []
        for study in self.studies:
            found += [
                f"series {one.series_instance_uid} is {one.state}"
                for one in catalog.studies.series_of(study.study_instance_uid)
                if one.state not in ("done", "unusable")
            ]
            found += [
                f"{one.sop_instance_uid} is pending: {one.batch}, attempt {one.attempts}, "
                f"{one.reason!r}"
                for one in catalog.delivery_states.of_study(study.study_instance_uid)
                if one.state == "pending"
            ]
        found += [
            f"study {task.key} is to be summarised"
            for task in catalog.work.open(WorkKind.SUMMARISE, "")
        ]
        found += [f"{path} is to be removed" for path in catalog.instances.to_remove()]
        now = time.time()
        found += [
            f"series {uid} may be deleted"
            for uid in catalog.retention.aged(now)
            if not catalog.retention.kept_because(uid, now, COMMITTING)
        ]
        return found + waiting_for_commitment(catalog)

    @property
    def longest_stall_s(self) -> float:
        """The longest that an acknowledged instance took to come to the peer."""
        return max(
            (
                self.peer.held[uid].first - at
                for uid, at in self.scanner.acknowledged.items()
                if uid in self.peer.held
            ),
            default=0.0,
        )


def waiting_for_commitment(catalog: Catalog) -> list[str]:
    """Return which delivered instances nobody has committed to yet, and why."""
    query = sa.select(
        delivery.c.sop_instance_uid,
        delivery.c.commitment,
        delivery.c.commitment_due,
        delivery.c.commitment_attempts,
    ).where(
        delivery.c.state == DeliveryState.DELIVERED,
        delivery.c.commitment.is_distinct_from(CommitmentState.COMMITTED),
    )
    with catalog.engine.connect() as connection:
        return [
            f"{row.sop_instance_uid} is {row.commitment}, due in "
            f"{(row.commitment_due or 0) - time.time():.0f} s after {row.commitment_attempts}"
            for row in connection.execute(query)
        ]


@contextmanager
def campaign(folder: Path, database: str = "") -> Iterator[Campaign]:
    """Run a node that can be killed at points, between a scanner and a recording peer."""
    orders = folder / "orders"
    orders.mkdir()
    peer = RecordingPeer()
    environment = {"RADNET_CRASH": str(orders), "PYTHONPATH": f"{LAUNCHER}{os.pathsep}{ROOT}"}
    node = NodeProcess(folder, SETTINGS.format(port=peer.port), environment, database)
    peer.node = node.peer
    made = Campaign(orders, node, peer, Scanner(node.peer), StudyMaker(folder))
    node.start()
    try:
        yield made
    finally:
        node.stop()
        node.catalog.close()
        peer.close()


def without_result(done: Campaign) -> list[str]:
    """Return why a CT has no segmentation: shown, for it is allowed only with its reason."""
    return [
        f"without results          {one.state}: {one.reason}"
        for study in done.studies
        for one in done.node.catalog.studies.series_of(study.study_instance_uid)
        if one.series_instance_uid == study.ct_series_uid and one.reason
    ]


def table(done: Campaign, lost: int, started: float) -> str:
    """Return the figures of a campaign."""
    lines = [f"{'point':>5}  {'process':8} {'kills':>5}  what had happened by then"]
    lines += [
        f"{p.number:>5}  {p.role:8} {done.killed[p.number]:>5}  {p.where}"
        for p in POINTS
        if done.killed[p.number]
    ]
    copies = sum(sum(one.digests.values()) for one in done.peer.held.values())
    delivered = sum(uid in done.peer.held for uid in done.scanner.acknowledged)
    lines += [
        f"points x kills           {len(done.killed)} points, {sum(done.killed.values())} kills",
        f"studies                  {len(done.studies)}",
        f"instances acknowledged   {len(done.scanner.acknowledged)}",
        f"of these delivered       {delivered}",
        f"lost                     {lost}",
        f"results delivered        {len(done.peer.held) - delivered}",
        *without_result(done),
        f"commitment reports       {done.peer.reports}",
        f"delivered more than once {copies - len(done.peer.held)} copies",
        f"longest stall            {done.longest_stall_s:.1f} s from Success to the peer",
        f"longest wait for Success {done.scanner.longest_wait_s:.1f} s for one study",
        f"took                     {time.monotonic() - started:.0f} s",
    ]
    return "\n".join(lines)
