"""Whether rows have changed is asked twice a second; no change may go unnoticed."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from node.errors import StoreError
from node.pipeline import ticker
from node.pipeline.ticker import Look, Ticker
from node.store.changes import Changes
from node.store.database import Database
from tests.peers import RunningPostgresql


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Yield a database with one table."""
    if request.param == "postgresql":
        server: RunningPostgresql = request.getfixturevalue("postgresql_server")
        opened = Database(server.url)
    else:
        opened = Database(f"sqlite:///{tmp_path / 'c.sqlite'}")
    with opened.write() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS noted")
        connection.exec_driver_sql("CREATE TABLE noted (value INTEGER)")
    yield opened
    opened.close()


def written(database: Database) -> None:
    """Commit something."""
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO noted VALUES (1)")


def quiet(changes: Changes) -> bool:
    """Wait until nothing is reported any more; a server has writers of its own."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        changes.happened()
        time.sleep(0.05)
        if not changes.happened():
            return True
    return False


def test_what_another_connection_writes_is_noticed_once(database: Database) -> None:
    """Also the first time, when nobody knows what there was before."""
    changes = Changes(database)

    assert changes.happened()
    assert quiet(changes)
    written(database)
    assert changes.happened()
    assert quiet(changes)
    changes.close()


def test_to_read_is_no_change(database: Database) -> None:
    """Else each look would call for the next one."""
    changes = Changes(database)
    assert quiet(changes)

    with database.read() as connection:
        connection.execute(sa.text("SELECT value FROM noted")).all()

    assert not changes.happened()
    changes.close()


def test_a_write_that_is_not_committed_yet_is_noticed_when_it_is(database: Database) -> None:
    """A look between the two sees nothing; the one after must come."""
    changes = Changes(database)
    assert quiet(changes)
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO noted VALUES (1)")
        changes.happened()

    assert changes.happened()
    changes.close()


def test_what_another_process_writes_is_noticed(tmp_path: Path) -> None:
    """The receiver is one."""
    path = tmp_path / "c.sqlite"
    opened = Database(f"sqlite:///{path}")
    with opened.write() as connection:
        connection.exec_driver_sql("CREATE TABLE noted (value INTEGER)")
    changes = Changes(opened)
    changes.happened()
    assert not changes.happened()

    other = sqlite3.connect(path)
    other.execute("INSERT INTO noted VALUES (1)")
    other.commit()
    other.close()

    assert changes.happened()
    changes.close()
    opened.close()


def test_where_it_cannot_be_told_everything_may_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look too many costs little; one too few leaves a patient's images where they are."""
    opened = Database(f"sqlite:///{tmp_path / 'c.sqlite'}")
    changes = Changes(opened)
    changes.happened()
    monkeypatch.setattr("node.store.changes.PRAGMA", "SELECT nothing")
    assert changes.happened()
    assert changes.happened()
    monkeypatch.undo()
    assert changes.happened()
    assert not changes.happened()
    opened.close()


def test_a_look_rests_while_nothing_changes_and_is_woken_when_something_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fourteen looks a second took 7 % of a core of a node that had nothing to do."""
    monkeypatch.setattr(ticker, "WATCH_S", 0.02)
    monkeypatch.setattr(ticker, "LONGEST_REST_S", 60.0)
    changed, looked = threading.Event(), threading.Semaphore(0)

    def told() -> bool:
        was = changed.is_set()
        changed.clear()
        return was

    def look() -> float:
        looked.release()
        return 60.0

    with Ticker([], [Look(look), Look(look)], told):
        assert all(looked.acquire(timeout=5) for _ in range(2))
        assert not looked.acquire(timeout=0.3)
        changed.set()
        assert all(looked.acquire(timeout=5) for _ in range(2))


def test_a_look_comes_again_after_the_rest_it_asks_for_and_after_it_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is due by the clock changes no row; and a defect stops nothing."""
    monkeypatch.setattr(ticker, "WATCH_S", 0.02)
    monkeypatch.setattr(ticker, "LONGEST_REST_S", 0.1)
    looked = threading.Semaphore(0)
    answers: Iterator[float | Exception] = iter(
        [0.0, 60.0, StoreError("locked"), RuntimeError("defect")]
    )

    def look() -> float:
        looked.release()
        answer = next(answers, 60.0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with Ticker([], [Look(look)], lambda: False):
        assert all(looked.acquire(timeout=5) for _ in range(6))
