"""A catalog that was lost: nothing is taken meanwhile, and what is on the disk comes back in."""

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node import app
from node.audit.custody import changed_files
from node.cli import radnode
from node.model.states import Origin
from node.receive.adoption import Adopted, Adoption, is_another, shown
from node.receive.statuses import StoreStatus
from node.settings import NodeSection, Settings
from node.store.catalog import Catalog
from node.store.files import InstanceFiles
from node.store.paths import DERIVED
from tests.bench import Bench, slices
from tests.made_ct import SERIES, STUDY
from tests.node_process import wait_for
from tests.receiver import Node, running_receiver, send
from tests.store_rows import open_catalog

runner = CliRunner()


def lose(folder: Path) -> None:
    """Delete the catalog and what stands beside it."""
    for one in folder.glob("catalog.sqlite*"):
        one.unlink()


def sent(node: Node, *indices: int) -> list[int]:
    """Send slices over an association of their own."""
    assoc = node.associate()
    said = [send(assoc, ds) for ds in slices(*indices)]
    assoc.release()
    return said


def adopted(folder: Path) -> tuple[Catalog, Adopted]:
    """Open the catalog of a folder anew, and take in what it does not know."""
    catalog = open_catalog(f"sqlite:///{folder / 'catalog.sqlite'}")
    return catalog, Adoption(catalog, InstanceFiles(folder), lambda: 5000.0).adopt()


def test_a_catalog_deleted_under_a_receiver_is_a_failure_status(tmp_path: Path) -> None:
    """0000 would be for images that nobody ever delivers; the association goes on."""
    with running_receiver(tmp_path) as node:
        assoc = node.associate()
        before = send(assoc, slices(0)[0])
        lose(tmp_path)
        after = [send(assoc, ds) for ds in slices(0, 1, 2)]
        assoc.release()
        again = sent(node, 3)

    assert before == StoreStatus.SUCCESS
    assert {*after, *again} == {StoreStatus.PROCESSING_FAILURE}


def test_an_older_back_up_under_a_receiver_is_a_failure_status(tmp_path: Path) -> None:
    """It knows nothing of what was acknowledged since; under the same name and the same inode."""
    path, copy = tmp_path / "catalog.sqlite", tmp_path / "older"
    with running_receiver(tmp_path) as node:
        assert sent(node, 0) == [0]
        with closing(sqlite3.connect(path)) as here, closing(sqlite3.connect(copy)) as there:
            here.backup(there)
        assert sent(node, 1) == [0]
        with closing(sqlite3.connect(path)) as here, closing(sqlite3.connect(copy)) as there:
            there.backup(here)
        assert sent(node, 2) == [StoreStatus.PROCESSING_FAILURE]


def test_what_is_on_the_disk_is_taken_in_once(tmp_path: Path) -> None:
    """Images and other bytes that were kept apart; then they are settled like any others."""
    with running_receiver(tmp_path) as node:
        assert sent(node, 0, 1, 2) == [0, 0, 0]
        (other,) = slices(0)
        other.SeriesDescription = "other bytes"
        assoc = node.associate()
        assert send(assoc, other) == 0
        assoc.release()
    lose(tmp_path)

    catalog, done = adopted(tmp_path)

    assert (done.outcomes, done.refused) == ({"new": 3, "conflict": 1}, {})
    assert len(catalog.instances.of_series(SERIES, Origin.RECEIVED)) == 3
    assert len(catalog.instances.conflicts(STUDY)) == 1
    assert [one.series_instance_uid for one in catalog.studies.unsettled()] == [SERIES]
    assert (
        list(changed_files(catalog, InstanceFiles(tmp_path), catalog.ledger.history(STUDY))) == []
    )
    catalog.close()
    catalog, done = adopted(tmp_path)
    assert not done.outcomes
    catalog.close()


def test_only_what_is_whole_and_in_its_place_is_taken_in(tmp_path: Path) -> None:
    """A torn file was never acknowledged; one somewhere else was not put there by us."""
    with running_receiver(tmp_path) as node:
        assert sent(node, *range(5)) == [0] * 5
        first, torn, moved, noise, renamed = node.stored()
    lose(tmp_path)
    torn.write_bytes(torn.read_bytes()[:-7])
    shutil.move(moved, moved.parent / f"{moved.stem}99.dcm")
    noise.write_bytes(b"no DICOM file")
    shutil.move(renamed, renamed.parent / "DOE^JANE.dcm")
    other = first.parent.parent / "1.2.9"
    other.mkdir()
    shutil.copy(first, other / first.name)
    (other / "link.dcm").symlink_to(first)

    catalog, done = adopted(tmp_path)

    assert done.outcomes == {"new": 1}
    reasons = {path.name: reason for path, reason in done.refused.items()}
    assert "7 octets are missing" in reasons.pop(torn.name)
    assert reasons.pop(noise.name)
    assert all("not those of its place" in one for one in reasons.values())
    assert [one.path.name for one in catalog.instances.of_series(SERIES)] == [first.name]
    catalog.close()


def test_what_the_node_made_is_left_alone_and_made_anew(bench: Bench) -> None:
    """Results without rows were delivered or not, nobody knows: the next have other UIDs."""
    bench.receive(*slices(*range(6)))
    bench.tick(3)
    wait_for(lambda: len(bench.pacs.sent) == 8 and bench.nothing_pending(), "everything", 60)
    folder, made = bench.files.root, bench.derived_files()
    held = folder / "quarantine" / "x.dcm"
    held.parent.mkdir()
    held.write_bytes(b"held")
    bench.catalog.close()
    lose(folder)

    catalog, done = adopted(folder)

    assert (done.outcomes, done.refused) == ({"new": 6}, {})
    assert catalog.instances.of_series(SERIES, Origin.DERIVED) == []
    assert all(path.name.endswith(DERIVED) and path.exists() for path in made)
    assert held.read_bytes() == b"held"
    catalog.close()


@contextmanager
def serving(folder: Path) -> Iterator[None]:
    """Run `radnode receive` in a thread, until it is told to end."""
    node = NodeSection(ae_title="RADNODE", bind="127.0.0.1", port=0, data=folder)
    stop = threading.Event()
    thread = threading.Thread(target=app.receive, args=(Settings(node=node), stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def known(folder: Path) -> int:
    """Return how many instances of the series the catalog knows."""
    catalog = Catalog(f"sqlite:///{folder / 'catalog.sqlite'}")
    try:
        catalog.upgrade()
        return len(catalog.instances.of_series(SERIES))
    finally:
        catalog.close()


@pytest.mark.parametrize("noted", [True, False], ids=["noted", "never noted"])
def test_a_receiver_that_starts_beside_another_catalog_takes_the_files_in(
    tmp_path: Path, noted: bool
) -> None:
    """Before it listens: else others could be stored under names that were acknowledged."""
    with running_receiver(tmp_path) as node:
        assert sent(node, 0, 1) == [0, 0]
    if noted:
        with serving(tmp_path):
            wait_for(lambda: known(tmp_path) == 2, "the receiver", 30)
        assert (tmp_path / "run" / "ledger").exists()
    lose(tmp_path)

    with serving(tmp_path):
        wait_for(lambda: known(tmp_path) == 2, "the files", 30)

    catalog = Catalog(f"sqlite:///{tmp_path / 'catalog.sqlite'}")
    assert not is_another(catalog, InstanceFiles(tmp_path))
    catalog.close()


def test_a_receiver_that_starts_beside_its_own_catalog_looks_at_no_file(tmp_path: Path) -> None:
    """However many there are."""
    with running_receiver(tmp_path) as node:
        assert sent(node, 0) == [0]
        assert not is_another(node.catalog, node.files)
    empty = InstanceFiles(tmp_path / "new")
    catalog = open_catalog(f"sqlite:///{tmp_path / 'new.sqlite'}")
    assert not is_another(catalog, empty)
    catalog.close()


def test_adopt_is_a_command(tmp_path: Path) -> None:
    """0: done, also where there is nothing to do. 1: something cannot be taken in."""
    with running_receiver(tmp_path) as node:
        assert sent(node, 0, 1) == [0, 0]
        _, torn = node.stored()
    lose(tmp_path)
    config = tmp_path / "node.toml"
    config.write_text(f'[node]\ndata = "{tmp_path}"\n', encoding="utf-8")

    done = runner.invoke(radnode, ["adopt", "--config", str(config)])
    again = runner.invoke(radnode, ["adopt", "--config", str(config)])
    lose(tmp_path)
    torn.write_bytes(torn.read_bytes()[:-1])
    failed = runner.invoke(radnode, ["adopt", "--config", str(config)])

    assert (done.exit_code, again.exit_code, failed.exit_code) == (0, 0, 1)
    assert "2 file(s) taken in" in done.output
    assert "0 file(s) taken in" in again.output
    assert "1 file(s) taken in" in failed.output
    assert torn.name in failed.output


def test_names_that_others_gave_are_not_told() -> None:
    """They may be of a patient."""
    assert shown(Path("instances/1.2/1.3/1.4.0123456789abcdef.dcm")).endswith("f.dcm")
    assert "DOE" not in shown(Path("instances/1.2/1.3/DOE^JANE.dcm"))
