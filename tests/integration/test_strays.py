"""Jobs of a process that is gone, which stand on its queue for ever: they alone are cancelled."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from node.model.work import TaskKey, WorkKind
from node.pipeline.engine import Engine, Queue
from node.pipeline.strays import Strays
from node.store.catalog import Catalog
from tests.peers import RunningPostgresql, running_postgresql
from tests.store_rows import catalog_on

KEY = TaskKey(WorkKind.REPORT, "SCANNER", "2.25.1")
MINE, GONE = "report@here:worker", "report@gone:worker"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Make an engine with its own database, of either kind."""
    with ExitStack() as stack:
        url = f"sqlite:///{tmp_path / 'pipeline.sqlite'}"
        if request.param == "postgresql":
            server: RunningPostgresql = stack.enter_context(running_postgresql())
            url = server.url
        made = Engine(url, "here:worker")
        yield made
        made.close()


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    """Give an empty catalog."""
    with catalog_on(f"sqlite:///{tmp_path / 'catalog.sqlite'}") as made:
        yield made


def test_a_job_is_cancelled_when_its_claim_is_over(engine: Engine, catalog: Catalog) -> None:
    """Not before: its process may live, on another machine."""

    @engine.workflow("report")
    def report(lane: str, key: str, serial: int) -> None:
        raise AssertionError(f"nobody listens to the queue of {lane} {key} {serial}")

    engine.launch([Queue(MINE, 1)])
    with catalog.write() as connection:
        catalog.work.add(connection, KEY)
    (task,) = catalog.claims.claim(WorkKind.REPORT, lambda w: w.first("SCANNER", 1), "gone:worker")
    engine.enqueue(GONE, task.job, report, KEY.lane, KEY.key, task.serial)
    strays = Strays(engine, catalog.work)

    strays.look()
    assert [job.workflow_id for job in engine.standing_elsewhere()] == [task.job]

    assert catalog.claims.give_up("gone:worker", [WorkKind.REPORT]) == 1
    strays.look()
    assert engine.standing_elsewhere() == []


def test_a_job_that_names_no_work_is_cancelled(engine: Engine, catalog: Catalog) -> None:
    """No process of this version would know what to do with it."""

    @engine.workflow("odd")
    def odd(word: str) -> None:
        raise AssertionError(f"nobody listens: {word}")

    engine.launch([Queue(MINE, 1)])
    engine.enqueue("odd", "odd/1", odd, "word")

    Strays(engine, catalog.work).look()

    assert engine.standing_elsewhere() == []


def test_a_job_of_ones_own_is_no_stray(engine: Engine) -> None:
    """It is at work, or waits for its turn."""
    ends = threading.Event()

    @engine.workflow("report")
    def report(lane: str, key: str, serial: int) -> None:
        assert (lane, key) == (KEY.lane, KEY.key)
        assert serial
        assert ends.wait(60)

    engine.launch([Queue(MINE, 1)])
    for serial in (1, 2):
        engine.enqueue(MINE, f"report/SCANNER/2.25.1/{serial}", report, KEY.lane, KEY.key, serial)
    found = engine.standing_elsewhere()
    ends.set()

    assert found == []
