"""`radnode status`: what is listed, how it is narrowed, and whose names are shown when."""

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.cli import radnode
from node.cli.status import MOST, STATES
from node.model.headers import HeaderSnapshot
from node.store.catalog import Catalog
from node.views import studies
from node.views.state import StudyState
from tests.store_rows import open_catalog, stored

runner = CliRunner()
NAMED = ("4711", "Meier^Eva", "19700131", "ACC-1")


@pytest.fixture
def config(tmp_path: Path) -> str:
    """Write settings, and a catalog of three studies that have a patient."""
    path = tmp_path / "node.toml"
    path.write_text('[node]\ndata = "data"\n', encoding="utf-8")
    (tmp_path / "data").mkdir()
    catalog = open_catalog(f"sqlite:///{(tmp_path / 'data' / 'catalog.sqlite').resolve()}")
    snapshot = HeaderSnapshot(
        patient_id="4711",
        patient_name="Meier^Eva",
        patient_birth_date="19700131",
        accession_number="ACC-1",
        study_date="20261130",
        study_description="CT Abdomen",
        modality="CT",
        series_number=4,
        series_description="portal venous",
    )
    for number in (1, 2, 3):
        key = f"1.{number}.1"
        one = replace(stored(1, series=key), study_instance_uid=f"1.{number}")
        catalog.studies.record(one, 100.0 + number)
        catalog.revisions.settle(key, {}, 110.0)
        catalog.snapshots.put(key, 1, replace(snapshot, accession_number=f"ACC-{number}"), 110.0)
    catalog.close()
    return str(path)


def said(config: str, *arguments: str, exit_code: int = 0) -> str:
    """Return what a command answers, in one line."""
    result = runner.invoke(radnode, ["status", *arguments, "--config", config])
    assert result.exit_code == exit_code, result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize("arguments", [(), ("1.1",), ("--description", "abdomen")])
def test_nobody_is_named_where_nobody_asked(config: str, arguments: tuple[str, ...]) -> None:
    """A terminal is looked at over shoulders, and what it shows is copied into tickets."""
    shown = said(config, *arguments)

    assert "CT Abdomen" in shown
    assert "2026-11-30" in shown
    assert not [one for one in NAMED if one in shown]


@pytest.mark.parametrize(
    "arguments",
    [("--names",), ("--patient", "meier"), ("--accession", "ACC-1"), ("1.1", "--names")],
)
def test_who_asks_is_told(config: str, arguments: tuple[str, ...]) -> None:
    """Identifier, name, date of birth and accession number."""
    shown = said(config, *arguments)

    assert [one for one in NAMED if one in shown] == list(NAMED)


def test_one_study_shows_what_its_series_are(config: str) -> None:
    """Their numbers and descriptions, as a viewer shows them."""
    assert "CT 4 portal venous" in said(config, "1.1")


def test_a_list_says_how_many_more_there_are_and_goes_on(config: str) -> None:
    """The newest first."""
    first = said(config, "--limit", "2")
    assert "2 of 3 studies" in first
    assert "1.3" in first
    assert "1.1 " not in first

    after = first.split("--after ")[1].split()[0]
    rest = said(config, "--limit", "2", "--after", after)

    assert "1.1" in rest
    assert "1.3 " not in rest
    assert "--after" not in rest


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (("--state", "working"), 3),
        (("--state", "held, done"), 0),
        (("--date", "20261130"), 3),
        (("--date", "20261101-"), 3),
        (("--date", "-20261101"), 0),
        (("--accession", "ACC-2"), 1),
        (("--since", "1970-01-01T00:01:42+00:00"), 2),
        (("--until", "1970-01-01T00:01:42+00:00"), 2),
        (("--destination", "pacs"), 0),
    ],
)
def test_a_list_is_narrowed(config: str, arguments: tuple[str, ...], count: int) -> None:
    """By each of its options."""
    assert said(config, *arguments).count("CT Abdomen") == count


def test_a_search_says_what_it_could_not_look_at(config: str, tmp_path: Path) -> None:
    """Whoever finds nobody must not think that nobody is there."""
    assert "not read yet" not in said(config, "--patient", "meier")
    catalog = Catalog(f"sqlite:///{(tmp_path / 'data' / 'catalog.sqlite').resolve()}")
    catalog.studies.record(stored(1, series="1.9.1"), 200.0)
    catalog.close()

    for asked in (("--patient", "nobody"), ("--date", "20261130")):
        assert "headers of 1 series are not read yet" in said(config, *asked)
    assert "not read yet" not in said(config, "--since", "7d")


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--state", "lost", "expected some of held, receiving"),
        ("--date", "yesterday", "expected 20261130"),
        ("--date", "20260231", "expected 20261130"),
        ("--since", "soon", "expected 30m"),
        ("--after", "here", "expected a moment"),
        ("--limit", "0", "greater than or equal to 1"),
    ],
)
def test_a_wrong_option_is_explained(config: str, option: str, value: str, expected: str) -> None:
    """Exit code 2."""
    assert expected in said(config, option, value, exit_code=2)


def test_the_options_say_what_the_views_have() -> None:
    """They stand in two places, for help must not wait for the database's library."""
    assert MOST == studies.MOST
    assert ", ".join(StudyState) == STATES
