"""The durable engine on SQLite and on PostgreSQL: once, at once, and dead jobs are seen."""

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from inspect import getsource
from pathlib import Path
from pkgutil import resolve_name

import pytest
from dbos import DBOS, SetEnqueueOptions, SetWorkflowID

from node.errors import UnusableSeriesError
from node.pipeline.engine import (
    APPLICATION_VERSION,
    ENDED_STATES,
    INTERNALS,
    LIVE_STATES,
    OLDER_VERSIONS,
    REST_S,
    Engine,
)
from tests.node_process import wait_for
from tests.peers import running_postgresql


def status(job: str) -> str:
    """Return what became of a job, in the engine's words; '' of one that it does not know."""
    found = DBOS.get_workflow_status(f"{APPLICATION_VERSION}/{job}")
    return "" if found is None else str(found.status)


def error(job: str) -> str:
    """Return why a job is dead, as the engine keeps it."""
    found = DBOS.get_workflow_status(f"{APPLICATION_VERSION}/{job}")
    assert found is not None
    return f"{found.status}: {found.error}"


def ended(job: str) -> Callable[[], bool]:
    """Return a condition: a job has ended."""
    return lambda: status(job) in ENDED_STATES


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Make an engine with its own database, of either kind."""
    with ExitStack() as stack:
        url = f"sqlite:///{tmp_path / 'pipeline.sqlite'}"
        if request.param == "postgresql":
            url = stack.enter_context(running_postgresql()).url
        made = Engine(url, "test:worker")
        yield made
        made.close()


def test_a_known_id_runs_once(engine: Engine) -> None:
    """Deterministic ids make every start safe to repeat: amid the job, and after its end."""
    ran: list[str] = []
    begun, hold = threading.Event(), threading.Event()

    def note(word: str) -> None:
        ran.append(word)
        begun.set()
        hold.wait(60)

    step = engine.step(note, "note")

    @engine.workflow("job")
    def job(word: str) -> None:
        step(word)

    engine.launch()
    engine.start("job/1", job, "one")
    assert begun.wait(60)
    engine.start("job/1", job, "one")
    hold.set()
    wait_for(ended("job/1"), "its end", patience_s=60)
    engine.start("job/1", job, "one")
    engine.start("job/2", job, "two")

    wait_for(ended("job/2"), "the other", patience_s=60)
    assert ran == ["one", "two"]


def test_a_job_waits_for_no_other(engine: Engine) -> None:
    """Who starts it has seen to how many there are; none of them stands behind another."""
    together = threading.Barrier(17)

    @engine.workflow("meets")
    def meets(number: int) -> None:
        assert number in range(16)
        together.wait(60)

    engine.launch()
    for number in range(16):
        engine.start(f"meets/{number}", meets, number)

    together.wait(60)


def test_jobs_are_dated_finer_than_by_a_second(engine: Engine) -> None:
    """DBOS's own SQLite clock counts whole seconds."""

    @engine.workflow("nothing")
    def nothing() -> None:
        pass

    engine.launch()
    for number in range(4):
        engine.start(f"nothing/{number}", nothing)
    found = DBOS.list_workflows(load_input=False, load_output=False)

    assert any((job.created_at or 0) % 1000 for job in found)


def test_a_job_that_raises_is_dead_with_its_reason(engine: Engine) -> None:
    """What we wrote of it is kept."""

    @engine.workflow("broken")
    def broken(uid: str, revision: int) -> None:
        raise UnusableSeriesError(f"cannot do {uid} {revision}")

    engine.launch()
    engine.start("broken/1", broken, "1.2.3", 4)

    wait_for(ended("broken/1"), "the dead job", patience_s=60)
    assert error("broken/1") == "ERROR: cannot do 1.2.3 4"


class _Panic(BaseException):
    """What pyo3 makes of a panic in Rust: no Exception."""


@pytest.mark.parametrize("where", ["step", "workflow"])
def test_a_panic_ends_its_job(engine: Engine, where: str) -> None:
    """DBOS lets a BaseException pass: the job stayed PENDING, and was run at every start."""

    def panic() -> None:
        raise _Panic("called `Option::unwrap()` on a `None` value")

    step = engine.step(panic, "panic")

    @engine.workflow("panics")
    def panics() -> None:
        (step if where == "step" else panic)()

    engine.launch()
    engine.start("bad", panics)

    wait_for(ended("bad"), "the end", patience_s=60)
    assert "ERROR: _Panic" in error("bad")


def test_a_job_that_holds_its_slot_too_long_is_given_up(engine: Engine) -> None:
    """Its reason stands where others stand."""
    hold = threading.Event()
    step = engine.step(hold.wait, "holding on", longest_s=0.2)

    @engine.workflow("holds")
    def holds() -> None:
        step()

    engine.launch()
    engine.start("bad", holds)

    wait_for(ended("bad"), "the end", patience_s=60)
    hold.set()
    assert "holding on held its slot for more than 0.2 s" in error("bad")


def test_a_cancelled_job_stays_cancelled(engine: Engine) -> None:
    """What DBOS raises to end a job is not an error of the job."""
    begun, hold = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        hold.wait(60)

    step = engine.step(wait, "wait")

    @engine.workflow("waits")
    def waits() -> None:
        step()
        step()

    engine.launch()
    engine.start("cancelled", waits)
    assert begun.wait(60)
    engine.cancel(f"{APPLICATION_VERSION}/cancelled")
    hold.set()
    engine.start("another", waits)

    wait_for(lambda: status("another") == "SUCCESS", "another job", patience_s=60)
    assert status("cancelled") == "CANCELLED"


HOLDER = """
import os, pathlib, sys, threading
from dbos import DBOS
from node.pipeline.engine import APPLICATION_VERSION, Engine

folder = pathlib.Path(sys.argv[1])
engine = Engine(f"sqlite:///{folder / 'pipeline.sqlite'}", "test:worker")

def hold():
    if sys.argv[2] == "first":
        os.kill(os.getpid(), 9)
    threading.Event().wait()

step = engine.step(hold, "hold", 0.2)

@engine.workflow("holder")
def holder():
    step()

engine.launch()
if sys.argv[2] == "first":
    engine.start("holder/1", holder)
while DBOS.get_workflow_status(APPLICATION_VERSION + "/holder/1").status != "ERROR":
    threading.Event().wait(0.1)
print(DBOS.get_workflow_status(APPLICATION_VERSION + "/holder/1").error)
engine.close()
"""


def test_a_job_that_was_pending_at_a_restart_is_given_up_too(tmp_path: Path) -> None:
    """It is resumed, and holds its slot again."""
    first, second = (
        subprocess.run(
            [sys.executable, "-c", HOLDER, str(tmp_path), turn],
            timeout=120,
            check=False,
            capture_output=True,
            text=True,
        )
        for turn in ("first", "second")
    )

    assert first.returncode == -signal.SIGKILL
    assert second.returncode == 0
    assert "hold held its slot for more than 0.2 s; it is given up" in second.stdout


@pytest.mark.parametrize("where", ["step", "workflow"])
def test_the_text_of_an_unforeseen_error_is_kept_nowhere(
    engine: Engine, tmp_path: Path, capfd: pytest.CaptureFixture[str], where: str
) -> None:
    """It may quote a file's name or a header's value, and so a patient."""

    def measure() -> None:
        raise ValueError("/in/DOE^JOHN.dcm holds DOE^JOHN")

    step = engine.step(measure, "measure")

    @engine.workflow("broken")
    def broken() -> None:
        (step if where == "step" else measure)()

    engine.launch()
    engine.start("broken/1", broken)

    wait_for(ended("broken/1"), "the dead job", patience_s=60)
    assert re.fullmatch(r"ERROR: ValueError at node\.pipeline\.engine:\d+", error("broken/1"))
    engine.close()
    for kept in tmp_path.glob("pipeline.sqlite*"):
        assert b"DOE" not in kept.read_bytes()
    said = capfd.readouterr()
    assert "DOE" not in said.out + said.err


def test_only_old_jobs_that_have_ended_are_forgotten(engine: Engine) -> None:
    """A database that keeps every job for ever is a disk that fills; one that runs is work."""
    hold = threading.Event()

    @engine.workflow("work")
    def work(kind: str) -> None:
        if kind == "dies":
            raise ValueError("poison")
        if kind == "runs":
            hold.wait(60)

    engine.launch()
    for kind in ("ends", "dies", "runs"):
        engine.start(kind, work, kind)
    wait_for(ended("ends"), "the end", patience_s=60)
    wait_for(ended("dies"), "the dead job", patience_s=60)
    now = time.time()

    assert engine.forget(now - 3600) == 0
    assert status("dies") == "ERROR"
    assert engine.forget(now + 3600) == 2
    assert engine.forget(now + 3600) == 0
    assert status("dies") == ""
    assert status("runs") in LIVE_STATES
    hold.set()
    wait_for(lambda: status("runs") == "SUCCESS", "the end", patience_s=60)


def test_old_jobs_of_an_older_version_are_forgotten_whatever_they_are_at(engine: Engine) -> None:
    """Nobody resumes them: what they were at is due in the catalog."""

    @engine.workflow("work")
    def work() -> None:
        pass

    engine.launch()
    for version in OLDER_VERSIONS:
        with (
            SetEnqueueOptions(app_version=version),
            SetWorkflowID(f"{APPLICATION_VERSION}/{version}"),
        ):
            DBOS.enqueue_workflow("work@gone", work)
    engine.start("mine", work)
    wait_for(lambda: status("mine") == "SUCCESS", "a job of this version", patience_s=60)
    now = time.time()

    assert {status(version) for version in OLDER_VERSIONS} == {"ENQUEUED"}
    assert engine.forget(now - 3600) == 0
    assert engine.forget(now + 3600) == 1 + len(OLDER_VERSIONS)
    assert {status(version) for version in OLDER_VERSIONS} == {""}


def test_two_live_processes_never_share_an_executor_id(tmp_path: Path) -> None:
    """The second waits for the lock; it gets it when the first one dies."""
    script = (
        "import sys, pathlib\n"
        "from node.store.locks import executor_lock\n"
        "with executor_lock(pathlib.Path(sys.argv[1])):\n"
        "    print('mine', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    argv = [sys.executable, "-c", script, str(tmp_path / "worker.lock")]
    with (
        subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first,
        subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as second,
    ):
        assert first.stdout is not None
        assert second.stdout is not None
        holders = {first, second}
        wait_for(lambda: bool(_holders(tmp_path / "worker.lock")), "a holder", patience_s=60)
        (pid,) = _holders(tmp_path / "worker.lock")
        holder = next(one for one in holders if one.pid == pid)
        (other,) = holders - {holder}

        holder.kill()
        holder.wait()

        assert other.stdout is not None
        told = iter(other.stdout.readline, b"")  # it logged that it waits
        assert b"mine\n" in told
        other.kill()


def _holders(lock: Path) -> list[int]:
    """Return who holds the lock of a file, as the kernel lists it."""
    if not lock.exists():
        return []
    inode = str(lock.stat().st_ino)
    rows = [line.split() for line in Path("/proc/locks").read_text("ascii").splitlines()]
    return [int(r[4]) for r in rows if r[1] == "FLOCK" and r[5].endswith(f":{inode}")]


KILLER = """
import os, pathlib, sys, threading
from dbos import DBOS
from node.pipeline.engine import APPLICATION_VERSION, Engine

folder = pathlib.Path(sys.argv[1])
engine = Engine(f"sqlite:///{folder / 'pipeline.sqlite'}", "test:worker")

@engine.workflow("killer", lives=int(sys.argv[2]))
def killer():
    with (folder / "deaths").open("a") as file:
        file.write("x")
    os.kill(os.getpid(), 9)

engine.launch()
engine.start("killer/1", killer)
job = APPLICATION_VERSION + "/killer/1"
while DBOS.get_workflow_status(job).status != "MAX_RECOVERY_ATTEMPTS_EXCEEDED":
    threading.Event().wait(0.1)
engine.close()
"""


@pytest.mark.parametrize("lives", [1, 3])
def test_a_job_that_kills_its_process_is_dead_after_its_lives(lives: int, tmp_path: Path) -> None:
    """Counted by the engine's database: a new process does not begin anew."""
    argv = [sys.executable, "-c", KILLER, str(tmp_path), str(lives)]
    codes: list[int] = []
    while not codes or codes[-1] == -signal.SIGKILL:
        codes.append(subprocess.run(argv, timeout=120, check=False).returncode)

    assert codes[-1] == 0
    assert len((tmp_path / "deaths").read_text("ascii")) == lives + 1


MOVED = """
import os, pathlib, sys, threading
from node.pipeline.engine import Engine
from node.store.files import InstanceFiles
from node.store.locks import executor_id

folder = pathlib.Path(sys.argv[1])
name = executor_id(InstanceFiles(folder), sys.argv[2])
engine = Engine(f"sqlite:///{folder / 'pipeline.sqlite'}", name)
done = threading.Event()

@engine.workflow("moved")
def moved():
    if sys.argv[2] == "first":
        os.kill(os.getpid(), 9)
    done.set()

engine.launch()
if sys.argv[2] == "first":
    engine.start("moved/1", moved)
finished = done.wait(60)
engine.close()
sys.exit(0 if finished else 1)
"""


def test_a_job_is_resumed_where_the_machine_has_another_name(tmp_path: Path) -> None:
    """A container has another one each time it is made: what it was at would stand still."""
    codes = [
        subprocess.run(
            [sys.executable, "-c", MOVED, str(tmp_path), host], timeout=120, check=False
        ).returncode
        for host in ("first", "second")
    ]

    assert codes == [-signal.SIGKILL, 0]


RESTING = """
import os, pathlib, sys, threading
from dbos import DBOS
from node.pipeline.engine import Engine

folder = pathlib.Path(sys.argv[1])
engine = Engine(f"sqlite:///{folder / 'pipeline.sqlite'}", "test:worker")
may_end = threading.Event()

@engine.workflow("waiting")
def waiting():
    if sys.argv[2] == "first":
        os.kill(os.getpid(), 9)
    may_end.wait(60)

engine.launch()
if sys.argv[2] == "first":
    engine.start("waiting/1", waiting)
    threading.Event().wait(60)
begun = engine.rest()
may_end.set()
while not DBOS.list_workflows(status="SUCCESS"):
    threading.Event().wait(0.05)
print(begun, engine.rest())
engine.close()
"""


def test_its_own_queue_is_looked_at_seldom_once_what_was_resumed_has_ended(tmp_path: Path) -> None:
    """What waits there would otherwise wait for half a minute."""
    argv = [sys.executable, "-c", RESTING, str(tmp_path)]
    first = subprocess.run([*argv, "first"], timeout=120, check=False)
    second = subprocess.run([*argv, "second"], timeout=120, check=True, capture_output=True)

    assert first.returncode == -signal.SIGKILL
    assert second.stdout.decode().split() == ["1.0", str(REST_S)]


def test_nothing_resumed_lets_it_rest_at_once(engine: Engine) -> None:
    """An idle node costs nothing."""
    engine.launch()

    assert engine.rest() == REST_S


@pytest.mark.parametrize("owner", INTERNALS)
def test_what_is_touched_inside_of_dbos_exists(owner: str) -> None:
    """An upgrade may move it, and nothing would say so: setting an attribute makes it."""
    source = getsource(resolve_name(owner))

    for name in INTERNALS[owner]:
        assert re.search(rf"^\s*(def {name}\(|(self\.)?{name}\b.* = )", source, re.MULTILINE)
