"""A rule that can never match is found by `radnode check`, not by the study that went nowhere."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from node.cli import radnode
from node.route.reference import reference
from node.route.review import doubts
from node.route.rules import compile_rules
from node.settings import Rule, load
from radnet.labels.vocabulary import Contrast, Plane, Region, Sequence


def rule(when: str, name: str = "rule", **actions: object) -> Rule:
    """Return a rule that delivers, unless told otherwise."""
    return Rule.model_validate({"name": name, "when": when, "deliver": ("PACS",)} | actions)


def doubted(when: str) -> str:
    """Return what is wrong with a condition."""
    return "\n".join(doubts(compile_rules([rule(when)])))


NEVER = [
    ('findings.contrast.value == "portal venous"', "'noncontrast', 'contrast'"),
    ('"portal venous" == findings.contrast.value', "'noncontrast', 'contrast'"),
    ('findings.contrast.value != "arterial"', "'noncontrast', 'contrast'"),
    ('findings.sequence.value == "T1W"', "perhaps 'T1'"),
    ('findings["sequence"]["value"] == "T1W"', "perhaps 'T1'"),
    ('findings.sequence.value in ["T1W", "T2"]', "'T1W'"),
    ('findings.sequence.value.contains("W")', "contains 'W'"),
    ('findings.sequence.value.startsWith("MR")', "startsWith 'MR'"),
    ('findings.sequence.value.matches("^T[34]")', "matches"),
    ('findings.plane.value == "Axial"', "perhaps 'axial'"),
    ('"Leber" in findings.coverage.value', "'liver'"),
    ('!("abdomen" in findings.coverage.value)', "'liver'"),
    ('findings.coverage.value == "liver"', "write 'liver' in findings.coverage.value"),
    ('findings.coverage.value.contains("chest")', "'lung'"),
    ('findings.coverage.value[0] == "chest"', "'lung'"),
    ('findings.coverage.value.exists(r, r == "chest")', "'lung'"),
    ('findings.coverage.value.exists(r, header.Rows == 5 && r == "chest")', "'lung'"),
    ('findings.coverage.value.filter(r, r == "chest").exists(r, true)', "'lung'"),
    ("findings.coverage.value in ['liver']", "is a list"),
    ('"axial" in findings.plane.value', "is a text, no list"),
    ('findings.localizer.value == "yes"', "'0', '1'"),
    ("findings.localizer.value == 1", "'0', '1'"),
    ("findings.derived.value == true", "'0', '1'"),
    ('"plan" in findings.disagreement.value', "'plane'"),
    ("findings.sequence.probability >= 90", "between 0 and 1"),
    ("90 <= findings.sequence.probability", "between 0 and 1"),
    ("findings.sequence.probability == 2.0", "between 0 and 1"),
    ('findings.sequence.probability > "0.9"', "not compared"),
    ('findings.sequence == "CT"', "a table"),
    ('findings.sequence.val == "CT"', "'value'"),
    ('findings["sequencing"].value == "CT"', "'sequence'"),
    ('header["Modalty"] == "CT"', "'Modality'"),
    ("has(findings.sequence.confidence)", "'probability'"),
    ('header.Rows == "512"', "a number"),
    ("header.Modality == 3", "a text"),
    ("header.Modality > 3", "not compared"),
    ('header.Rows.contains("5")', "has no contains"),
    ('header.ImageType == "PRIMARY"', "write 'PRIMARY' in header.ImageType"),
    ('header.ImageType.startsWith("PRIM")', "has no startsWith"),
    ('"CT" in header.Modality', "header.Modality.contains"),
    ('header.PatientAge == "045Y"', "a number"),
    ("header.Rows == header.Modality", "not compared"),
    ('header.SeriesDescription.matches("(liver")', "no regular expression"),
    ("header.SeriesDescription.contains(3)", "expects a text"),
    ("header.Modality", "not true or false"),
    ("header.Modality && true", "not true or false"),
    ("!header.Modality", "not true or false"),
    ("1", "not true or false"),
    ("false", "never true"),
    ('header.Modality == "ct"', "a code in capitals"),
    ('header.Modality in ["CT", "mr"]', "found 'mr'"),
    ('source.calling_ae == "THE_CT_IN_THE_BASEMENT"', "1 to 16 characters"),
    ('findings.plane.value == "axial" && findings.plane.value == "coronal"', "at once"),
    ('has(header.KVP) && (header.Modality == "CT" && "MR" == header.Modality)', "at once"),
    ('findings.sequence.value == "T1W" ? true : false', "'T1'"),
    ('header.Rows == 5 || (true && !(findings.contrast.value == "late"))', "'contrast'"),
]


@pytest.mark.parametrize(("when", "told"), NEVER, ids=[when for when, _ in NEVER])
def test_what_can_never_be_so_is_named_with_what_is_expected(when: str, told: str) -> None:
    """Found, and expected."""
    assert told in doubted(when)


@pytest.mark.parametrize(
    "when",
    [
        "true",
        'findings.sequence.value == "CT" && "liver" in findings.coverage.value',
        'findings.sequence.value in ["T1", "T2", "T1-FLAIR"]',
        'findings.sequence.value.startsWith("T1") || findings.sequence.value.contains("FLAIR")',
        'findings.sequence.value.matches("^T[12]")',
        "findings.plane.value == null || findings.plane.value != null",
        'findings.plane.value == "axial" || findings.plane.value == "coronal"',
        'findings.localizer.value != "1" && findings.derived.value == "0"',
        "findings.sequence.probability >= 0.9 && findings.sequence.probability < 1",
        "0.5 < findings.sequence.probability",
        "size(findings.disagreement.value) == 0",
        '!("contrast" in findings.disagreement.value)',
        'findings.coverage.value.all(r, r in ["liver", "kidney"])',
        'findings.coverage.value == ["liver"]',
        'findings["plane"].value == "axial"',
        "header.Rows == 512 && header.Rows > 100.5 && header.Columns == header.Rows",
        "header.Rows in [256, 512]",
        "header.SliceThickness * 2.0 < 5.0 || -header.SliceThickness < -1.0",
        'header.BodyPartExamined == "Chest" || header.SeriesDescription.contains("liver")',
        'header.SequenceName.exists(x, x == "a")',
        '"PRIMARY" in header.ImageType && header.ImageType[2] == "AXIAL"',
        'header.ImageType.exists(kind, kind == "MIP")',
        "!has(header.EchoTime) || header.EchoTime > 80",
        'header.ProtocolName == header.SeriesDescription + " x"',
        'header.AccessionNumber.startsWith("A") && header.PatientAge < 16',
        'header.RequestedProcedurePriority == "STAT"',
        'source.calling_ae in ["CT1", "CT2"] && source.called_ae == "NODE"',
        "size(header.SeriesDescription) > 3 && int(header.SeriesNumber) == 3",
        '(findings.plane.value == "axial") == true',
        'findings.plane.value == "axial" ? true : findings.own_output.value == "1"',
        'string(findings.plane.value) == "axial"',
        # members of a list, and lists
        'header.ImageType[0] == "DERIVED" && header.ImageType[2] == "AXIAL"',
        'header.ImageType[size(header.ImageType) - 1] == "A" && header.ImageType[0] == "B"',
        'header.ImageType.exists(k, k == "A") && header.ImageType.exists(k, k == "B")',
        'header.ImageType == ["A", "B"] || header.SeriesDescription == ["A", "B"]',
        'findings.coverage.value == ["liver", header.BodyPartExamined]',
        "[1].map(x, x) == [5] || header.ImageType.map(x, x) == 5",
        "header.ImageType == header.SeriesDescription",
        'header.SeriesDescription.exists(x, x == "a")',
        "header.Rows[0] == 1",
        # what is said of one side of || or of its opposite
        '(header.Modality == "CT" || header.Rows == 5) && header.Modality == "MR"',
        '!(header.Modality == "CT") && header.Modality == "MR"',
        '(header.Modality == "CT") == false && header.Modality == "MR"',
        'header.Modality != "CT" && header.Modality == "MR"',
        'header.Modality == header.ProtocolName && header.Modality == "CT"',
        'findings.plane.value == null && findings.plane.value == "axial"',
        'header.Modality + "x" == "CTx" && header.Modality + "y" == "CTy"',
        "header.Rows == 0x10u && header.Rows == 16",
        '1 + 1 == 2 && "a" == "a"',
        # kinds that nobody knows, or that have no bounds
        "(true ? header.Rows : header.Columns) == 5",
        "true ? header.Rows : header.Columns",
        'true ? true : "x"',
        "findings.sequence.probability + 1.0 > 1.5",
        'findings.plane.value + "x" == "axialx"',
        'b"x" == "y" || findings.plane.value == b"y"',
        'header.Modality.contains("a", "b")',
        'header.AccessionNumber == "a text of more than sixteen characters"',
        "true == true || true != false",
        """findings.plane.value == \'\'\'axial\'\'\'""",
    ],
)
def test_what_can_be_so_is_left_alone(when: str) -> None:
    """A check that cries over what is right is switched off."""
    assert doubted(when) == ""


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ([rule("true", urgent=True, deliver=())], "urgent and sends nothing"),
        ([rule("true", deliver=())], "does nothing"),
        ([rule("true", results_to=("PACS",), summary=False)], "no rule has segment"),
        ([rule("true", stop=True), rule("true", "late")], "'late': it is never reached"),
    ],
    ids=["urgent", "nothing", "no results", "behind stop"],
)
def test_actions_that_lead_nowhere_are_named(rules: list[Rule], told: str) -> None:
    """Nobody notices what does not happen."""
    assert told in "\n".join(doubts(compile_rules(rules)))


@pytest.mark.parametrize(
    "rules",
    [
        [rule("true", deliver=(), segment=("liver",))],
        [rule("true", deliver=(), results_to=("PACS",))],
        [
            rule("true", deliver=(), results_to=("PACS",), urgent=True),
            rule("true", segment=("liver",)),
        ],
        [rule("findings.own_output.value == '1'", deliver=(), stop=True), rule("true", "rest")],
    ],
    ids=["kept here", "a summary", "urgent results", "an exception"],
)
def test_actions_that_lead_somewhere_are_left_alone(rules: list[Rule]) -> None:
    """Results that stay here, a rule that only stops."""
    assert doubts(compile_rules(rules)) == []


def test_check_refuses_a_rule_that_never_matches_and_names_it(tmp_path: Path) -> None:
    """Exit status 2, as for other mistakes in the settings."""
    (tmp_path / "out").mkdir()
    config = tmp_path / "node.toml"
    config.write_text(
        '[node]\ndata = "data"\n[[destinations]]\nname = "out"\nkind = "folder"\npath = "out"\n'
        '[[rules]]\nname = "late"\ndeliver = ["out"]\n'
        "when = 'findings.contrast.value == \"portal venous\"'\n",
        "utf-8",
    )

    done = CliRunner().invoke(radnode, ["check", "--config", str(config)])

    assert done.exit_code == 2
    assert "rule 'late'" in done.output
    assert "'noncontrast', 'contrast'" in done.output


def test_the_shipped_rules_are_without_doubt() -> None:
    """They are what others begin with."""
    shipped = load(Path(__file__).parents[2] / "deploy" / "node.toml").rules

    assert doubts(compile_rules(shipped)) == []


def test_the_reference_is_what_the_code_says() -> None:
    """`radnode rules reference > deploy/RULES.md` after a change."""
    page = (Path(__file__).parents[2] / "deploy" / "RULES.md").read_text("utf-8")

    assert page == reference()
    for word in ("AccessionNumber", "PatientAge", "RequestedProcedurePriority", "called_ae"):
        assert f"{word}`" in page
    for permitted in (*Sequence, *Plane, *Contrast, *Region):
        assert f'`"{permitted}"`' in page


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ('"CT"', "a text that is written out is a text, not true or false"),
        ("-header.Rows", "a number that is written out is a number, not true or false"),
        ("findings.plane", "findings.plane is a table, not true or false"),
        ("header.Modality ? true : false", "header.Modality is a text, not true or false"),
        ("null < 3", "null that is written out is null: it has no order"),
        ("header.ImageType < 3", "header.ImageType is a list of texts: it has no order"),
        (
            "header.Modality > 3",
            "header.Modality is a text, a number that is written out is a number: "
            "they are not compared",
        ),
        (
            "header.ImageType[0] == header.Rows",
            "header.Rows is a number, header.ImageType[0] is a text: they are not compared",
        ),
        ("header.Rows in header.ImageType", "header.ImageType holds texts, never a number"),
        (
            'header.ImageType in ["A"]',
            "header.ImageType is a list; write: value in header.ImageType",
        ),
        ("header.Rows in 0x10", "in a number that is written out, which is no list; write [...]"),
        ("1 in header.Rows", "in header.Rows, which is no list; write [...]"),
        ("header.Rows.exists(x, x == 3)", "header.Rows is a number, no list for exists"),
        ("string(header.Rows) == 5", "a text that is written out is a text and never 5.0"),
        (
            'string(findings.plane.value) == "Axial"',
            "findings.plane.value is never 'Axial'; expected 'axial', 'coronal', 'sagittal' "
            "(perhaps 'axial')",
        ),
        (
            "findings.localizer.value == 1",
            "findings.localizer.value is a text and never 1.0; expected '0', '1'",
        ),
        ('header.Rows == "512"', "header.Rows is a number and never '512'"),
        (
            'findings.sequence == "CT"',
            "findings.sequence is a table; write one of its members: 'value', 'probability'",
        ),
        (
            'header.Modality == "CT" && header.Modality == "MR" && header.Modality == "CT"',
            "header.Modality is never 'CT' and 'MR' at once; write ||",
        ),
        # what holds on one side of an && holds beside the other, however they are nested
        (
            '(header.Modality == "CT" && has(header.KVP)) && header.Modality == "MR"',
            "header.Modality is never 'CT' and 'MR' at once; write ||",
        ),
        (
            'header.Modality == "CT" && (header.Rows == 5 && (header.Modality == "MR"))',
            "header.Modality is never 'CT' and 'MR' at once; write ||",
        ),
        (
            "6 == header.Rows && header.Rows == 5",
            "header.Rows is never 5.0 and 6.0 at once; write ||",
        ),
        (
            'header.ImageType[0] == "A" && header.ImageType[0] == "B"',
            "header.ImageType[0] is never 'A' and 'B' at once; write ||",
        ),
        ("header.Modality == 3u", "header.Modality is a text and never 3.0"),
        ("header.Modality == 0x10", "header.Modality is a text and never 16.0"),
        # lists
        (
            'findings.sequence.value.contains(["W"])',
            "contains of findings.sequence.value expects a text, found a list of texts",
        ),
        ('1 in "abc"', "in a text that is written out, which is no list; write [...]"),
        ("1 in true", "in true or false that is written out, which is no list; write [...]"),
        ("true in header.ImageType", "header.ImageType holds texts, never true or false"),
        ("header.Rows == [5]", "header.Rows is a number, no list; write: in [...]"),
        (
            'findings.plane.value == ["axial"]',
            "findings.plane.value is a text, no list; write: in [...]",
        ),
        (
            'header.ImageType + header.ImageType == "A"',
            "a list of texts that is written out is a list and never equals 'A'",
        ),
        (
            "findings.coverage.value == findings.plane.value",
            "findings.plane.value is a text, findings.coverage.value is a list of texts: "
            "they are not compared",
        ),
        (
            "header.ImageType.filter(x, true)",
            "header.ImageType is a list of texts, not true or false",
        ),
        ("header.ImageType.all(x, x)", "header.ImageType is a text, not true or false"),
        (
            'findings.plane.value.exists(x, x == "a")',
            "findings.plane.value is a text, no list for exists",
        ),
        (
            "true.exists(x, true)",
            "true or false that is written out is true or false, no list for exists",
        ),
        # members
        ("header.Rows.x == 1", "header.Rows is a number and has no 'x'"),
        ('header.Modality["x"] == "y"', "header.Modality is a text and has no 'x'"),
        # kinds that pass through
        ("true ? header.Rows : header.Rows", "header.Rows is a number, not true or false"),
        ("true || header.Modality", "header.Modality is a text, not true or false"),
        ("header.Modality || true", "header.Modality is a text, not true or false"),
        ('1 + header.Rows == "x"', "a number that is written out is a number and never 'x'"),
        ('header.Rows - 1 == "x"', "a number that is written out is a number and never 'x'"),
        (
            'header.Modality.size() == "x"',
            "a number that is written out is a number and never 'x'",
        ),
        ("size(header.Modality)", "a number that is written out is a number, not true or false"),
        ("true == 5", "a number that is written out is a number and never True"),
        ('false == "x"', "a text that is written out is a text and never False"),
        ('header.Rows == """5"""', "header.Rows is a number and never '5'"),
    ],
)
def test_a_doubt_is_one_sentence_that_says_found_and_expected(when: str, told: str) -> None:
    """Word for word: an administrator has nothing else to go by."""
    assert doubted(when) == f"rule 'rule': {told}"


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ('findings.coverage.value == ["Leber"]', "'Leber'; expected 'brain', .*perhaps 'liver'"),
        ('["Leber"] != findings.coverage.value', "'Leber'; expected 'brain', .*perhaps 'liver'"),
        ('findings.plane.value == ["Axial"]', "no list; .*\n.*is never 'Axial'"),
        ('header.Rows == ["5"]', "no list; .*\n.*header.Rows is a number and never '5'"),
    ],
)
def test_each_member_of_a_list_that_is_written_out_is_looked_at(when: str, told: str) -> None:
    """Whichever side it stands on."""
    assert re.search(told, doubted(when))


@pytest.mark.parametrize(
    ("actions", "told"),
    [
        ({"urgent": True, "deliver": ("PACS",)}, ""),
        ({"urgent": True, "deliver": (), "segment": ("liver",), "results_to": ("PACS",)}, ""),
        ({"deliver": (), "stop": True}, ""),
        ({"deliver": (), "segment": ("liver",)}, ""),
        (
            {"deliver": (), "results_to": ("PACS",), "summary": False},
            "it has results_to without summary, and no rule has segment, so that there are no "
            "results",
        ),
        (
            {"deliver": (), "urgent": True},
            "it is urgent and sends nothing; expected destinations in deliver or results_to",
        ),
        ({"deliver": ()}, "it does nothing; expected deliver, segment, results_to or stop"),
    ],
)
def test_an_action_that_leads_nowhere_is_told_in_one_sentence(
    actions: dict[str, Any], told: str
) -> None:
    """One rule alone: what is wrong with it, and nothing else."""
    found = doubts(compile_rules([rule("has(header.KVP)", **actions)]))

    assert found == ([f"rule 'rule': {told}"] if told else [])


def test_every_rule_behind_one_that_always_stops_is_named() -> None:
    """Those before it are reached; so are those behind one that stops now and then."""
    table = [
        rule("true", "first"),
        rule("has(header.KVP)", "sometimes", stop=True),
        rule(" true ", "always", stop=True),
        rule("true", "late"),
        rule("true", "later", stop=True),
    ]

    assert doubts(compile_rules(table)) == [
        f"rule {name!r}: it is never reached, for 'always' always stops"
        for name in ("late", "later")
    ]


@pytest.mark.parametrize(
    ("operator", "value", "within"),
    [
        (">", 1.0, False), (">", 0.99, True), (">=", 1.0, True), (">=", 1.01, False),
        ("<", 0.0, False), ("<", 0.01, True), ("<=", 0.0, True), ("==", 0.0, True),
        ("==", 1.0, True), ("==", 1.01, False), ("!=", -0.01, False),
    ],
)  # fmt: skip
def test_a_probability_is_between_nothing_and_one_both_included(
    operator: str, value: float, within: bool
) -> None:
    """From either side of the comparison."""
    mirrored = operator.translate(str.maketrans("<>", "><"))

    for when in (
        f"findings.plane.probability {operator} {value}",
        f"{value} {mirrored} findings.plane.probability",
    ):
        expected = f"findings.plane.probability is between 0 and 1; found {value:g}"
        assert doubted(when) == ("" if within else f"rule 'rule': {expected}")


@pytest.mark.parametrize(
    ("title", "fits"), [("A", True), ("A" * 16, True), ("A" * 17, False), (" ", False)]
)
def test_an_ae_title_has_one_to_sixteen_characters(title: str, fits: bool) -> None:
    """PS3.5 Section 6.2."""
    assert (doubted(f'source.calling_ae == "{title}"') == "") is fits
