"""How a worker ends that is told to."""

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock, call

import pytest

from node import worker
from node.model.work import WorkKind
from node.pipeline.due import DueWork, Handler, in_turn
from node.settings import NodeSection, Settings


def test_what_is_due_ends_in_order_and_closes_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who closed the engine alone would let its jobs die of that."""
    close = MagicMock()
    ended = MagicMock()
    stop = threading.Event()
    stop.set()
    parts = SimpleNamespace(
        launch=lambda: None, jobs=list, looks=list, due=SimpleNamespace(close=ended)
    )
    engine = SimpleNamespace(close=close)
    loader = SimpleNamespace(networks=lambda: None)
    monkeypatch.setattr(worker, "NetworkLoader", lambda *_: loader)
    monkeypatch.setattr(worker, "Engine", lambda *_: engine)
    monkeypatch.setattr(worker, "build", lambda *_: parts)

    worker.work(Settings(node=NodeSection(data=tmp_path / "data")), stop)

    ended.assert_called_once_with(close)
    close.assert_not_called()


def test_what_is_begun_is_not_counted_once_the_engine_is_closed() -> None:
    """Before, a job could begin after it, and would count as one that killed its process."""
    called = MagicMock()
    due = DueWork(called.engine, called.claims, "worker")

    due.close(called.engine.close)

    assert called.mock_calls == [call.engine.close(), call.claims.end_in_order("worker")]


def test_what_begins_after_that_is_left_to_the_next_start() -> None:
    """Its thread was started before; were it counted, it would count as a death."""
    called = MagicMock()
    started: list[Callable[..., None]] = []
    called.engine.workflow.return_value = started.append
    due = DueWork(called.engine, called.claims, "worker")
    due.add([Handler(WorkKind.REPORT, 1, called.do, called.bury, in_turn())])
    due.close(called.engine.close)

    with pytest.raises(SystemExit):
        started[0]("SCANNER", "2.25.1", 1)

    called.claims.begin.assert_not_called()
    called.claims.die.assert_not_called()
