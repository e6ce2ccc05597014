"""The supervisor restarts what dies and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from node.cli.serving import role_command
from node.store.locks import executor_lock
from node.supervise import Supervisor
from tests.node_process import wait_for

CHILD = """
import sys, threading
from node.supervise import stop_on_signals, stop_with_parent
stop = stop_on_signals()
stop_with_parent(int(sys.argv[1]), stop)
stop.wait()
"""


STUBBORN = """
import sys, threading
from node.supervise import stop_with_parent
stop_with_parent(int(sys.argv[1]), threading.Event())
threading.Event().wait()
"""
"""A child in the middle of something that asks nobody whether to stop."""


def command(_role: str, descriptor: int) -> list[str]:
    """Return a child that does nothing until it is told to stop."""
    return [sys.executable, "-c", CHILD, str(descriptor)]


def test_a_killed_child_is_replaced_and_all_end_with_the_supervisor() -> None:
    """Kill -9 of a role costs a moment, not the role."""
    stop = threading.Event()
    supervisor = Supervisor(command, ("receive", "work"))
    thread = threading.Thread(target=supervisor.run, args=(stop,))
    thread.start()
    first = supervisor.pids["receive"]

    os.kill(first, signal.SIGKILL)

    wait_for(lambda: supervisor.pids["receive"] != first, "a new receiver", patience_s=30)
    last = dict(supervisor.pids)
    stop.set()
    thread.join(30)
    assert not thread.is_alive()
    for pid in last.values():
        assert not _lives(pid)


@pytest.mark.parametrize("child", [CHILD, STUBBORN], ids=["listens", "is busy"])
def test_children_end_when_the_supervisor_is_killed(child: str) -> None:
    """No orphan may keep the port or the worker's lock, whatever it is at."""
    script = f"""
import sys
from node.supervise import Supervisor
import threading
child = {child!r}
supervisor = Supervisor(lambda role, fd: [sys.executable, "-c", child, str(fd)], ("work",))
print(supervisor.pids["work"], flush=True)
supervisor.run(threading.Event())
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as parent:
        assert parent.stdout is not None
        for line in parent.stdout:
            if line.strip().isdigit():
                break
        pid = int(line)

        parent.kill()

        wait_for(lambda: not _lives(pid), "the orphan to end", patience_s=30)


def test_a_waiting_worker_loads_nothing_and_ends_with_its_supervisor(tmp_path: Path) -> None:
    """Killed supervisors left workers that loaded 0.7 GB each and waited for one another."""
    config = tmp_path / "node.toml"
    config.write_text(f'[node]\ndata = "{tmp_path / "data"}"\nport = 0\n', encoding="utf-8")
    read, write = os.pipe()
    with executor_lock(tmp_path / "data" / "run" / "worker.lock"):
        worker = subprocess.Popen(
            role_command(config)("work", read),
            pass_fds=[read],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        os.close(read)
        assert worker.stderr is not None
        for line in worker.stderr:
            if b"waiting for another process" in line:
                break
        maps = Path(f"/proc/{worker.pid}/maps").read_text(encoding="utf-8", errors="replace")
        os.close(write)

        assert worker.wait(60) == 0
        worker.stderr.close()
    assert "openvino" not in maps
    assert "libtorch" not in maps


def test_a_role_imports_nothing_from_where_it_was_started(tmp_path: Path) -> None:
    """A copy.py there ran as the service."""
    (tmp_path / "copy.py").write_text("open('was_here', 'w').close()\n", encoding="utf-8")

    ended = subprocess.run(
        role_command(tmp_path / "none.toml")("receive", 0),
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )

    assert ended.returncode == 2
    assert not (tmp_path / "was_here").exists()


def _lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):  # it may end while it is read
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"
