"""Rules are pure: facts and a table in, a decision out."""

import warnings
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from node.errors import ConfigError
from node.route.facts import Facts, header_facts
from node.route.rules import compile_rules, decide
from node.settings import Rule, load

FACTS = Facts(
    findings={
        "sequence": {"value": "CT", "probability": 0.98},
        "plane": {"value": None, "probability": 0.4},
        "coverage": {"value": ["liver", "kidney"], "probability": 0.9},
    },
    header={
        "Modality": "CT",
        "SliceThickness": 1.25,
        "Rows": 512.0,
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    },
    source={"calling_ae": "CT1"},
)


def _rule(when: str, name: str = "rule", **actions: object) -> Rule:
    return Rule.model_validate({"name": name, "when": when, "deliver": ("PACS",)} | actions)


@pytest.mark.parametrize(
    "when",
    [
        'findings.sequence.value == "CT" && "liver" in findings.coverage.value',
        "findings.sequence.probability >= 0.9",
        'header.Modality.startsWith("C")',
        "header.Rows == 512",
        "header.SliceThickness < 2",
        "header.Rows > 100.5",
        "100 < header.Rows",
        'header.ImageType.exists(kind, kind == "PRIMARY")',
        '"AXIAL" in header.ImageType && size(header.ImageType) == 3',
        'source.calling_ae in ["CT1", "CT2"]',
        "!has(header.EchoTime) || header.EchoTime > 80",
        "findings.plane.value == null",
        'findings["sequence"].value == "CT"',
        "true",
    ],
)
def test_true_conditions_match(when: str) -> None:
    """What the README shows rules doing must work, whole numbers against fractions included."""
    decision = decide([_rule(when)], FACTS)

    assert decision.failed == {}
    assert decision.deliver == ("PACS",)


@pytest.mark.parametrize(
    "when",
    [
        'findings.sequence.value == "T1"',
        'findings.plane.value == "axial"',
        '"brain" in findings.coverage.value',
        "header.Rows != 512",
        "has(header.EchoTime)",
        "false",
    ],
)
def test_false_conditions_do_not_match(when: str) -> None:
    """An unknown value is none of the known ones, and no error."""
    decision = decide([_rule(when)], FACTS)

    assert decision.failed == {}
    assert decision.deliver == ()


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        (
            "header.EchoTime + 1.0 > 80.0",
            "an operator does not take what is absent and DoubleType",
        ),
        ("header.Modality > 3", "an operator does not take StringType and IntType"),
        ("1 / 0 == 1", "modulus or divide by zero"),
        ("header.Modality", "the condition is not true or false but StringType"),
    ],
)
def test_a_rule_that_cannot_be_evaluated_does_not_match_and_says_why(
    when: str, reason: str
) -> None:
    """One odd series must not stop the table, and the operator must be able to see it."""
    rules = [_rule(when, "odd"), _rule("true", "rest", deliver=("ARCHIVE",))]

    decision = decide(rules, FACTS)

    assert decision.deliver == ("ARCHIVE",)
    assert decision.matched == ("rest",)
    assert decision.failed == {"odd": reason}


def test_an_absent_value_does_not_hide_what_is_true_anyway() -> None:
    """CEL's `||` is true where one side is, whatever is wrong with the other."""
    decision = decide([_rule("header.EchoTime > 80 || header.Rows == 512")], FACTS)

    assert decision.matched == ("rule",)


def test_unknown_coverage_is_no_coverage() -> None:
    """`"liver" in coverage` must be false, not an error, where nothing is known."""
    facts = Facts({"coverage": {"value": None, "probability": 0.2}})

    decision = decide([_rule('"liver" in findings.coverage.value')], facts)

    assert decision.failed == {}
    assert decision.matched == ()


def test_actions_are_united_in_table_order_with_the_rules_that_said_so() -> None:
    """A study is delivered once to each destination, and the reason can be shown."""
    rules = [
        _rule("true", "all", deliver=("PACS", "ARCHIVE")),
        _rule("true", "liver", deliver=("PACS",), segment=("liver",), results_to=("PACS",)),
        _rule("false", "never", deliver=("NOWHERE",)),
    ]

    decision = decide(compile_rules(rules), FACTS)

    assert decision.deliver == ("PACS", "ARCHIVE")
    assert decision.segment == ("liver",)
    assert decision.results_to == ("PACS",)
    assert decision.matched == ("all", "liver")
    assert decision.reasons["deliver:PACS"] == ("all", "liver")
    assert decision.reasons["segment:liver"] == ("liver",)


def test_stop_ends_the_table_only_when_its_rule_matches() -> None:
    """`stop` lets an exception stand before the general rule."""
    last = _rule("true", "last", deliver=("ARCHIVE",))

    stopped = decide([_rule("true", "first", stop=True), last], FACTS)
    passed = decide([_rule("false", "first", stop=True), last], FACTS)

    assert stopped.deliver == ("PACS",)
    assert passed.deliver == ("ARCHIVE",)


def test_what_an_urgent_rule_names_is_urgent_there_and_nowhere_else() -> None:
    """Images and results alike; a rule that does not match makes nothing urgent."""
    rules = [
        _rule("true", "images"),
        _rule("true", "stroke", deliver=("READER",), results_to=("PACS",), urgent=True),
        _rule("false", "other", deliver=("ARCHIVE",), urgent=True),
        _rule("true", "archive", deliver=("ARCHIVE",)),
    ]

    decision = decide(rules, FACTS)

    assert decision.deliver == ("PACS", "READER", "ARCHIVE")
    assert decision.urgent == ("READER", "PACS")


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("", "not CEL at line 1, column 1"),
        ("header.Rows ==", "not CEL at line 1, column 13"),
        ("true &&\n header.Rows ==== 3", "not CEL at line 2, column 16"),
        ("\n\n  ]", "not CEL at line 3, column 3"),
        (".Modality == 'CT'", "'Modality' is none of findings"),
        (".open('x') == 1", "no function 'open' at line 1, column 2"),
        ("(header).Modalty == 'x'", "'Modalty' is none of AccessionNumber"),
        ("header.Modality == 'CT' && header.Modalty == 'CT'", "'Modalty' is none of"),
        ("findings.liver.value == 'x'", "'liver' is none of contrast, coverage"),
        ("source.ip == 'x'", "'ip' is none of calling_ae"),
        ("Modality == 'CT'", "'Modality' is none of findings, header, source"),
        ("header.ImageType.exists(x, y == 'PRIMARY')", "'y' is none of"),
        ("header.SeriesDescription.contains(Modalty)", "'Modalty' is none of findings"),
        ("header.SeriesDescription.startsWith(header.Modalty)", "'Modalty' is none of"),
        ("header.ImageType.exists(x, x.contains(y))", "'y' is none of"),
        ("header.Modality.lower() == 'ct'", "no function 'lower' at line 1, column 17"),
        ("__import__('os') == 1", "no function '__import__'"),
        ("true &&\n open('x')", "no function 'open' at line 2, column 2"),
        ("header.PatientName == 'x'", "'PatientName' is none of"),
    ],
)
def test_a_wrong_condition_stops_the_node_with_the_rule_and_the_place(
    when: str, message: str
) -> None:
    """A misspelt name would otherwise never match, and nobody would know."""
    with pytest.raises(ConfigError, match=r"rule 'wrong': ") as raised:
        compile_rules([_rule("true", "right"), _rule(when, "wrong")])

    assert message in str(raised.value)


@pytest.mark.parametrize(
    "when",
    [
        "header.SeriesDescription > 3 || header.KVP > 1",
        "header.SeriesDescription.name == 'x'",
        "int(header.SeriesDescription) > 3",
        "header.KVP != 3 && header.SeriesDescription",
    ],
)
def test_failure_reasons_do_not_repeat_header_values(when: str) -> None:
    """Celpy's own errors print every fact, which then would be in the log."""
    facts = Facts({}, {"SeriesDescription": "DOE JOHN"}, {})

    decision = decide([_rule(when)], facts)

    assert decision.failed["rule"]
    assert "DOE" not in decision.failed["rule"]


def test_header_facts_take_the_fixed_keywords_only() -> None:
    """What names the patient is not in reach of a rule."""
    header = Dataset()
    header.PatientName = "Doe^John"
    header.Modality = "MR"
    header.ImageType = ["ORIGINAL", "PRIMARY"]
    header.ScanningSequence = "SE"
    header.EchoTime = "90.5"
    header.Rows = 256
    header.SliceThickness = None
    header.SeriesDescription = ""

    assert header_facts(header) == {
        "Modality": "MR",
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "ScanningSequence": ["SE"],
        "EchoTime": 90.5,
        "Rows": 256.0,
    }


def test_header_facts_leave_out_numbers_of_several_values() -> None:
    """A rule compares with one number; of several none is the right one."""
    header = Dataset()
    header.EchoTime = ["20", "80"]
    header.SequenceName = ["a", "b"]

    assert header_facts(header) == {"SequenceName": ["a", "b"]}


@pytest.mark.parametrize(
    ("when", "matches"),
    [
        ('"liver" in findings.coverage.value', False),
        ('!("liver" in findings.coverage.value)', False),
        ('"kidney" in findings.coverage.value', True),
        ('!("brain" in findings.coverage.value)', True),
        ('"liver" in findings.coverage.value || "kidney" in findings.coverage.value', True),
        ('"liver" in findings.coverage_unknown.value', True),
    ],
)
def test_an_unknown_region_is_neither_covered_nor_not(when: str, matches: bool) -> None:
    """A rule for scans without liver must not fire where nobody can tell."""
    facts = Facts(
        {
            "coverage": {"value": ["kidney"], "probability": 0.5},
            "coverage_unknown": {"value": ["liver"], "probability": 0.5},
        }
    )

    decision = decide([_rule(when)], facts)

    assert (decision.matched == ("rule",)) is matches
    assert decision.failed == {}


def test_findings_of_an_older_node_are_still_judged() -> None:
    """They know no `coverage_unknown` and no `strange`."""
    facts = Facts({"coverage": {"value": ["kidney"], "probability": 0.5}})
    when = '!("liver" in findings.coverage.value) && findings.strange.value != "1"'

    assert decide([_rule(when)], facts).matched == ("rule",)


@pytest.mark.parametrize(("derived", "segment"), [("0", ("liver",)), ("1", ())])
def test_the_shipped_rule_segments_no_derived_series(
    derived: str, segment: tuple[str, ...]
) -> None:
    """A projection or a slab reaches over its neighbours; a site may ask for reformats itself."""
    shipped = load(Path(__file__).parents[2] / "deploy" / "node.toml").rules
    found = {
        "sequence": "CT", "plane": "axial", "coverage": ["liver"], "localizer": "0",
        "derived": derived,
    }  # fmt: skip
    findings = {name: {"value": value, "probability": 0.9} for name, value in found.items()}

    decision = decide(shipped, Facts(findings=findings, header={}, source={}))

    assert decision.failed == {}
    assert decision.segment == segment


@pytest.mark.parametrize(
    ("when", "matches"),
    [
        ('header.SeriesDescription.contains("liver")', False),
        ('!header.SeriesDescription.contains("liver")', True),
        ('header.SeriesDescription.startsWith("a") || header.ProtocolName.matches("a")', False),
        ("header.EchoTime > 80 || header.EchoTime <= 80 || 80 < header.EchoTime", False),
        ('header.BodyPartExamined == "LIVER"', False),
        ('header.BodyPartExamined != "LIVER"', True),
        ("header.ProtocolName == header.SeriesDescription", False),
        ('header.BodyPartExamined in ["LIVER"]', False),
        ('"HELICAL MODE" in header.ScanOptions', False),
        ('header.ScanOptions.exists(one, one == "X")', False),
        ('header["EchoTime"] > 80', False),
        ('"EchoTime" in header', False),
        ('"Rows" in header', True),
        ("has(header.EchoTime) || has(findings.contrast)", False),
        ("has(header.Rows) && has(findings.sequence.value) && has(source.calling_ae)", True),
        ("header.EchoTime == null && findings.contrast.value == null", True),
        ('findings.contrast.value == "contrast"', False),
        ('findings.contrast.value.contains("contrast")', False),
        ('findings.plane.value.contains("axial") || findings.plane.value > "a"', False),
        ("findings.contrast.probability > 0.5", False),
        ('findings.own_output.value == "0"', True),
        ('source.called_ae == "NODE"', False),
        ("header.Rows in [256, 512]", True),
        ("size(header.ScanOptions) == 0", True),
    ],
)
def test_what_is_absent_makes_a_comparison_false_and_no_rule_fail(
    when: str, matches: bool
) -> None:
    """Half of all series lack half of all attributes; a rule must not fail on each of them."""
    decision = decide([_rule(when)], FACTS)

    assert decision.failed == {}
    assert (decision.matched == ("rule",)) is matches


@pytest.mark.parametrize(
    ("age", "years"),
    [("056Y", 56), ("018M", 1.5), ("052W", 52 * 7 / 365.25), ("100D", 100 / 365.25), ("3Y", 3)],
)
def test_ages_are_years_in_whatever_unit_they_come(age: str, years: float) -> None:
    """PS3.5 Section 6.2, VR AS; of a child in weeks a rule must not see a grown man."""
    header = Dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # three digits are wanted; some send one
        header.PatientAge = age

    assert header_facts(header)["PatientAge"] == pytest.approx(years, rel=1e-9)


def test_header_facts_of_the_request_and_of_age() -> None:
    """What was asked for may stand in its own sequence (PS3.3 Table 10-9); ages are years."""
    header = Dataset()
    header.RequestAttributesSequence = [Dataset()]
    header.RequestAttributesSequence[0].AccessionNumber = "A1"
    header.RequestAttributesSequence[0].RequestedProcedurePriority = "STAT"
    header.PatientAge = "018M"

    assert header_facts(header) == {
        "AccessionNumber": "A1",
        "RequestedProcedurePriority": "STAT",
        "PatientAge": 1.5,
    }
    header.AccessionNumber = ""
    assert header_facts(header)["AccessionNumber"] == "A1"
    header.RequestAttributesSequence = []
    assert "AccessionNumber" not in header_facts(header)
    header.AccessionNumber = "A2"
    with pytest.warns(UserWarning, match="Invalid value"):
        header.PatientAge = "old"
    assert header_facts(header)["AccessionNumber"] == "A2"
    assert "PatientAge" not in header_facts(header)


@pytest.mark.parametrize(
    ("when", "matches"),
    [
        # null is what is absent, and nothing else; two that are absent are not alike
        ("header.EchoTime == null", True),
        ("null == header.EchoTime", True),
        ("null == null", True),
        ("header.Rows == null", False),
        ("null == header.Rows", False),
        ("header.Rows != null", True),
        ("header.EchoTime == header.KVP", False),
        ("header.EchoTime == 5", False),
        ("5 == header.EchoTime", False),
        # numbers of any kind are compared as numbers, also within lists
        ("512 == header.Rows", True),
        ("header.Rows == 512u", True),
        ("1u == 1", True),
        ("1 == 1.5", False),
        ('header.Rows in ["a", 512]', True),
        ("512 in [header.Rows]", True),
        ("header.Rows in [1, 2]", False),
        ("[1, 512].exists(x, x == header.Rows)", True),
        ("header.Rows <= 512 && header.Rows >= 512", True),
        ("header.Rows < 512 || header.Rows > 512 || header.Rows >= 512.5", False),
        # methods
        ('header.Modality.contains("T") && header.Modality.endsWith("T")', True),
        ('header.Modality.startsWith("T") || header.Modality.matches("^T")', False),
        ("header.Modality.contains(header.EchoTime)", False),
        ("header.EchoTime.contains(header.Modality)", False),
        # presence: of a finding one member is enough
        ('"sequence" in findings && has(findings.plane)', True),
        ('"contrast" in findings || has(findings.contrast)', False),
        ("header.Modality in header", False),
        # what nobody found
        ("size(findings.coverage_unknown.value) == 0", True),
        ("findings.disagreement.probability == 1.0", True),
        ("findings.own_output.probability == 1.0", True),
    ],
)
def test_what_a_comparison_says_of_null_of_numbers_and_of_absence(
    when: str, matches: bool
) -> None:
    """From either side, and never by failing."""
    decision = decide([_rule(when)], FACTS)

    assert decision.failed == {}
    assert (decision.matched == ("rule",)) is matches


def test_a_coverage_that_is_unknown_is_an_empty_list() -> None:
    """Of no length, with no members."""
    facts = Facts({"coverage": {"value": None, "probability": 0.2}})
    when = "size(findings.coverage.value) == 0 && !findings.coverage.value.exists(r, true)"

    decision = decide([_rule(when)], facts)

    assert (decision.failed, decision.matched) == ({}, ("rule",))


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        ("header.EchoTime + 1 > 2", "an operator does not take what is absent and IntType"),
        ('header.Rows + "a" == "b"', "an operator does not take DoubleType and StringType"),
        (
            "header.Modality.contains(header.Modality + 1)",
            "an operator does not take StringType and IntType",
        ),
        ('findings[header.Modality].value == "x"', "no such key"),
        ("header.ImageType.x == 1", "a value that is not a map has no members"),
        ("header.Rows", "the condition is not true or false but DoubleType"),
    ],
)
def test_why_a_condition_failed_is_told_word_for_word(when: str, reason: str) -> None:
    """The kinds of the values, none of the values."""
    assert decide([_rule(when)], FACTS).failed == {"rule": reason}
