"""`radnode deliveries`: an operator's orders, and what they answer."""

import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.cli import radnode
from node.model.records import Circuit
from node.model.states import CircuitState, DeliveryState
from node.model.work import WorkKind
from node.store.catalog import Catalog
from tests.due_time import batch_claimed, batches_due
from tests.store_rows import SERIES, STUDY, open_catalog, stored

runner = CliRunner()
UIDS = [stored(number).sop_instance_uid for number in range(1, 4)]
TEXT = (
    '[node]\ndata = "data"\n'
    '[[destinations]]\nname = "pacs"\nkind = "folder"\npath = "out"\n'
    '[[destinations]]\nname = "archive"\nkind = "folder"\npath = "out"\nwindow = "00:00-00:01"\n'
)


@pytest.fixture
def config(tmp_path: Path) -> str:
    """Write settings with two destinations."""
    path = tmp_path / "node.toml"
    path.write_text(TEXT, encoding="utf-8")
    return str(path)


@pytest.fixture
def catalog(tmp_path: Path, config: str) -> Catalog:
    """Give the catalog of that node, with three instances due at both destinations."""
    (tmp_path / "data").mkdir()
    made = open_catalog(f"sqlite:///{(tmp_path / 'data' / 'catalog.sqlite').resolve()}")
    for number in range(1, 4):
        made.studies.record(stored(number), 100.0)
    for destination in ("pacs", "archive"):
        made.deliveries.add("b", destination, UIDS, 100.0)
    return made


def _said(config: str, *arguments: str, exit_code: int = 0) -> str:
    result = runner.invoke(radnode, ["deliveries", *arguments, "--config", config])
    assert result.exit_code == exit_code, result.output
    return " ".join(result.output.split())


def _states(catalog: Catalog, destination: str = "pacs") -> list[str]:
    return [
        d.state for d in catalog.delivery_states.of_study(STUDY) if d.destination == destination
    ]


def test_a_paused_destination_says_so_and_goes_on(catalog: Catalog, config: str) -> None:
    """In `deliveries list` and in `status`, until it is resumed."""
    assert "pacs paused" in _said(config, "pause", "pacs")
    assert catalog.outlets.get("pacs").paused
    assert "paused by the operator" in _said(config, "list")
    status = runner.invoke(radnode, ["status", "--config", config])
    assert "paused by the" in status.output

    _said(config, "resume", "pacs")

    assert not catalog.outlets.get("pacs").paused
    assert "paused by" not in _said(config, "list")


def test_what_holds_a_destination_up_is_listed(catalog: Catalog, config: str) -> None:
    """An open circuit with its reason; a destination that rows name and the settings do not."""
    opened = Circuit(CircuitState.OPEN, 5, 1, "no connection")
    catalog.outlets.change_circuit("pacs", lambda _: opened, 100.0)
    catalog.deliveries.add("c", "gone", UIDS, 100.0)

    said = _said(config, "list")

    assert "circuit open: no" in said
    assert "not in the" in said


@pytest.mark.parametrize("what", [STUDY, SERIES, UIDS[0], "pacs"])
def test_cancel_and_replay_by_any_name(catalog: Catalog, config: str, what: str) -> None:
    """The number of instances is told; with --to, only those at one destination."""
    count = 1 if what == UIDS[0] else 3

    assert f"{count} instance(s) cancelled" in _said(config, "cancel", what, "--to", "pacs")

    assert _states(catalog).count("cancelled") == count
    assert _states(catalog, "archive") == ["pending"] * 3
    assert "cancelled by the operator" in _said(config, "list", what)
    assert f"{count} instance(s) replayed" in _said(config, "replay", what)
    assert _states(catalog) == ["pending"] * 3


def test_instances_are_paused_one_by_one(catalog: Catalog, config: str) -> None:
    """A study under dispute waits, and everything else goes on."""
    assert "2 instance(s) paused" in _said(config, "pause", UIDS[1])
    assert _states(catalog) == ["pending", "paused", "pending"]
    assert "2 instance(s) resumed" in _said(config, "resume", UIDS[1])


def test_what_was_delivered_is_sent_again_only_when_asked(catalog: Catalog, config: str) -> None:
    """A PACS that lost its disk."""
    for uid in UIDS:
        catalog.deliveries.put_outcome(uid, "pacs", DeliveryState.DELIVERED, "", 101.0)

    assert "0 instance(s) replayed" in _said(config, "replay", "pacs")
    assert "3 instance(s) replayed" in _said(config, "replay", "pacs", "--delivered")


def _fail(catalog: Catalog, destination: str = "pacs") -> None:
    """Let a destination have been away for hours."""
    task = batch_claimed(catalog, destination, "b")
    assert catalog.work.later(task, 9e12, attempts=9)
    shut = Circuit(CircuitState.OPEN, 5, 9, "no connection")
    catalog.outlets.change_circuit(destination, lambda _: shut, 100.0, lambda _: 9e12)


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ("now", ""),
        ("replay", "0 instance(s) replayed "),
        ("resume", "pacs resumed "),
    ],
)
def test_a_destination_that_is_back_is_tried_now(
    catalog: Catalog, config: str, order: str, said: str
) -> None:
    """What is pending is due, its circuit is probed, and both are told with their number."""
    _fail(catalog)

    answer = _said(config, order, "pacs")

    assert f"{said}pacs: 3 instance(s) pending, 1 batch(es) due now" in answer
    assert "circuit is open (no connection): it is probed now" in answer
    (job,) = batches_due(catalog, "pacs", time.time())
    assert (job.state, job.attempts) == ("waiting", 0)
    (probe,) = catalog.work.open(WorkKind.PROBE, "pacs")
    assert probe.due_at <= time.time()
    assert not catalog.outlets.get("archive").circuit.openings


@pytest.mark.parametrize("what", [STUDY, UIDS[0]])
def test_now_by_uid_is_now_at_every_destination_that_lacks_it(
    catalog: Catalog, config: str, what: str
) -> None:
    """And says what holds it up all the same."""
    _fail(catalog)
    catalog.outlets.set_paused("pacs", True, 101.0)
    count = 3 if what == STUDY else 1

    answer = _said(config, "now", what)

    assert f"archive: {count} instance(s) pending, 1 batch(es) due now; but: waits for" in answer
    assert f"pacs: {count} instance(s) pending, 1 batch(es) due now" in answer
    assert "but: paused by the operator" in answer


def test_now_where_nothing_is_pending(catalog: Catalog, config: str) -> None:
    """Not a word of what was delivered."""
    for uid in UIDS:
        catalog.deliveries.put_outcome(uid, "pacs", DeliveryState.DELIVERED, "", 101.0)

    assert "nothing is pending" in _said(config, "now", "pacs")


def test_what_is_on_the_line_is_not_disturbed(catalog: Catalog, config: str) -> None:
    """Its job goes on, and no second one is made."""
    task = batch_claimed(catalog, "pacs", "b")

    assert "3 instance(s) pending, 0 batch(es) due now" in _said(config, "now", "pacs")
    assert catalog.claims.begin(task.of, task.serial, 1) is not None


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["pause", "nowhere"], "nowhere is no destination (there are: archive, pacs)"),
        (["cancel", "1.2.3", "--to", "nowhere"], "nowhere is no destination"),
        (["cancel", "pacs", "--to", "archive"], "two destinations"),
        (["list", "--state", "pending,lost"], "expected some of pending, delivered"),
    ],
)
def test_a_wrong_name_is_exit_code_2(
    catalog: Catalog, config: str, arguments: list[str], told: str
) -> None:
    """Nothing is ordered by a typing error."""
    assert told in _said(config, *arguments, exit_code=2)
    assert _states(catalog) == ["pending"] * 3
