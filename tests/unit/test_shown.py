"""What peers and errors say is shown as it is: brackets are no markup."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console, RenderableType
from typer.testing import CliRunner

from node.cli import radnode
from node.cli.delivery_tables import deliveries_table, destinations_table
from node.cli.proving import history_table
from node.cli.study_tables import studies_table, study_table
from node.model.events import Entry
from node.model.failures import HoldKind
from node.model.keys import HeldRevision
from node.model.records import Circuit, Hold
from node.model.states import CircuitState, DeliveryState, RevisionState
from node.store.catalog import Catalog
from node.views.destinations import Whereabouts
from node.views.studies import page_of_studies
from node.views.study import view_of_study
from tests.store_rows import SERIES, STUDY, open_catalog, stored

ODD = "HTTP 500 [/b] [red]not found[0]"


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    """Give a catalog in which everything has an odd reason."""
    made = open_catalog(f"sqlite:///{tmp_path / 'catalog.sqlite'}")
    made.studies.record(stored(1), 1.0)
    made.revisions.settle(SERIES, {}, 1.0)
    made.revisions.finish(SERIES, 1, RevisionState.UNUSABLE, ODD)
    uid = stored(1).sop_instance_uid
    made.deliveries.add("b", "pacs", [uid], 1.0)
    made.deliveries.put_outcome(uid, "pacs", DeliveryState.PENDING, ODD, 1.0)
    made.outlets.change_circuit("pacs", lambda _: Circuit(CircuitState.OPEN, reason=ODD), 1.0)
    made.quarantine.hold(Hold(HoldKind.UNREADABLE, STUDY, SERIES, HeldRevision(1), ODD), 1.0)
    yield made
    made.close()


def shown(table: RenderableType) -> str:
    """Return a table as a wide terminal shows it."""
    console = Console(width=300, emoji=False)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def test_tables_show_reasons_as_they_are(catalog: Catalog) -> None:
    """A peer words its answer; an error may hold anything."""
    rows = catalog.delivery_states.of_study(STUDY)
    study = view_of_study(catalog, STUDY)
    assert study is not None
    entry = Entry(1, 1.0, "sent", STUDY, SERIES, {"because": ODD}, "", "")
    standing = [Whereabouts("pacs", ODD, {}, 0, None)]
    for table in (
        deliveries_table(rows),
        destinations_table(standing),
        history_table([entry]),
        study_table(study, names=True),
        studies_table(page_of_studies(catalog).studies, names=True),
    ):
        assert ODD in shown(table)


def test_commands_show_reasons_as_they_are(catalog: Catalog, tmp_path: Path) -> None:
    """None of them falls over a bracket."""
    config = tmp_path / "node.toml"
    config.write_text(f'[node]\ndata = "{tmp_path}"\n', "utf-8")
    for command in ("quarantine list", f"deliveries list {STUDY}", "status", f"status {STUDY}"):
        done = CliRunner().invoke(radnode, [*command.split(), "--config", str(config)])

        assert done.exit_code == 0, (command, done.exception)
        assert "[/b]" in done.output, command
