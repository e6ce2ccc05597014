"""A whole node in processes of its own, for acceptance tests."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from node.deliver.build import build
from node.errors import DeliveryError
from node.settings import DimseDestination
from node.store.catalog import Catalog
from tests.peers import free_port

PATIENCE_S = 240.0


def wait_for(condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Poll until `condition` holds; fail loudly when it never does."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience_s:g} s in vain for {what}")
        time.sleep(0.1)


class NodeProcess:
    """`radnode run` with its settings file, log and children.

    Parameters
    ----------
    folder : Path
        Data and settings go here.
    rules_and_destinations : str
        TOML put below the node's own sections.
    environment : mapping
        Variables on top of our own.
    database : str
        URL of a server for catalog and pipeline; '' for SQLite in the data folder.
    """

    def __init__(
        self,
        folder: Path,
        rules_and_destinations: str,
        environment: Mapping[str, str] | None = None,
        database: str = "",
    ) -> None:
        self._environment = {**os.environ, **(environment or {})}
        self.port = free_port()
        self.config = folder / "node.toml"
        self.log = folder / "node.log"
        urls = f'catalog_url = "{database}"\npipeline_url = "{database}"\n' if database else ""
        self.config.write_text(
            f'[node]\nbind = "127.0.0.1"\nport = {self.port}\ndata = "data"\n{urls}'
            f"[series]\nsettle_s = 1.0\nquiet_s = 5.0\n{rules_and_destinations}",
            encoding="utf-8",
        )
        self.catalog = Catalog(database or f"sqlite:///{folder / 'data' / 'catalog.sqlite'}")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def peer(self) -> DimseDestination:
        """The node as somebody else's destination."""
        return DimseDestination(
            kind="dimse", name="node", ae_title="RADNODE", host="127.0.0.1", port=self.port
        )

    def start(self) -> None:
        """Start the node and wait until it answers C-ECHO."""
        self.launch()
        wait_for(self.answers, "the receiver")

    def launch(self) -> None:
        """Start the node and wait for nothing: it may be killed before it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "node.cli", "run", "--config", str(self.config)],
                stderr=log,
                stdout=log,
                env=self._environment,
                start_new_session=True,  # its processes are a group that can be killed at once
            )

    @property
    def runs(self) -> bool:
        """Whether the supervisor lives."""
        return self._process is not None and self._process.poll() is None

    def answers(self) -> bool:
        """Tell whether the receiver answers C-ECHO."""
        assert self._process is not None
        exit_code = self._process.poll()
        assert exit_code is None, f"exit {exit_code} after\n{self.log.read_text()}"
        try:
            build(self.peer, "TEST").check()
        except DeliveryError:
            return False
        return True

    def pid_of(self, role: str) -> int:
        """Return the process id of a role; "run" is the supervisor."""
        assert self._process is not None
        if role == "run":
            return self._process.pid
        started = [
            json.loads(line)
            for line in self.log.read_text(encoding="utf-8").splitlines()
            if '"process started"' in line
        ]
        return int([line for line in started if line["role"] == role][-1]["pid"])

    def kill(self, role: str) -> None:
        """Send SIGKILL to one process."""
        os.kill(self.pid_of(role), signal.SIGKILL)
        if role == "run" and self._process is not None:
            self._process.wait()

    def stop(self) -> None:
        """End the node and wait for it."""
        if self._process is not None and self.runs:
            self._process.terminate()
            self._process.wait(60)


@contextmanager
def running(folder: Path, rules_and_destinations: str) -> Iterator[NodeProcess]:
    """Run a node for one test."""
    node = NodeProcess(folder, rules_and_destinations)
    node.start()
    try:
        yield node
    finally:
        node.stop()
