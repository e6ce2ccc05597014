"""Jobs in forked children, a few at a time, each with a limit of the processor's time."""

import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

LONGEST_WAIT: Final = 10
"""So many times its processor seconds may pass before a job on a busy machine is given up..."""

LEAST_WAIT_S: Final = 60.0
"""... and so many more."""

CRASHED: Final = 70
"""Status of a child that ended by an exception."""


@dataclass(frozen=True)
class Job:
    """What a child does.

    Attributes
    ----------
    number : int
        Tells it from others.
    do : callable
        Returns the exit status.
    seconds : float
        What it may take of the processor.
    """

    number: int
    do: Callable[[], int]
    seconds: float


@dataclass
class Children:
    """Runs jobs in forked children.

    Attributes
    ----------
    jobs : int
        How many at a time.
    output : Path
        A new folder for what they print, a file for each number.
    """

    jobs: int
    output: Path
    _running: dict[int, tuple[int, float]] = field(default_factory=dict)

    def run(self, work: Iterator[Job]) -> Iterator[tuple[int, int]]:
        """Yield number and status of each job as it ends; what is left of `work` waits.

        Returns
        -------
        iterator of (int, int)
            Status as of `os.waitstatus_to_exitcode`; `-SIGXCPU` where a job took too much of the
            processor, `-SIGKILL` where too much time passed.
        """
        self.output.mkdir(exist_ok=True)
        more = True
        while more or self._running:
            while more and len(self._running) < self.jobs:
                job = next(work, None)
                more = job is not None
                if job is not None:
                    self._start(job)
            yield from self._ended()
            time.sleep(0.02)

    def printed(self, number: int) -> str:
        """Return the end of what a job printed."""
        text = (self.output / f"{number}.txt").read_text(encoding="utf-8", errors="replace")
        return text[-2000:]

    def _start(self, job: Job) -> None:
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            _work(job, self.output)
        until = time.monotonic() + LONGEST_WAIT * job.seconds + LEAST_WAIT_S
        self._running[pid] = (job.number, until)

    def _ended(self) -> Iterator[tuple[int, int]]:
        for pid, (number, until) in list(self._running.items()):
            gone, status = os.waitpid(pid, os.WNOHANG)
            if not gone and time.monotonic() < until:
                continue
            _end_group(pid)
            if not gone:
                _, status = os.waitpid(pid, 0)
            del self._running[pid]
            shutil.rmtree(self.output / str(number), ignore_errors=True)
            yield number, os.waitstatus_to_exitcode(status)


def _work(job: Job, output: Path) -> None:
    """Do a job in this process, and end it."""
    status = CRASHED
    try:
        os.setsid()
        file = os.open(output / f"{job.number}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        temporary = output / str(job.number)
        temporary.mkdir()
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(temporary)
        limit = int(job.seconds) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        status = job.do()
    except BaseException:  # noqa: BLE001  a child ends here, whatever happens
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def _end_group(pid: int) -> None:
    """End a child and what it started."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
