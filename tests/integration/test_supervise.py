"""The supervisor restarts what dies and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from node.supervise import Supervisor
from tests.node_process import wait_for

CHILD = """
import sys, threading
from node.supervise import stop_on_signals, stop_with_parent
stop = stop_on_signals()
stop_with_parent(int(sys.argv[1]), stop)
stop.wait()
"""


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


def test_children_end_when_the_supervisor_is_killed() -> None:
    """No orphan may keep the port or the worker's lock."""
    script = f"""
import sys
from node.supervise import Supervisor
import threading
child = {CHILD!r}
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
        child = int(line)

        parent.kill()

        wait_for(lambda: not _lives(child), "the orphan to end", patience_s=30)


def _lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):  # it may end while it is read
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"
