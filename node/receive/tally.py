"""What came over one association, for the line that the log gets at its end."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

MOST: Final = 20
"""Studies that are counted by themselves; a peer may send instances of very many."""


@dataclass
class AssociationTally:
    """Counts of one association; its one thread writes them."""

    kept: Counter[str] = field(default_factory=Counter)
    others: int = 0
    refused: int = 0

    def keep(self, study_instance_uid: str) -> None:
        """Count an instance that was acknowledged."""
        if study_instance_uid in self.kept or len(self.kept) < MOST:
            self.kept[study_instance_uid] += 1
        else:
            self.others += 1

    def summary(self) -> dict[str, Any]:
        """Return how many instances were acknowledged, of which studies, and how many refused."""
        counts = {
            "instances": self.kept.total() + self.others,
            "refused": self.refused,
            "studies": dict(self.kept),
        }
        return counts | ({"of_other_studies": self.others} if self.others else {})
