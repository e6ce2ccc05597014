"""A catalog of the version before, with data in it, goes on where it was."""

from dataclasses import asdict, astuple
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from node.model.records import Finding
from node.store.catalog import Catalog
from node.store.studies.findings import findings_sha256
from node.store.tables import finding
from node.store.upgrading import migrations
from tests.store_rows import SERIES, STUDY

BEFORE = "0011"
NETWORK, LIVER = "a" * 64, "b" * 64
RECOGNISED = [
    Finding("plane", "axial", 0.98, "fused", {"because": ["x"]}),
    Finding("plane", "axial", 0.97, "header", {"because": ["x"]}),
    Finding("plane", "axial", 0.9, "pixels", {"axial": 0.9}),
    Finding("localizer", "0", 1.0, "fused", {}),
    Finding("strange", "0", 0.1, "fused", {"above": 0.5}),
]
SEGMENTED = [
    Finding("liver", "present", 0.97, "pixels", {}),
    Finding("liver_volume_ml", "1500.0", 0.97, "pixels", {}),
]
WEIGHTS = [NETWORK, "", NETWORK, "", NETWORK, LIVER, LIVER]


def digest(found: list[Finding]) -> str:
    """Return the digest of findings whose rows hold the values that they have here."""
    return findings_sha256([asdict(one) for one in found])


def old(
    url: str, findings: dict[str, list[Finding]], told: list[tuple[str, list[Any], str]]
) -> None:
    """Make a catalog of the version before, with findings of series, and what the ledger says."""
    engine = sa.create_engine(url)
    config: Config = migrations()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, BEFORE)
        tables = sa.MetaData()
        tables.reflect(connection)
        for series, found in findings.items():
            connection.execute(
                sa.insert(tables.tables["series"]),
                {
                    "series_instance_uid": series, "study_instance_uid": STUDY,
                    "instance_count": 2, "unsettled": False, "revision": 1,
                    "first_instance_at": 100.0, "last_instance_at": 101.0,
                },
            )  # fmt: skip
            for position, one in enumerate(found):
                names = ("name", "value", "probability", "source", "evidence")
                row = dict(zip(names, astuple(one), strict=False))
                key = {"series_instance_uid": series, "revision": 1, "position": position}
                connection.execute(sa.insert(tables.tables["finding"]), row | key)
        for number, (series, found, weights) in enumerate(told, 1):
            detail = {
                "revision": 1, "model_sha256": weights, "findings_sha256": digest(found)
            }  # fmt: skip
            row = {
                "number": number, "at": 1.0, "event": "classified", "subject": series,
                "study_instance_uid": STUDY, "detail": detail, "previous": "", "sha256": "",
            }  # fmt: skip
            connection.execute(sa.insert(tables.tables["ledger"]), row)
    engine.dispose()


def migrated(empty_database: str) -> Catalog:
    """Return the catalog as this version opens it."""
    made = Catalog(empty_database)
    made.upgrade()
    return made


def test_weights_are_named_where_the_ledger_proves_them(empty_database: str) -> None:
    """Those of the network beside what it saw, those of the liver beside what they measured."""
    together = RECOGNISED + SEGMENTED
    told = [(SERIES, RECOGNISED, "0" * 64), (SERIES, RECOGNISED, NETWORK)]
    old(empty_database, {SERIES: together}, [*told, (SERIES, together, LIVER)])

    catalog = migrated(empty_database)

    found = catalog.findings.of_series(SERIES, 1)
    assert [one.model_sha256 for one in found] == WEIGHTS
    assert [one.value for one in found] == [*["axial"] * 3, False, False, "present", 1500.0]
    with catalog.engine.connect() as connection:
        rows = connection.execute(sa.select(finding).order_by(finding.c.position)).mappings().all()
    assert [row["value"] for row in rows] == [one.value for one in together]
    assert findings_sha256(rows) == digest(together)
    catalog.close()


def test_where_the_ledger_tells_of_other_findings_nothing_is_claimed(empty_database: str) -> None:
    """Rows that no entry is about; an entry whose findings are not these."""
    other = [*RECOGNISED[:2], Finding("plane", "coronal", 0.9, "pixels", {})]
    old(
        empty_database,
        {SERIES: RECOGNISED, "1.5": RECOGNISED, "1.6": RECOGNISED + SEGMENTED},
        [(SERIES, other, NETWORK), ("1.6", RECOGNISED + SEGMENTED, LIVER)],
    )

    catalog = migrated(empty_database)

    assert [one.model_sha256 for one in catalog.findings.of_series(SERIES)] == [""] * 5
    assert [one.model_sha256 for one in catalog.findings.of_series("1.5")] == [""] * 5
    assert [one.model_sha256 for one in catalog.findings.of_series("1.6")] == [""] * 5 + [
        LIVER
    ] * 2
    catalog.close()


def test_series_of_the_version_before_await_their_snapshot(empty_database: str) -> None:
    """A job of the worker reads their headers; until then they are shown without."""
    old(empty_database, {SERIES: RECOGNISED}, [])

    catalog = migrated(empty_database)

    assert catalog.snapshots.missing(9) == [(SERIES, 1)]
    assert catalog.snapshots.of_series(SERIES) is None
    assert [one.series_instance_uid for one in catalog.studies.series_of(STUDY)] == [SERIES]
    catalog.close()
