"""What must hold after every kill, told from the recording peer, the rows, and the disk."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from node.store.catalog import Catalog
from node.store.files import InstanceFiles
from node.store.studies.results import Making
from node.store.tables import derived
from tests.acceptance.crash.campaign import Campaign
from tests.acceptance.crash.peers import Arrivals, Scanner, SentStudy
from tests.acceptance.crash.studies import data_set_digest

NEVER = Making(0.0, 0)
DERIVED = ("segmentation", "report", "capture")


def broken(done: Campaign) -> list[str]:
    """Return every promise that was not kept."""
    catalog, files = done.node.catalog, InstanceFiles(done.node.config.parent / "data")
    found = [
        *lost(done.scanner, done.studies, done.peer.held),
        *differing(done.peer.held),
        *without_reason(catalog, done.studies),
        *rows_and_files(catalog, files, done.studies),
    ]
    for study in done.studies:
        found += results(catalog, study, done.peer.held)
        found += reports(catalog, study, done.peer.held)
    proof = catalog.ledger.proof()
    return found + ([f"ledger: {proof.broken}"] if proof.broken else [])


def lost(scanner: Scanner, studies: list[SentStudy], held: dict[str, Arrivals]) -> Iterator[str]:
    """Yield what was acknowledged and did not come, or came as other bytes."""
    sent = {uid: digest for study in studies for uid, (_path, digest) in study.files.items()}
    for uid in scanner.acknowledged:
        if uid not in held:
            yield f"lost: {uid} was acknowledged and never delivered"
        elif sent[uid] not in held[uid].digests:
            yield f"lost: {uid} was delivered, and not as it was sent"


def differing(held: dict[str, Arrivals]) -> Iterator[str]:
    """Yield what was sent more than once, and not as the same bytes."""
    for uid, one in held.items():
        if len(one.digests) > 1:
            yield f"{uid} came as {len(one.digests)} different data sets"


def results(catalog: Catalog, study: SentStudy, held: dict[str, Arrivals]) -> Iterator[str]:
    """Yield what is wrong with results: exactly one of each kind for a revision, or a reason."""
    for summary in catalog.studies.series_of(study.study_instance_uid):
        uid = summary.series_instance_uid
        for revision in catalog.revisions.of_series(uid):
            made: dict[str, list[str]] = defaultdict(list)
            for kind, one in _made(catalog, uid, revision.revision):
                made[kind].append(one)
            if revision.state == "unusable" or uid != study.ct_series_uid or revision.reason:
                continue
            for kind in DERIVED:
                if len(made[kind]) != 1:
                    yield f"{uid} revision {revision.revision}: {len(made[kind])} {kind}s"
                yield from (f"{kind} {one} never came" for one in made[kind] if one not in held)
        if uid == study.ct_series_uid and summary.state == "unusable" and not summary.reason:
            yield f"{uid}: no result, and no reason"


def reports(catalog: Catalog, study: SentStudy, held: dict[str, Arrivals]) -> Iterator[str]:
    """Yield what is wrong with the reports of a study: each once, the last of all its series.

    Where a kill parts the series, one is told of before the other has come: then there are two.
    There is none where nobody wants one, for recognition was given up of what rules ask for.
    """
    uid = study.study_instance_uid
    made = catalog.summaries.of_study(uid)
    told = catalog.summaries.recognised(uid)
    wanted = told.is_known and told.wanted_by
    if [number for number, _ in made] not in ([1], [1, 2]) and (made or wanted):
        yield f"{uid}: {len(made)} reports, wanted by {sorted(told.wanted_by)}"
    for _, one in made:
        if one.sop_instance_uid not in held:
            yield f"report {one.sop_instance_uid} never came"
    if made and catalog.summaries.begin(uid, told.sha256, NEVER).sop_instance_uid is None:
        yield f"{uid}: its last report tells something else than its rows"


def _made(catalog: Catalog, uid: str, revision: int) -> list[tuple[str, str]]:
    """Return kind and UID of what was made of a revision, tombstones included."""
    query = sa.select(derived.c.kind, derived.c.sop_instance_uid).where(
        derived.c.source_series_uid == uid, derived.c.revision == revision
    )
    with catalog.engine.connect() as connection:
        return [(row.kind, row.sop_instance_uid) for row in connection.execute(query)]


def without_reason(catalog: Catalog, studies: list[SentStudy]) -> Iterator[str]:
    """Yield instances that stand nowhere, and deliveries parked without a reason."""
    for study in studies:
        deliveries = catalog.delivery_states.of_study(study.study_instance_uid)
        for one in deliveries:
            if one.state != "delivered" and not (one.state == "parked" and one.reason):
                yield f"{one.sop_instance_uid}: {one.state} at {one.destination}, {one.reason!r}"
        going = {one.sop_instance_uid for one in deliveries}
        yield from (f"{uid}: asked for nowhere" for uid in study.files if uid not in going)
        for summary in catalog.studies.series_of(study.study_instance_uid):
            if summary.state == "unusable" and not summary.reason:
                yield f"{summary.series_instance_uid}: unusable, and no reason"


def rows_and_files(
    catalog: Catalog, files: InstanceFiles, studies: list[SentStudy]
) -> Iterator[str]:
    """Yield files without a row, rows without a file, and files that are not as recorded."""
    rows: dict[Path, str] = {}
    for study in studies:
        sources = [
            s.series_instance_uid for s in catalog.studies.series_of(study.study_instance_uid)
        ]
        for uid in sources:
            stored = catalog.instances.of_series(
                uid
            )  # those whose files were not deleted by right
            for number in range(1, len(catalog.revisions.of_series(uid)) + 1):
                stored += [one for _kind, one in catalog.results.of_series(uid, number)]
            rows |= {files.absolute(one.path): one.sha256 for one in stored}
        reported = catalog.summaries.of_study(study.study_instance_uid)
        here = [one for _, one in reported if one.deleted_at is None]
        rows |= {files.absolute(one.path): one.sha256 for one in here}
        for conflict in catalog.instances.conflicts(study.study_instance_uid):
            yield f"{conflict.sop_instance_uid}: kept apart, though only one was sent"
    there = set((files.root / "instances").rglob("*.dcm"))
    yield from (f"no row: {path.name}" for path in there - set(rows))
    yield from (f"no file: {path.name}" for path in set(rows) - there)
    for path in there & set(rows):
        if data_set_digest(path) != rows[path]:
            yield f"not as recorded: {path.name}"
    yield from (f"half-written: {path.name}" for path in (files.root / "incoming").glob("*"))
