"""Jobs that stand in the engine for ever, since the process that began them is gone."""

from dataclasses import dataclass
from typing import Protocol

import structlog

from node.model.states import WorkState
from node.model.work import TaskKey, WorkKind
from node.pipeline.engine import StandingJob
from node.store.work.work import Work

log = structlog.get_logger()


class StandingJobs(Protocol):
    """What is needed of the engine."""

    def standing_elsewhere(self) -> list[StandingJob]:
        """Return the jobs of other processes that have not ended."""

    def cancel(self, workflow_id: str) -> None:
        """End a job."""


@dataclass(frozen=True)
class Strays:
    """Cancels them, where what they were to do is no longer theirs.

    Nothing hangs on it: the lease of their process ended, and another does the work under
    another claim. A process that lives has its claims, and its jobs are left alone.
    """

    engine: StandingJobs
    work: Work

    def look(self) -> None:
        """Cancel what is a stray now.

        Raises
        ------
        StoreError
            If the rows cannot be read.
        """
        for job in self.engine.standing_elsewhere():
            if not self._is_claimed(job):
                self.engine.cancel(job.workflow_id)
                log.info("a job of a process that is gone was cancelled", job=job.workflow)

    def _is_claimed(self, job: StandingJob) -> bool:
        match job.arguments:
            case (str(lane), str(key), int(serial)) if job.workflow in list(WorkKind):
                task = self.work.task(TaskKey(WorkKind(job.workflow), lane, key))
            case _:
                return False
        return task is not None and (task.state, task.serial) == (WorkState.CLAIMED, serial)
