"""A node, or its receiver alone, in processes of its own, and what they take of the machine."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from node.deliver.build import build
from node.errors import DeliveryError
from node.settings import DimseDestination
from node.store.catalog import Catalog
from tests.peers import free_port

PATIENCE_S = 240.0
MIB = 1 << 20


def wait_for(condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Poll until `condition` holds; fail loudly when it never does."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience_s:g} s in vain for {what}")
        time.sleep(0.1)


@cache
def models_made() -> None:
    """Have the models of the shipped weights made, once: no node that is waited for makes them."""
    make = "from radnet.cli import main; main()"
    subprocess.run([sys.executable, "-c", make, "models"], check=True)


class Program:
    """A command of `radnode` with its settings file and log.

    Parameters
    ----------
    folder : Path
        Settings and log go here.
    role : str
        The command.
    settings : str
        TOML put below the address where it listens, in its section `[node]`.
    environment : mapping
        Variables on top of our own.
    """

    def __init__(
        self, folder: Path, role: str, settings: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.port = free_port()
        self.config = folder / "node.toml"
        self._log = folder / "node.log"
        self._role = role
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self.config.write_text(
            f'[node]\nbind = "127.0.0.1"\nport = {self.port}\n{settings}', encoding="utf-8"
        )

    @property
    def peer(self) -> DimseDestination:
        """The node as somebody else's destination."""
        return DimseDestination(
            kind="dimse", name="node", ae_title="RADNODE", host="127.0.0.1", port=self.port
        )

    def start(self) -> None:
        """Start it and wait until it answers C-ECHO."""
        self.launch()
        wait_for(self.answers, "the receiver")

    def launch(self) -> None:
        """Start it and wait for nothing: it may be killed before it answers."""
        if self._role in ("run", "work"):
            models_made()
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "node.cli", self._role, "--config", str(self.config)]
            self._process = subprocess.Popen(
                command,
                stderr=log,
                stdout=log,
                env=self._environment,
                start_new_session=True,  # its processes are a group that can be killed at once
            )

    @property
    def runs(self) -> bool:
        """Whether it lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def answers(self) -> bool:
        """Tell whether the receiver answers C-ECHO."""
        assert self._process is not None
        exit_code = self._process.poll()
        assert exit_code is None, f"exit {exit_code} after\n{self.log()}"
        try:
            build(self.peer, "TEST").check()
        except DeliveryError:
            return False
        return True

    def log(self) -> str:
        """Return what it has logged."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> int | None:
        """End it and wait for it; return its exit status, None where it was never started."""
        if self._process is None:
            return None
        if self.runs:
            self._process.terminate()
        return self._process.wait(60)


class NodeProcess(Program):
    """`radnode run` and its children.

    Parameters
    ----------
    folder : Path
        Data, settings and log go here.
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
        urls = f'catalog_url = "{database}"\npipeline_url = "{database}"\n' if database else ""
        settings = (
            f'data = "data"\n{urls}'
            f"[series]\nsettle_s = 1.0\nquiet_s = 5.0\n{rules_and_destinations}"
        )
        super().__init__(folder, "run", settings, environment)
        self.catalog = Catalog(database or f"sqlite:///{folder / 'data' / 'catalog.sqlite'}")

    def pid_of(self, role: str) -> int:
        """Return the process id of a role; "run" is the supervisor."""
        if role == "run":
            return self.pid
        started = [
            json.loads(line) for line in self.log().splitlines() if '"process started"' in line
        ]
        return int([line for line in started if line["role"] == role][-1]["pid"])

    def kill(self, role: str) -> None:
        """Send SIGKILL to one process."""
        os.kill(self.pid_of(role), signal.SIGKILL)
        if role == "run" and self._process is not None:
            self._process.wait()


class ReceiverProcess(Program):
    """`radnode receive`.

    Parameters
    ----------
    folder : Path
        Settings and log go here.
    data : Path
        Its data folder.
    receive : str
        TOML put into its section `[receive]`.
    """

    def __init__(self, folder: Path, data: Path, receive: str = "") -> None:
        super().__init__(folder, "receive", f'data = "{data}"\n[receive]\n{receive}\n')
        self.data = data
        self.catalog = Catalog(f"sqlite:///{data / 'catalog.sqlite'}")

    def _status(self, key: str) -> int:
        assert self.runs, self.log()
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1])
        raise AssertionError(f"no {key}")

    @property
    def resident(self) -> int:
        """Octets of memory it has now."""
        return self._status("VmRSS") << 10

    @property
    def peak(self) -> int:
        """The most octets of memory it ever had, or had since `forget_peak`."""
        return self._status("VmHWM") << 10

    def forget_peak(self) -> None:
        """Let the peak begin anew (proc(5), clear_refs)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    @property
    def threads(self) -> int:
        """How many threads it has."""
        return self._status("Threads")

    def _open(self) -> list[str]:
        """Return what it has open, without the pool of database connections, which may grow."""
        found = []
        for one in Path(f"/proc/{self.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                found.append(str(one.readlink()))
        return [name for name in found if "catalog.sqlite" not in name]

    @property
    def descriptors(self) -> int:
        """How many files and sockets it has open, besides its database."""
        return len(self._open())

    def connections(self) -> int:
        """How many sockets it has open beyond the one it listens on."""
        return sum(name.startswith("socket:") for name in self._open()) - 1


@contextmanager
def running(folder: Path, rules_and_destinations: str) -> Iterator[NodeProcess]:
    """Run a node for one test."""
    node = NodeProcess(folder, rules_and_destinations)
    node.start()
    try:
        yield node
    finally:
        node.stop()


@contextmanager
def running_receiver_process(
    folder: Path, data: Path | None = None, receive: str = ""
) -> Iterator[ReceiverProcess]:
    """Run a receiver for one test."""
    receiver = ReceiverProcess(folder, data or folder / "data", receive)
    try:
        receiver.start()
        yield receiver
    finally:
        receiver.stop()
        receiver.catalog.close()
