"""What `radnode prove` finds: every row and every octet that is not as the ledger tells."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from node.audit.custody import changed_files
from node.cli import radnode
from node.store.catalog import Catalog
from node.store.files import InstanceFiles
from node.store.ledger import GENESIS
from node.store.tables import conflict, delivery, derived, finding, instance, ledger
from tests.bench import Bench, slices
from tests.made_ct import SERIES, STUDY
from tests.node_process import wait_for

runner = CliRunner()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a data folder: a series, results, deliveries, and other bytes kept apart."""
    folder = tmp_path_factory.mktemp("original")
    bench = Bench(folder)
    try:
        bench.receive(*slices(*range(6)))
        bench.tick(3)
        wait_for(lambda: len(bench.pacs.sent) == 8 and bench.nothing_pending(), "everything", 60)
        (other,) = slices(0)
        other.SeriesDescription = "other bytes"
        bench.receive(other)
    finally:
        bench.close()
    return folder


class Copy:
    """A copy of a data folder that may be tampered with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.catalog = Catalog(f"sqlite:///{folder / 'catalog.sqlite'}")
        self.files = InstanceFiles(folder)

    def wrong(self) -> list[str]:
        """Return what is found wrong."""
        found = self.catalog.ledger.proof().broken
        entries = self.catalog.ledger.history(STUDY)
        return [*([found] if found else []), *changed_files(self.catalog, self.files, entries)]

    def change(self, *statements: sa.Executable) -> None:
        """Change rows as whoever has the database can."""
        with self.catalog.engine.begin() as connection:
            for statement in statements:
                assert connection.execute(statement).rowcount

    def one(self, table: sa.Table, column: str) -> str:
        """Return a value of the first row of a table."""
        with self.catalog.engine.connect() as connection:
            return str(connection.execute(sa.select(table.c[column]).limit(1)).scalar_one())


@pytest.fixture
def copy(original: Path, tmp_path: Path) -> Iterator[Copy]:
    """Give a copy for one test."""
    made = Copy(Path(shutil.copytree(original, tmp_path / "data")))
    yield made
    made.catalog.close()


Tamper = Callable[[Copy], None]
FIRST = f"{SERIES}.1"
OF_FIRST = instance.c.sop_instance_uid == FIRST


def rows(*statements: sa.Executable) -> Tamper:
    """Return what changes rows."""
    return lambda copy: copy.change(*statements)


def conflict_gone(copy: Copy) -> None:
    """Remove row and file of the other bytes."""
    copy.files.absolute(Path(copy.one(conflict, "path"))).unlink()
    copy.change(sa.delete(conflict))


def head_of(where: str) -> Tamper:
    """Return what changes the transfer syntax in the File Meta Information of a file."""

    def tamper(copy: Copy) -> None:
        path = copy.files.absolute(Path(copy.one({"c": conflict}.get(where, instance), "path")))
        found = path.read_bytes()
        changed = found.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0\0\0", 1)
        assert changed != found
        path.write_bytes(changed)

    return tamper


def preamble(copy: Copy) -> None:
    """Write into the octets that no reader looks at."""
    path = copy.files.absolute(Path(copy.one(instance, "path")))
    path.write_bytes(b"x" + path.read_bytes()[1:])


def result_gone(copy: Copy) -> None:
    """Remove a result with its rows."""
    uid = copy.one(derived, "sop_instance_uid")
    copy.change(
        sa.delete(derived).where(derived.c.sop_instance_uid == uid),
        sa.delete(delivery).where(delivery.c.sop_instance_uid == uid),
        sa.delete(instance).where(instance.c.sop_instance_uid == uid),
    )


def finding_row(**values: object) -> sa.Update:
    """Return what changes a finding."""
    return sa.update(finding).where(finding.c.name == "sequence").values(**values)


TAMPERED: dict[str, Tamper] = {
    "conflict, row and file removed": conflict_gone,
    "conflict, row removed": rows(sa.delete(conflict)),
    "conflict, transfer syntax of the file": head_of("c"),
    "conflict, sender": rows(sa.update(conflict).values(calling_ae="SOMEBODY")),
    "conflict, series": rows(sa.update(conflict).values(series_instance_uid="1.2.3")),
    "conflict, study": rows(sa.update(conflict).values(study_instance_uid="1.2.3")),
    "conflict, one that never came": rows(
        sa.insert(conflict).from_select(
            [one.name for one in conflict.columns],
            sa.select(
                *(
                    sa.literal("f" * 64) if one.name == "sha256" else one
                    for one in conflict.columns
                )
            ).limit(1),
        )
    ),
    "file, transfer syntax": head_of("i"),
    "file, preamble": preamble,
    "row, transfer syntax": rows(
        sa.update(instance).where(OF_FIRST).values(transfer_syntax_uid="1.2.840.10008.1.2.2")
    ),
    "row, sender": rows(sa.update(instance).where(OF_FIRST).values(calling_ae="SOMEBODY")),
    "row, SOP class": rows(sa.update(instance).where(OF_FIRST).values(sop_class_uid="1.2.3")),
    "row, study": rows(sa.update(instance).where(OF_FIRST).values(study_instance_uid="1.2.3")),
    "row, series": rows(sa.update(instance).where(OF_FIRST).values(series_instance_uid="1.2.3")),
    "row, made here": rows(sa.update(instance).where(OF_FIRST).values(origin="derived")),
    "row, received": rows(
        sa.update(instance).where(instance.c.origin == "derived").values(origin="received")
    ),
    "row, deleted by nobody": rows(sa.update(instance).where(OF_FIRST).values(deleted_at=1.0)),
    "row, removed": rows(sa.delete(instance).where(OF_FIRST)),
    "row, one that never came": rows(
        sa.insert(instance).from_select(
            [one.name for one in instance.columns],
            sa.select(
                *(
                    sa.literal("1.2.9") if one.name == "sop_instance_uid" else one
                    for one in instance.columns
                )
            ).limit(1),
        )
    ),
    "delivery, state": rows(
        sa.update(delivery).where(delivery.c.sop_instance_uid == FIRST).values(state="parked")
    ),
    "delivery, committed by nobody": rows(sa.update(delivery).values(commitment="committed")),
    "delivery, removed": rows(sa.delete(delivery).where(delivery.c.sop_instance_uid == FIRST)),
    "delivery, at another place": rows(sa.update(delivery).values(destination="elsewhere")),
    "finding, value": rows(finding_row(value="MR")),
    "finding, probability": rows(finding_row(probability=0.5)),
    "finding, evidence": rows(finding_row(evidence={})),
    "finding, removed": rows(sa.delete(finding).where(finding.c.name == "plane")),
    "findings, all removed": rows(sa.delete(finding)),
    "findings, of another revision": rows(sa.update(finding).values(revision=2)),
    "result, removed": result_gone,
    "result, another in its place": rows(sa.update(derived).values(sop_instance_uid=FIRST)),
    "ledger, an entry removed": rows(sa.delete(ledger).where(ledger.c.number == 3)),
    "ledger, an entry altered": rows(
        sa.update(ledger).where(ledger.c.number == 3).values(subject="1.2.3")
    ),
}


def test_what_nobody_touched_is_whole(copy: Copy) -> None:
    """Otherwise nothing below means anything."""
    assert copy.wrong() == []


@pytest.mark.parametrize("tamper", TAMPERED.values(), ids=TAMPERED.keys())
def test_tampering_is_found(copy: Copy, tamper: Tamper) -> None:
    """Any of rows or files, whatever else still agrees."""
    tamper(copy)

    assert copy.wrong()


def test_entries_of_an_older_version_hold(copy: Copy) -> None:
    """They have fewer digests: what they tell is compared, and the file with its row."""
    with copy.catalog.engine.begin() as connection:
        entries = copy.catalog.ledger.history(STUDY)
        connection.execute(sa.delete(ledger))
        told = []
        for one in entries:
            fewer = ("head_sha256", "transfer_syntax", "sop_class", "series", "of")
            detail = {k: v for k, v in one.detail.items() if k not in (*fewer, "findings_sha256")}
            if one.event != "routed":
                told.append((one, detail))
        previous = GENESIS
        for number, (one, detail) in enumerate(told, 1):
            plain = type(one)(
                number,
                one.at,
                one.event,
                one.study_instance_uid,
                one.subject,
                detail,
                previous,
                "",
            )
            previous = plain.seal()
            connection.execute(
                sa.insert(ledger).values(
                    number=number, at=one.at, event=one.event, subject=one.subject,
                    study_instance_uid=one.study_instance_uid, detail=detail,
                    previous=plain.previous, sha256=previous,
                )
            )  # fmt: skip
    assert copy.wrong() == []

    head_of("i")(copy)

    assert [one for one in copy.wrong() if "names the transfer syntax" in one]


def test_a_kept_hash_is_asked_for(copy: Copy, tmp_path: Path) -> None:
    """0: the chain holds it. 1: it was cut off or written anew. 2: it is no hash."""
    config = tmp_path / "node.toml"
    config.write_text(f'[node]\ndata = "{copy.folder}"\n', encoding="utf-8")
    kept = copy.catalog.ledger.proof()

    def prove(*arguments: str) -> int:
        return runner.invoke(radnode, ["prove", *arguments, "--config", str(config)]).exit_code

    assert prove("--since", kept.last) == 0
    assert prove(STUDY, "--since", kept.last) == 0
    assert prove() == 0
    assert prove("--since", "f" * 64) == 1
    assert prove("--since", kept.last[:-1]) == 2
    copy.change(sa.delete(ledger).where(ledger.c.number > kept.entries - 3))
    assert prove("--since", kept.last) == 1
    assert prove() == 0
    assert prove(STUDY) == 1  # rows are ahead of what is left of the ledger


def test_results_are_covered_whole(copy: Copy) -> None:
    """A segmentation that was made here is held to the last octet, too."""
    made = copy.folder.glob("instances/**/*.derived.dcm")
    seg = next(one for one in made if pydicom.dcmread(one).Modality == "SEG")
    octets = bytearray(seg.read_bytes())
    octets[-1] ^= 1
    seg.write_bytes(octets)

    (wrong,) = copy.wrong()
    assert "its file is not the one that was derived" in wrong
