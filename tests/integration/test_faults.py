"""Faults that are no kills: a locked database, a clock that is set, on receiver and worker."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydicom.uid import SegmentationStorage
from structlog.testing import capture_logs

from node.errors import StoreError
from node.model.work import WorkKind
from node.pipeline.ticker import Ticker
from node.receive.statuses import StoreStatus
from node.settings import ReceiveSection
from node.store import database
from node.store.catalog import Catalog
from tests.bench import Bench, slices
from tests.node_process import wait_for
from tests.receiver import running_receiver, send


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a writer wait a moment for its turn, where the node waits half a minute."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.2)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the write lock of a catalog, as a backup or a stuck process does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.mark.usefixtures("hasty")
def test_receiver_says_failure_while_the_database_is_locked(tmp_path: Path) -> None:
    """The peer is told so, nothing is lost, and the same association goes on afterwards."""
    (image,) = slices(0)
    with running_receiver(tmp_path) as node:
        assoc = node.associate()
        with locked(tmp_path / "catalog.sqlite"):
            refused = send(assoc, image)
            assert node.catalog.instances.get(image.SOPInstanceUID) is None
        taken = send(assoc, image)
        assoc.release()

        assert refused == StoreStatus.PROCESSING_FAILURE
        assert taken == StoreStatus.SUCCESS
        assert node.catalog.instances.get(image.SOPInstanceUID) is not None


def test_a_catalog_that_is_locked_for_long_costs_no_association(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noting the association waits for longer than a negotiation or a silence may take."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 1.5)
    monkeypatch.setattr(database, "BRIEFLY_S", 1.5)
    (image,) = slices(0)
    limits = ReceiveSection(negotiation_timeout_s=1.0, network_timeout_s=1.2)
    with running_receiver(tmp_path, limits) as node:
        with locked(tmp_path / "catalog.sqlite"):
            assoc = node.associate()
            refused = [send(assoc, image), send(assoc, image)]
        taken = send(assoc, image)
        assoc.release()

        assert refused == [StoreStatus.PROCESSING_FAILURE] * 2
        assert taken == StoreStatus.SUCCESS
        assert len(node.stored()) == 1


def test_noting_an_association_does_not_take_the_patience_of_its_first_instance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that waits for a minute at most would hear nothing; the next change waits as ever."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 300.0)
    monkeypatch.setattr(database, "BRIEFLY_S", 0.1)
    path = tmp_path / "catalog.sqlite"
    with closing(Catalog(f"sqlite:///{path}")) as catalog:
        catalog.upgrade()
        with locked(path), pytest.raises(StoreError, match="locked"):
            catalog.access.open("A", "B", "C", 1.0)

        assert catalog.access.open("A", "B", "C", 2.0)
        with catalog.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 300_000


def test_worker_waits_while_the_database_is_locked(bench: Bench) -> None:
    """A lock is nobody's fault: recognition and segmentation end as ever once it is gone."""
    reached, lock, failed = threading.Event(), threading.Event(), threading.Event()
    put = bench.catalog.findings.put

    def told(*arguments: Any, **named: Any) -> None:
        reached.set()
        assert lock.wait(60)
        try:
            put(*arguments, **named)
        except StoreError:
            failed.set()
            raise

    def hurry(connection: sqlite3.Connection, *_: object) -> None:
        # Only here: on a slow disk others wait longer than that for each other's commits.
        hasty = lock.is_set() and not failed.is_set()
        connection.execute(f"PRAGMA busy_timeout = {200 if hasty else 30_000}")

    sa.event.listen(bench.catalog.engine.pool, "checkout", hurry)
    bench.catalog.findings.put = told  # type: ignore[method-assign]
    bench.receive(*slices(*range(6)))
    bench.tick(3)
    assert reached.wait(60)
    with locked(bench.files.root / "catalog.sqlite"):
        lock.set()
        assert failed.wait(60)

    wait_for(lambda: len(bench.pacs.sent) == 8 and bench.nothing_pending(), "everything", 60)

    assert bench.ends("done")()
    assert len(bench.sent(SegmentationStorage)) == 1
    assert bench.catalog.work.open(WorkKind.RECOGNISE, "") == []  # nothing died


def test_clock_set_back_by_an_hour_delays_no_series(bench: Bench) -> None:
    """How long a series has been quiet is measured by a clock that nobody sets."""
    bench.receive(*slices(*range(6)))
    bench.tick(-3600)
    assert bench.last() is None

    bench.steadily += 3
    bench.tick(0)

    wait_for(lambda: len(bench.pacs.sent) == 8 and bench.nothing_pending(), "everything", 60)


def test_clock_set_back_by_an_hour_delays_no_retry(bench: Bench) -> None:
    """What was due in half a minute is still due in half a minute."""
    bench.pacs.down = True
    bench.receive(*slices(0, 1, 2))
    bench.tick(3)
    wait_for(bench.ends("done"), "the verdict", 60)
    wait_for(bench.at_rest, "an attempt with images, and one with results", 60)

    bench.pacs.down = False
    bench.set_clock(-3600)
    bench.tick(61)

    wait_for(bench.nothing_pending, "the second attempt", 60)
    assert len(bench.pacs.sent) == 5


def test_clock_set_forward_by_a_day_fires_no_storm(bench: Bench) -> None:
    """A retry that is due in half a minute is not due because the clock was set."""
    bench.pacs.down = True
    bench.receive(*slices(0, 1, 2))
    bench.tick(3)
    wait_for(bench.ends("done"), "the verdict", 60)
    wait_for(bench.at_rest, "an attempt with images, and one with results", 60)
    before = [
        (one.attempts, one.due_at) for one in bench.catalog.work.open(WorkKind.DELIVER, "pacs")
    ]
    assert [attempts for attempts, _ in before] == [1, 1]

    bench.set_clock(86400)

    after = [
        (one.attempts, one.due_at - 86400)
        for one in bench.catalog.work.open(WorkKind.DELIVER, "pacs")
    ]
    assert after == before


def test_ticker_goes_on_after_a_job_that_failed() -> None:
    """A database that is gone for a while must not stop the sweep for ever."""
    ran = threading.Semaphore(0)

    def job() -> None:
        ran.release()
        raise StoreError("the catalog was not read")

    with Ticker([(job, 0.01)]):
        assert ran.acquire(timeout=30)
        assert ran.acquire(timeout=30)


def test_ticker_tells_of_a_defect_where_it_is_and_not_what_it_says() -> None:
    """A traceback ends with a text that may quote a header value."""
    failed = threading.Event()

    def job() -> None:
        failed.set()
        raise ValueError("DOE^JOHN")

    with capture_logs() as said, Ticker([(job, 0.001)]):
        assert failed.wait(timeout=30)
        wait_for(lambda: bool(said), "the word", 30)

    assert said[0]["event"] == "a job of the worker failed"
    assert said[0]["because"].startswith("ValueError at node.pipeline.ticker:")
    assert len(said[0]["frames"]) == 2
    assert "exc_info" not in said[0]
    assert "DOE" not in repr(said)


def test_ticker_runs_no_job_after_its_end() -> None:
    """The engine is closed next: a job that comes late would find it gone."""
    ran: list[int] = []
    with Ticker([(lambda: ran.append(1), 0.001)]):
        wait_for(lambda: len(ran) > 1, "some runs", 30)
    count = len(ran)
    threading.Event().wait(0.05)

    assert len(ran) == count
