"""Why a rule matched or did not: what stood there, and never a name of a patient."""

from typing import Any

import pytest

from node.route.explain import ALWAYS, because, looked_at, verdicts
from node.route.facts import Facts
from node.route.rules import compile_rules
from node.route.vocabulary import FACTS
from node.settings import Rule


def rule(when: str, name: str = "rule", *, stop: bool = False) -> Rule:
    """Return a rule that delivers to PACS."""
    return Rule(name=name, when=when, deliver=("PACS",), stop=stop)


def facts(**findings: Any) -> Facts:
    """Return facts of a CT whose description names somebody."""
    return Facts(
        {name: {"value": value, "probability": 0.987} for name, value in findings.items()},
        {"Modality": "CT", "SeriesDescription": "DOE JOHN", "KVP": 120.0},
        {"calling_ae": "CT1", "called_ae": "RADNODE"},
    )


@pytest.mark.parametrize(
    ("when", "findings", "told"),
    [
        ("true", {}, "always"),
        ("findings.plane.value == 'axial'", {"plane": "axial"}, "plane axial (0.99)"),
        ("findings.plane.value == ''", {"plane": ""}, "plane unknown (0.99)"),
        ("findings.plane.value == 'axial'", {}, "plane unknown"),
        ("!('liver' in findings.coverage.value)", {"coverage": []}, "coverage none (0.99)"),
        (
            "'liver' in findings.coverage.value",
            {"coverage": ["liver", "lung"], "coverage_unknown": ["pelvis", "brain"]},
            "coverage liver, lung (0.99), unknown: pelvis, brain",
        ),
        ("header.Modality == 'CT'", {}, "header.Modality"),
        ("header['Modality'] == 'CT'", {}, "header.Modality"),
        ("header.EchoTime > 1.0", {}, "header.EchoTime absent"),
        ("source.calling_ae == 'CT1'", {}, "source.calling_ae CT1"),
        (
            "source.calling_ae == 'CT1' && header.KVP > 1.0 && source.calling_ae != 'X'",
            {},
            "source.calling_ae CT1, header.KVP",
        ),
    ],
)
def test_what_a_condition_looked_at_goes_into_the_log(
    when: str, findings: dict[str, Any], told: str
) -> None:
    """Findings and titles with what they are; of a header the keyword alone."""
    (compiled,) = compile_rules([rule(when)]).rules

    assert because(compiled, facts(**findings)) == told
    assert "DOE" not in because(compiled, facts(**findings))


def test_a_rule_that_looks_at_nothing_holds_always() -> None:
    """The word for it."""
    assert ALWAYS == "always"
    (compiled,) = compile_rules([rule("true")]).rules
    assert looked_at(compiled.tree) == []


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ("header.Modality == 'MR'", "not header.Modality == 'MR' (header.Modality 'CT')"),
        (
            "header.Modality == 'CT' && header.KVP > 130.0 && true",
            "not header.KVP > 130.0 (header.KVP 120.0)",
        ),
        (
            "header.Modality == 'MR'\n  && header.KVP > 130.0",
            "not header.Modality == 'MR' (header.Modality 'CT'); "
            "not header.KVP > 130.0 (header.KVP 120.0)",
        ),
        (
            "source.calling_ae == 'X' || findings.plane.value == 'axial'",
            "not source.calling_ae == 'X' || findings.plane.value == 'axial' "
            "(source.calling_ae CT1, plane coronal (0.99))",
        ),
        (
            "header.Modality == 'CT' && (header.KVP > 130.0 && true)",
            "not (header.KVP > 130.0 && true) (header.KVP 120.0)",
        ),
        ("header.EchoTime > 1.0", "not header.EchoTime > 1.0 (header.EchoTime absent)"),
        (  # what is absent differs from everything, so that the first part holds
            "header.EchoTime != 5.0 && header.KVP > 130.0",
            "not header.KVP > 130.0 (header.KVP 120.0)",
        ),
        ("false", "not false"),
    ],
)
def test_of_a_rule_that_does_not_match_the_parts_that_fail_are_told(when: str, told: str) -> None:
    """At a terminal: with what stands there, so that nobody has to guess which part it was."""
    compiled = compile_rules([rule(when)])

    (verdict,) = verdicts(compiled, facts(plane="coronal"))

    assert verdict.matched is False
    assert verdict.because == told


def test_a_rule_that_cannot_be_evaluated_says_why() -> None:
    """It does not match, and stops nothing."""
    table = compile_rules([rule("header.SeriesDescription > 3", stop=True), rule("true", "next")])

    first, second = verdicts(table, facts())

    assert first.matched is False
    assert first.because.startswith("cannot be evaluated: ")
    assert "DOE" not in first.because
    assert second.matched is True


def test_after_a_rule_that_stops_no_other_is_asked() -> None:
    """It says which one stopped; one that did not match stops nothing."""
    table = compile_rules(
        [
            rule("header.Modality == 'MR'", "first", stop=True),
            rule("header.Modality == 'CT'", "second", stop=True),
            rule("true", "third"),
        ]
    )

    found = [(one.rule.rule.name, one.matched, one.because) for one in verdicts(table, facts())]

    assert found[1:] == [
        ("second", True, "header.Modality 'CT'"),
        ("third", None, "not asked: second stops"),
    ]
    assert found[0][1] is False


def test_every_fact_is_called_what_a_rule_calls_it() -> None:
    """Errors, reference and review show these names."""
    assert list(FACTS) == ["findings", "header", "source"]
    for table, kind in FACTS.items():
        assert (kind.shape, kind.name) == ("table", table)
        assert list(kind.members) == sorted(kind.members) or table == "source"
        assert {member.name for member in kind.members.values()} == {
            f"{table}.{name}" for name in kind.members
        }
    assert set(FACTS["source"].members) == {"calling_ae", "called_ae"}
    assert FACTS["findings"].members["plane"].members["probability"].range == (0.0, 1.0)


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ("true", "always"),
        (
            "header.Modality == 'CT' && header.KVP > 1.0",
            "header.Modality 'CT', header.KVP 120.0",
        ),
        ("findings.plane.value == 'axial'", "plane axial (0.99)"),
        ("has(header.AccessionNumber)", "header.AccessionNumber"),
        ("source.calling_ae == 'CT1'", "source.calling_ae CT1"),
    ],
)
def test_of_a_rule_that_matches_it_is_told_what_it_saw(when: str, told: str) -> None:
    """With what stands there; a number that leads to a person stays untold."""
    seen = facts(plane="axial", coverage_unknown=["liver"])
    named = Facts(seen.findings, {**seen.header, "AccessionNumber": "DOE123"}, seen.source)

    first, second = verdicts(compile_rules([rule(when), rule("true", "next")]), named)

    assert (first.matched, first.because) == (True, told)
    assert (second.matched, second.because) == (True, ALWAYS)


def test_every_rule_behind_one_that_stops_is_listed() -> None:
    """Each with the rule that stopped."""
    names = ("stop", "second", "third")
    table = compile_rules([rule("true", name, stop=True) for name in names])

    found = verdicts(table, facts())

    assert [one.matched for one in found] == [True, None, None]
    assert [one.because for one in found[1:]] == ["not asked: stop stops"] * 2


def test_a_finding_without_a_probability_is_told_without_one() -> None:
    """Rows of an older node may have none."""
    (compiled,) = compile_rules([rule("findings.plane.value == 'axial'")]).rules

    assert because(compiled, Facts({"plane": {"value": "axial"}})) == "plane axial"
