"""`radnode receive` in a process of its own, and what it takes of the machine."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from node.store.catalog import Catalog
from tests.node_process import wait_for
from tests.peers import free_port
from tests.wire import ClosedError, Wire

MIB = 1 << 20


class ReceiverProcess:
    """A receiver with its settings file and log.

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
        self.port = free_port()
        self.data = data
        self._config = folder / "node.toml"
        self._log = folder / "node.log"
        self._config.write_text(
            f'[node]\nbind = "127.0.0.1"\nport = {self.port}\ndata = "{data}"\n'
            f"[receive]\n{receive}\n",
            encoding="utf-8",
        )
        self.catalog = Catalog(f"sqlite:///{data / 'catalog.sqlite'}")
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "node.cli", "receive", "--config", str(self._config)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def answers(self) -> bool:
        """Tell whether it answers C-ECHO."""
        assert self._process.poll() is None, self.log()
        try:
            with Wire(self.port) as wire:
                answered = wire.associate().echo() == 0
                wire.release()
                return answered
        except (OSError, ClosedError):
            return False

    def log(self) -> str:
        """Return what it has logged."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def _status(self, key: str) -> int:
        assert self._process.poll() is None, self.log()
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
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
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")

    @property
    def threads(self) -> int:
        """How many threads it has."""
        return self._status("Threads")

    def _open(self) -> list[str]:
        """Return what it has open, without the pool of database connections, which may grow."""
        found = []
        for one in Path(f"/proc/{self._process.pid}/fd").iterdir():
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

    def stop(self) -> None:
        """End it and wait for it."""
        self._process.terminate()
        self._process.wait(60)
        self.catalog.close()


@contextmanager
def running_receiver_process(
    folder: Path, data: Path | None = None, receive: str = ""
) -> Iterator[ReceiverProcess]:
    """Run a receiver for one test."""
    receiver = ReceiverProcess(folder, data or folder / "data", receive)
    try:
        wait_for(receiver.answers, "the receiver")
        yield receiver
    finally:
        receiver.stop()
