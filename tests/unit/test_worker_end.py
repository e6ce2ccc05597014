"""How a worker ends that is told to."""

import threading
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest

from node import worker
from node.settings import NodeSection, Settings


def test_what_is_begun_is_not_counted_once_the_engine_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, a job could begin after it, and would count as one that killed its process."""
    ended = MagicMock()
    stop = threading.Event()
    stop.set()
    parts = SimpleNamespace(
        launch=lambda: None, jobs=list, looks=list, due=SimpleNamespace(close=ended.due)
    )
    engine = SimpleNamespace(close=ended.engine)
    loader = SimpleNamespace(networks=lambda: None)
    monkeypatch.setattr(worker, "NetworkLoader", lambda *_: loader)
    monkeypatch.setattr(worker, "Engine", lambda *_: engine)
    monkeypatch.setattr(worker, "build", lambda *_: parts)

    worker.work(Settings(node=NodeSection(data=tmp_path / "data")), stop)

    assert [call[0] for call in ended.mock_calls] == ["engine", "due"]
