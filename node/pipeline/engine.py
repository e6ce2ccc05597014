"""The durable engine: the only file that knows DBOS.

What DBOS needs to be safe on one machine with SQLite is in `DECISIONS.md`: our connection factory
(write-ahead log, full fsync, a clock with milliseconds), an executor id that is stable and never
used by two live processes (held by a file lock), a pinned application version, and JSON in the
database. A job is started directly: it waits on no queue, for it was claimed when its turn came.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial, wraps
from pathlib import Path
from typing import Any, Final

from dbos import (
    DBOS,
    DBOSConfig,
    DBOSPortableJSONSerializer,
    PortableWorkflowError,
    SetWorkflowID,
)
from dbos import _workflow_commands as dbos_commands
from dbos import error as dbos_error
from sqlalchemy import make_url

from node.errors import NodeError, StoreError, UnforeseenError, reason_of
from node.pipeline.durable_connection import DurableConnection
from node.pipeline.time_limit import LONGEST_S, time_limited
from node.store.looking import look_at_pipeline
from node.store.private import private_database
from radnet.errors import RadnetError

APPLICATION_VERSION: Final = "pipeline-3"
"""To be raised where a workflow or its arguments change: jobs of another one are never resumed.
What they were at stands in the catalog as claimed, and is begun anew at the next start: the ids of
jobs tell their version, so that no job of an older one stands for it."""
OLDER_VERSIONS: Final = ["pipeline-1", "pipeline-2"]
CLOSED_WITHIN_S: Final = 0.5
"""So long the end of an engine may wait for DBOS's listener to messages, of which we send none."""
REST_S: Final = 30.0
"""So seldom DBOS looks for what an idle node never has: delayed and timed out jobs, and jobs on
its own queue, where only those that it resumes at a launch ever wait. By itself it looks each
second, for 1 % of a core (measured in DECISIONS.md)."""
INTERNALS: Final = {
    "dbos._workflow_commands": {"_BACKGROUND_JOBS_INTERVAL_SEC": "no setting says it"},
    "dbos.DBOS": {"_registry": "knows its own queue"},
    "dbos._dbos.DBOSRegistry": {"get_internal_queue": "its own queue"},
    "dbos.Queue": {"_polling_interval_sec": "its setter is for queues in the database alone"},
}
"""What is touched here and no part of DBOS's interface; `pyproject.toml` pins its version."""
RECOVERY_ATTEMPTS: Final = 3
LIVE_STATES: Final = ["PENDING", "ENQUEUED", "DELAYED"]
ENDED_STATES: Final = ["SUCCESS", "CANCELLED", "ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
FORGOTTEN_AT_ONCE: Final = 200

STORE_ATTEMPTS: Final = 20
STORE_FIRST_WAIT_S: Final = 1.0
STORE_BACKOFF: Final = 1.5
"""All waits together: an hour and a quarter."""

Workflow = Callable[..., Any]


@dataclass(frozen=True)
class StandingJob:
    """A job that has not ended."""

    workflow_id: str
    workflow: str
    arguments: tuple[Any, ...]


def _is_passing(error: BaseException) -> bool:
    """Tell whether a step failed of something that passes by itself."""
    return isinstance(error, StoreError)


KNOWN: Final = (NodeError, RadnetError, dbos_error.DBOSException, PortableWorkflowError)
"""Errors whose texts we, or DBOS, wrote; the last is what DBOS makes of one when it reads it."""


ENDS: Final = (
    dbos_error.DBOSBaseException,  # cancelled, or somebody else's by now
    KeyboardInterrupt,
    SystemExit,
    GeneratorExit,
    asyncio.CancelledError,
)
"""What ends a job, or its process, on purpose."""


def _unquoting(function: Workflow) -> Workflow:
    """Let an unforeseen error pass without its text: DBOS keeps and logs what it is given.

    A panic of a library in Rust is a BaseException, which DBOS would let pass: the job would keep
    its slot, and be run again after each restart.
    """

    @wraps(function)
    def run(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except (*KNOWN, *ENDS):
            raise
        except BaseException as error:  # noqa: BLE001 - here the worker meets whatever is raised
            raise UnforeseenError(reason_of(error)) from None

    return run


def _live(**which: Any) -> list[str]:
    """Return the ids of jobs that have not ended."""
    found = DBOS.list_workflows(
        status=list(LIVE_STATES), load_input=False, load_output=False, **which
    )
    return [job.workflow_id for job in found]


class Engine:
    """Durable workflows, each in a thread of its own from its start; one engine a process.

    How many run at once is for the caller to see to.

    Parameters
    ----------
    url : str
        Database of the pipeline, ``sqlite:///...`` or ``postgresql+psycopg://...``.
    executor_id : str
        Stable and unique name of this process; see `node.store.locks.executor_id`.

    Raises
    ------
    StoreError
        If the database cannot be used.
    """

    def __init__(self, url: str, executor_id: str) -> None:
        self.executor_id = executor_id
        look_at_pipeline(url)
        config: DBOSConfig = {
            "name": "radnet-node",
            "system_database_url": url,
            "executor_id": executor_id,
            "application_version": APPLICATION_VERSION,
            "serializer": DBOSPortableJSONSerializer(),
            "log_level": "ERROR",
            "notification_listener_polling_interval_sec": CLOSED_WITHIN_S,
        }
        if url.startswith("sqlite"):
            private_database(Path(make_url(url).database or ""))
            config["db_engine_kwargs"] = {
                "connect_args": {"factory": DurableConnection, "timeout": 30}
            }
        dbos_commands._BACKGROUND_JOBS_INTERVAL_SEC = REST_S
        self._dbos = DBOS(config=config)
        self._resumed: list[str] = []

    def workflow(
        self, name: str, lives: int = RECOVERY_ATTEMPTS
    ) -> Callable[[Workflow], Workflow]:
        """Register a function as the durable workflow `name`; its arguments are JSON.

        Parameters
        ----------
        lives
            After so many deaths of the process in the middle of it a job is dead. They are not
            always its own fault: what kills the process takes every running job along.
        """
        register = DBOS.workflow(name=name, max_recovery_attempts=lives)
        return lambda function: register(_unquoting(function))

    def step(self, function: Workflow, name: str, longest_s: float = LONGEST_S) -> Workflow:
        """Register a callable as a step: its result is kept, a crash runs it again.

        So does a database that cannot be used now: a lock or a restart is not the job's fault.

        Parameters
        ----------
        longest_s
            After so long it is given up, whatever it is at: its job ends in `OverdueError`, and
            another one has its slot. It counts from each beginning, that after a restart, too.
        """
        bounded = time_limited(_unquoting(function), name, longest_s)

        # DBOS marks what it registers, and a bound method cannot be marked.
        @DBOS.step(
            name=name,
            retries_allowed=True,
            max_attempts=STORE_ATTEMPTS,
            interval_seconds=STORE_FIRST_WAIT_S,
            backoff_rate=STORE_BACKOFF,
            should_retry=_is_passing,
        )
        def run(*arguments: Any) -> Any:
            return bounded(*arguments)

        return run

    def launch(self) -> None:
        """Resume what this executor left unfinished; from now on jobs can be started."""
        DBOS.listen_queues([])  # but for DBOS's own, by which it resumes jobs
        DBOS.launch()
        self._resumed = _live(app_version=APPLICATION_VERSION)
        self.rest()

    def rest(self) -> float:
        """Let DBOS look seldom at its own queue, once all that was resumed has ended.

        Returns
        -------
        float
            How often it looks there from now on, in seconds.
        """
        if self._resumed:
            self._resumed = _live(workflow_ids=self._resumed)
        own = self._dbos._registry.get_internal_queue()
        if not self._resumed:
            own._polling_interval_sec = REST_S
        return own._polling_interval_sec

    def start(self, job: str, workflow: Workflow, *arguments: Any) -> None:
        """Run a job at once, in a thread of its own; one that is known is left as it is.

        Known is also what ended, and what this executor was at when it was killed: that is
        resumed by `launch`.

        Parameters
        ----------
        job
            Its name, of which its id is made.
        """
        with SetWorkflowID(f"{APPLICATION_VERSION}/{job}"):
            DBOS.start_workflow(workflow, *arguments)

    def standing_elsewhere(self) -> list[StandingJob]:
        """Return the jobs of other processes that have not ended; at most 200."""
        found = DBOS.list_workflows(
            status=list(LIVE_STATES), app_version=APPLICATION_VERSION, load_output=False
        )
        elsewhere = [
            StandingJob(job.workflow_id, job.name, tuple(job.input["args"]) if job.input else ())
            for job in found
            if job.executor_id != self.executor_id
        ]
        return elsewhere[:FORGOTTEN_AT_ONCE]

    def cancel(self, workflow_id: str) -> None:
        """End a job; who is at it notices at its next step."""
        DBOS.cancel_workflow(workflow_id)

    def forget(self, before: float) -> int:
        """Remove jobs that were made before a time and have ended; return how many, at most 400.

        DBOS keeps them for ever. What they did, and what died, stands in the catalog. So do jobs
        of an older version of the pipeline, ended or not: nobody resumes them.

        Parameters
        ----------
        before
            Seconds since the epoch.
        """
        old = partial(
            DBOS.list_workflows,
            end_time=datetime.fromtimestamp(before, UTC).isoformat(),
            limit=FORGOTTEN_AT_ONCE,
            load_input=False,
            load_output=False,
        )
        left = old(status=list(LIVE_STATES), app_version=OLDER_VERSIONS)
        over = [job.workflow_id for job in [*old(status=list(ENDED_STATES)), *left]]
        if over:
            DBOS.delete_workflows(over)
        return len(over)

    def close(self) -> None:
        """Start no more jobs; running ones are resumed by the next launch."""
        DBOS.destroy(destroy_registry=True)
