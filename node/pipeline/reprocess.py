"""Running series again after a rule was mended: recognised and routed anew, as a new round."""

import shutil
from collections import Counter
from collections.abc import Iterable

import structlog

from node.store.catalog import Catalog
from node.store.files import InstanceFiles
from node.store.studies.candidates import Candidate

log = structlog.get_logger()

BEGUN = "run again"


def reprocess(
    catalog: Catalog,
    files: InstanceFiles,
    candidates: Iterable[Candidate],
    send_again: bool,
    now: float,
) -> Counter[str]:
    """Have series run again by the worker; return how many stood how.

    What runs or waits to run is left alone, so that an order is idempotent. What is
    delivered stays so: only where the rules name a destination that has not got an instance yet,
    that is sent. What is pending elsewhere is not taken back.

    Returns
    -------
    Counter
        ``run again``, or why not: ``in work``, ``coming in``, ``deleted``.
    """
    counts: Counter[str] = Counter()
    for candidate in candidates:
        begun = candidate.standing == "through" and catalog.quarantine.begin_round(
            candidate, send_again, now
        )
        outcome = (
            BEGUN
            if begun
            else "in work"
            if candidate.standing == "through"
            else candidate.standing
        )
        counts[outcome] += 1
        if begun:
            _let_go(catalog, files, candidate)
            log.info(
                "reprocessed",
                study=candidate.study_instance_uid,
                series=candidate.series_instance_uid,
                revision=candidate.revision,
                send_again=send_again,
            )
    return counts


def _let_go(catalog: Catalog, files: InstanceFiles, candidate: Candidate) -> None:
    """Remove the folders of what was held in quarantine: links would outlive retention."""
    for folder in catalog.quarantine.folders_held(candidate):
        shutil.rmtree(files.absolute(folder), ignore_errors=True)
