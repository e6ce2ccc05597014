"""A series in flight under an older version is neither left standing nor sent twice."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
import sqlalchemy as sa
from alembic import command
from dbos import DBOS, SetWorkflowID
from pydicom import Dataset
from pydicom.uid import SegmentationStorage

from node.model.keys import RevisionKey
from node.model.work import WorkKind, recognition_of
from node.pipeline.engine import LIVE_STATES, Engine
from node.store.upgrading import migrations
from tests.bench import Bench, slices
from tests.due_time import task_claimed
from tests.made_ct import SERIES
from tests.node_process import wait_for

BEFORE: Final = "0019"
NAME: Final = "test:worker"
RECOGNITION: Final = recognition_of(RevisionKey(SERIES, 1))


def catalog_before(old: Path, new: Path, state: str) -> None:
    """Make of a node's folder that of the version before, with its revision in a state."""
    shutil.copytree(old, new, ignore=shutil.ignore_patterns("*.sqlite*"))
    here, there = (sa.create_engine(f"sqlite:///{one / 'catalog.sqlite'}") for one in (old, new))
    config, tables = migrations(), sa.MetaData()
    with here.connect() as source, there.begin() as target:
        config.attributes["connection"] = target
        command.upgrade(config, BEFORE)
        tables.reflect(target)
        for table in tables.sorted_tables:
            rows = [dict(row) for row in source.execute(sa.select(table)).mappings()]
            if table.name == "work":
                rows = [
                    row
                    for row in rows
                    if row["kind"] not in (WorkKind.RECOGNISE, WorkKind.SEGMENT)
                ]
            if rows and table.name != "alembic_version":
                target.execute(sa.insert(table), rows)
        target.execute(sa.update(tables.tables["revision"]).values(state=state))
    here.dispose()
    there.dispose()


def queued_before(
    folder: Path, version: str, job: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put a job on its queue in the pipeline's database, as an older version did.

    Parameters
    ----------
    job
        Its workflow, queue and id.
    """
    name, queue, workflow_id = job
    with monkeypatch.context() as patch:
        patch.setattr("node.pipeline.engine.APPLICATION_VERSION", version)
        engine = Engine(f"sqlite:///{folder / 'pipeline.sqlite'}", NAME)

        def never(*arguments: object) -> None:
            raise AssertionError(f"run: {arguments}")

        workflow = engine.workflow(name)(never)
        engine.launch()
        with SetWorkflowID(workflow_id):
            DBOS.enqueue_workflow(queue, workflow, "of no matter")
        engine.close()


def by_hand(bench: Bench, until: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a series come in, and come so far."""
    recognition = bench.take_in(*slices(*range(6)))
    if until == "received":
        return
    bench.stages.route(recognition, bench.stages.classify(SERIES, 1))
    wait_for(lambda: len(bench.pacs.sent) == 6, "the images", 60)
    wait_for(lambda: bench.catalog.work.open(WorkKind.DELIVER, "pacs") == [], "their end", 60)
    if until == "routed":
        return
    with monkeypatch.context() as patch:
        patch.setattr(bench.catalog.work, "is_held", lambda *_: False)
        bench.stages.segment(task_claimed(bench.catalog, WorkKind.SEGMENT))
    assert len(bench.derived_files()) == 2


@pytest.mark.parametrize(
    ("until", "state"),
    [
        ("received", "complete"),
        ("received", "queued"),
        ("routed", "queued"),
        ("segmented", "queued"),
    ],
)
def test_what_was_in_flight_is_gone_on_with(
    tmp_path: Path,
    make_bench: Callable[..., Bench],
    monkeypatch: pytest.MonkeyPatch,
    until: str,
    state: str,
) -> None:
    """Each instance is sent once, a result has the bytes it had, and no finding is lost."""
    old, new = tmp_path / "old", tmp_path / "new"
    before = make_bench(old)
    by_hand(before, until, monkeypatch)
    sent: list[Dataset] = list(before.pacs.sent)
    made = {path.name: path.read_bytes() for path in before.derived_files()}
    findings = before.catalog.findings.of_series(SERIES, 1)

    def as_before(folder: Path) -> None:
        before.close()
        catalog_before(old, folder, state)
        job = ("series", "series", f"series/{SERIES}/1")
        queued_before(folder, "pipeline-1", job, monkeypatch)

    bench = make_bench(new, as_before)
    bench.now += 3

    wait_for(lambda: len(sent) + len(bench.pacs.sent) == 8 and bench.at_rest(), "8", 60)
    wait_for(bench.ends("done"), "the end", 60)
    sent += bench.pacs.sent
    assert set(Counter(str(ds.SOPInstanceUID) for ds in sent).values()) == {1}
    assert sum(ds.SOPClassUID == SegmentationStorage for ds in sent) == 1
    after = {path.name: path.read_bytes() for path in bench.derived_files()}
    assert len(after) == 2
    assert made in ({}, after)
    known = bench.catalog.findings.of_series(SERIES, 1)
    assert [one for one in findings if one not in known] == []
    assert {"liver", "liver_volume_ml"} <= {one.name for one in known}
    (left,) = DBOS.list_workflows(status=list(LIVE_STATES))
    assert left.workflow_id == f"series/{SERIES}/1"  # of the version before; forgotten in its time


@pytest.mark.parametrize("stood", ["queued", "nowhere"])
def test_what_pipeline_2_had_claimed_is_begun_anew_at_the_start(
    tmp_path: Path,
    make_bench: Callable[..., Bench],
    monkeypatch: pytest.MonkeyPatch,
    stood: str,
) -> None:
    """At once, not when its lease is over: its job stands on a queue that nobody listens to."""
    before = make_bench(tmp_path / "node")
    before.take_in(*slices(*range(6)))
    with before.catalog.write() as connection:
        before.catalog.work.restart(connection, RECOGNITION)
    (task,) = before.catalog.claims.claim(WorkKind.RECOGNISE, lambda w: w.first("", 1), NAME)
    job = (task.kind, f"work@{NAME}", task.job)

    def as_before(folder: Path) -> None:
        before.close()
        if stood == "queued":
            queued_before(folder, "pipeline-2", job, monkeypatch)

    bench = make_bench(tmp_path / "node", as_before)

    wait_for(bench.ends("done"), "the end", 60)
    wait_for(lambda: len(bench.pacs.sent) == 8, "images and results", 60)
    assert {str(ds.SOPInstanceUID) for ds in before.pacs.sent} == set()
    left = DBOS.list_workflows(status=list(LIVE_STATES), app_version="pipeline-2")
    assert [one.workflow_id for one in left] == ([task.job] if stood == "queued" else [])
