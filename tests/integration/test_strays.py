"""Jobs of a process that is gone, which stand for ever: they alone are cancelled."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from dbos import DBOS

from node.model.work import TaskKey, WorkKind
from node.pipeline.engine import ENDED_STATES, Engine
from node.pipeline.strays import Strays
from node.store.catalog import Catalog
from tests.lives import life
from tests.node_process import wait_for
from tests.peers import running_postgresql
from tests.store_rows import catalog_on

KEY = TaskKey(WorkKind.REPORT, "SCANNER", "2.25.1")
GONE: Final = "gone:worker"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give a database for the engines, of either kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'pipeline.sqlite'}"
        return
    with running_postgresql() as server:
        yield server.url


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """Make the engine of a process that lives."""
    with ExitStack() as stack:
        made = Engine(url, "here:worker")
        stack.callback(made.close)
        yield made


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    """Give an empty catalog."""
    with catalog_on(f"sqlite:///{tmp_path / 'catalog.sqlite'}") as made:
        yield made


def _vanish(url: str, kind: str, job: str, *arguments: object) -> None:
    """Begin a job in a process of its own, and be gone."""
    begun = threading.Event()
    engine = Engine(url, GONE)

    def hold(*_: object) -> None:
        begun.set()
        threading.Event().wait()

    held = engine.workflow(kind)(hold)
    engine.launch()
    engine.start(job, held, *arguments)
    assert begun.wait(60)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_job_is_cancelled_when_its_claim_is_over(
    url: str, engine: Engine, catalog: Catalog
) -> None:
    """Not before: its process may live, on another machine."""
    with catalog.write() as connection:
        catalog.work.add(connection, KEY)
    (task,) = catalog.claims.claim(WorkKind.REPORT, lambda w: w.first("SCANNER", 1), GONE)
    arguments = (KEY.lane, KEY.key, task.serial)
    assert life(_vanish, url, "report", task.job, *arguments) == -signal.SIGKILL
    engine.launch()
    strays = Strays(engine, catalog.work)

    strays.look()
    assert [job.arguments for job in engine.standing_elsewhere()] == [arguments]

    assert catalog.claims.give_up(GONE, [WorkKind.REPORT]) == 1
    strays.look()
    assert engine.standing_elsewhere() == []


def test_a_job_that_names_no_work_is_cancelled(url: str, engine: Engine, catalog: Catalog) -> None:
    """No process of this version would know what to do with it."""
    assert life(_vanish, url, "odd", "odd/1", "word") == -signal.SIGKILL
    engine.launch()
    assert len(engine.standing_elsewhere()) == 1

    Strays(engine, catalog.work).look()

    assert engine.standing_elsewhere() == []


def test_a_job_of_ones_own_is_no_stray(engine: Engine) -> None:
    """It is at work."""
    ends = threading.Event()

    @engine.workflow("report")
    def report(lane: str, key: str, serial: int) -> None:
        assert (lane, key) == (KEY.lane, KEY.key)
        assert serial
        assert ends.wait(60)

    engine.launch()
    for serial in (1, 2):
        engine.start(f"report/SCANNER/2.25.1/{serial}", report, KEY.lane, KEY.key, serial)
    found = engine.standing_elsewhere()
    ends.set()

    assert found == []
    ended = partial(DBOS.list_workflows, status=list(ENDED_STATES))
    wait_for(lambda: len(ended()) == 2, "their ends", 60)
