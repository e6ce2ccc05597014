"""What follows where a job on a series died: its images still travel, or somebody is told why not.

A job is dead that raised what nobody foresaw, held its slot for too long, or killed its process
too often.
"""

from dataclasses import dataclass
from typing import Final

import structlog

from node.model.failures import SEGMENTATION_DIED, Failure, FailureKind, failure
from node.model.keys import RevisionKey
from node.model.states import RevisionState
from node.model.work import Task
from node.store.catalog import Catalog
from node.store.files import InstanceFiles
from node.store.studies.revisions import Ending
from node.upkeep.leftovers import remove_leftovers

log = structlog.get_logger()

DIED: Final = "died"
"""In the detail of a recognition: a `Failure` as JSON, of the attempt that died."""


@dataclass(frozen=True)
class GivingUp:
    """Sees to revisions whose job died."""

    catalog: Catalog
    files: InstanceFiles

    def recognition(self, dead: Task) -> None:
        """Let a series whose recognition died be routed without; one that was, is given up."""
        if DIED in dead.detail:
            self._give_up(dead, failure(FailureKind.ROUTING, dead.reason))
            return
        died = failure(FailureKind.RECOGNITION, dead.reason)
        self.catalog.work.later(
            dead,
            0.0,
            attempts=dead.attempts + 1,
            reason=died.reason,
            detail={DIED: died.as_json()},
        )

    def segmentation(self, dead: Task) -> None:
        """Record on its series that a segmentation died."""
        why = Failure(f"{SEGMENTATION_DIED}{dead.reason}", FailureKind.SEGMENTATION)
        self._give_up(dead, why)

    def _give_up(self, dead: Task, why: Failure) -> None:
        """Note why a revision has no result, and remove what its job wrote and did not record.

        In one transaction: whoever has it run again waits for its end, and writes anew after it.
        """
        ending = Ending(RevisionState.UNUSABLE, why.reason, why.kind)
        with self.catalog.write() as connection:
            if self.catalog.revisions.end_in(connection, dead, ending):
                series = RevisionKey.parse(dead.key).series
                remove_leftovers(self.catalog, self.files, series)
                log.error("series given up", series=series, because=why.reason)
