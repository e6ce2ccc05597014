"""Each rule does what its row says; a site's own rules are read after ours."""

import re
from pathlib import Path

import pytest

from radnet.errors import DataError
from radnet.labels.row import TableRow, label_row
from radnet.labels.rule import LabelRule, Physics
from radnet.labels.rules import Rules, load_rules
from radnet.labels.text import plain

RULES = load_rules()


def match(rule: LabelRule, example: str) -> re.Match[str] | None:
    """Return where a rule fits an example; ``[breast]`` in it stands for the other texts."""
    text, _, context = example.partition(" [")
    return rule.finds(plain(text), plain(f"{text} {context}"))


@pytest.mark.parametrize(
    ("rule", "example"),
    [(rule, example) for rule in RULES.rules for example in rule.example],
    ids=lambda value: value.id if isinstance(value, LabelRule) else str(value)[:40],
)
def test_rule_finds_its_example(rule: LabelRule, example: str) -> None:
    """The example of a row is what an administrator reads it by."""
    assert match(rule, example)


@pytest.mark.parametrize(
    ("rule", "example"),
    [(rule, example) for rule in RULES.rules for example in rule.unlike],
    ids=lambda value: value.id if isinstance(value, LabelRule) else str(value)[:40],
)
def test_rule_passes_by_what_it_is_unlike(rule: LabelRule, example: str) -> None:
    """A trap named in a row is held open by nobody."""
    hidden = [r for r in RULES.rules if r.head == rule.head and r.hides and not rule.hides]
    rest = plain(example)
    for mask in hidden:
        if mask.finds(rest, rest):
            rest = " ".join(mask.words.sub(" ", rest).split())

    assert not rule.finds(rest, rest)


def fires(row: Physics, example: dict[str, str | float]) -> bool:
    """Tell whether a row of timing fires on its example."""
    numbers = {name: float(value) for name, value in example.items() if not isinstance(value, str)}
    scanning = set(str(example.get("ScanningSequence", "")).split())
    return row.fires(numbers, scanning, set(str(example.get("SequenceVariant", "")).split()))


@pytest.mark.parametrize("row", RULES.physics, ids=lambda row: row.id)
def test_timing_fires_on_its_example(row: Physics) -> None:
    """Timing is evidence in ms and degrees, with an example beside each range."""
    assert fires(row, row.example)
    assert not (row.unlike and fires(row, row.unlike))


def test_rules_are_named_once() -> None:
    """A rule is switched off by its name."""
    names = [(rule.head, rule.id) for rule in RULES.rules]

    assert len(names) == len(set(names))


def site(tmp_path: Path, text: str) -> Path:
    """Return a file of site rules."""
    path = tmp_path / "site.toml"
    path.write_text(text, encoding="utf-8")
    return path


OURS = r"""
disable = ["without"]
[[rule]]
id = "our-protocol"
head = "contrast"
value = "contrast"
weight = 6
words = '\bprotocol 7\b'
example = ["CT PROTOCOL 7"]
"""


def test_site_adds_and_disables(tmp_path: Path) -> None:
    """A site knows its own protocol names."""
    rules = load_rules(site(tmp_path, OURS))

    assert contrast("PROTOCOL 7", rules) == "contrast"
    assert contrast("PROTOCOL 7", RULES) == ""
    assert contrast("CHEST WITHOUT", rules) == ""


def contrast(description: str, rules: Rules) -> str:
    """Return the contrast of a CT by its description."""
    return label_row(TableRow("CT", description), rules).contrast.value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[rule]\n", "cannot be read"),
        ('disable = ["nothing"]', "disables nothing"),
        (OURS.replace('value = "contrast"', 'value = "maybe"'), "maybe"),
        (OURS.replace(r"'\bprotocol 7\b'", "'('"), "words"),
        (OURS + "\ncolour = 1", "colour"),
        (OURS.replace('example = ["CT PROTOCOL 7"]', ""), "example"),
    ],
    ids=["no-toml", "unknown-id", "unknown-value", "no-expression", "unknown-key", "no-example"],
)
def test_mistake_in_site_rules_is_told(tmp_path: Path, text: str, told: str) -> None:
    """The operator reads which row is wrong, and why."""
    with pytest.raises(DataError, match=told):
        load_rules(site(tmp_path, text))


def test_missing_site_rules_are_told(tmp_path: Path) -> None:
    """A wrong path is wrong input, not a crash."""
    with pytest.raises(DataError, match="cannot be read"):
        load_rules(tmp_path / "none.toml")
