"""What `radnode prove` prints: the history, the figures of the chain, and what holds."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from rich.console import Console
from typer.testing import CliRunner, Result

from node.cli import proving, radnode
from node.model.events import Entry
from node.model.states import DeliveryState
from node.store.catalog import Catalog
from node.store.ledger import GENESIS
from node.store.tables import ledger
from tests.store_rows import SERIES, STUDY, open_catalog, stored, uid


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    """Write the rows of two instances, one of them sent, into a data folder; return the ledger."""
    made = open_catalog(f"sqlite:///{tmp_path / 'catalog.sqlite'}")
    made.studies.record(stored(1), 1_000_000_000.25)
    made.studies.record(stored(2), 1_000_000_001.0)
    made.deliveries.add("b", "pacs", [uid(1), uid(2)], 1_000_000_002.0)
    made.deliveries.put_outcome(uid(1), "pacs", DeliveryState.DELIVERED, "", 1_000_000_003.0)
    found = list(made.ledger.entries())
    made.close()
    return found


def prove(folder: Path, *arguments: str) -> Result:
    """Run the command on a data folder."""
    config = folder / "node.toml"
    config.write_text(f'[node]\ndata = "{folder}"\n', encoding="utf-8")
    return CliRunner().invoke(radnode, ["prove", *arguments, "--config", str(config)])


def test_the_chain_is_shown_by_its_length_and_its_last_hash(
    tmp_path: Path, entries: list[Entry]
) -> None:
    """What an administrator writes down, to ask for it later."""
    shown = prove(tmp_path)

    assert shown.exit_code == 0
    assert shown.stdout.split("\n") == [
        f"chain of 4 entries, last hash {entries[-1].sha256}",
        "the chain is whole",
        "",
    ]


def test_a_kept_hash_is_shown_by_the_number_of_its_entry(
    tmp_path: Path, entries: list[Entry]
) -> None:
    """Not that of the last one; before the first entry the hash of none counts."""
    second, none = (
        prove(tmp_path, "--since", entries[1].sha256),
        prove(tmp_path, "--since", GENESIS),
    )

    assert second.stdout.split("\n")[1:] == [
        "it holds the kept hash, as entry 2",
        "the chain is whole",
        "",
    ]
    assert "as entry 0\n" in none.stdout


def test_an_empty_chain_has_no_entries(tmp_path: Path) -> None:
    """A new node."""
    shown = prove(tmp_path)

    assert shown.stdout.startswith(f"chain of 0 entries, last hash {GENESIS}\n")
    assert shown.exit_code == 0


def test_the_history_of_a_study_is_shown_entry_by_entry(
    tmp_path: Path, entries: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Number, time to the millisecond, event, subject, particulars, hash; and of lists the length.

    The files are not there, so each is told, and nothing is called whole.
    """
    monkeypatch.setattr(proving, "console", Console(width=400))

    shown = prove(tmp_path, STUDY)

    rows = [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in shown.stdout.split("\n")
        if line.startswith("│")
    ]
    assert [row[:4] for row in rows] == [
        ["1", "2001-09-09 01:46:40.250", "received", uid(1)],
        ["2", "2001-09-09 01:46:41.000", "received", uid(2)],
        ["3", "2001-09-09 01:46:42.000", "routed", rows[2][3]],
        ["4", "2001-09-09 01:46:43.000", "sent", uid(1)],
    ]
    assert rows[2][4] == "batch b, instances 2, to pacs"
    assert rows[3][4] == f"sha256 {'0' * 64}, to pacs"
    assert [row[5] for row in rows] == [entry.sha256[:12] for entry in entries]
    assert shown.exit_code == 1
    assert "the chain is whole" not in shown.stdout
    told = [line for line in shown.stderr.split("\n") if line.startswith(SERIES)]
    assert sorted(told) == [
        f"{uid(1)}: its file is gone",
        f"{uid(2)}: its file is gone",
    ]


def test_a_chain_that_was_cut_is_shown_as_far_as_it_goes(
    tmp_path: Path, entries: list[Entry]
) -> None:
    """The entry where it breaks is named on standard error, and the exit code says so."""
    catalog = Catalog(f"sqlite:///{tmp_path / 'catalog.sqlite'}")
    with catalog.engine.begin() as connection:
        connection.execute(sa.delete(ledger).where(ledger.c.number == 3))
    catalog.close()

    shown = prove(tmp_path)

    assert shown.exit_code == 1
    assert shown.stdout == f"chain of 2 entries, last hash {entries[1].sha256}\n"
    assert "entry 3 is missing\n" in shown.stderr
