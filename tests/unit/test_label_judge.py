"""What is made of single statements: bounds of timing, words, planes, claims of a region."""

import math
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from pydantic import ValidationError

from radnet.labels.evidence import Evidence, weigh
from radnet.labels.extent import REGION_FROM_VERTEX_MM, in_order
from radnet.labels.facts import HeaderFacts
from radnet.labels.judge import judge
from radnet.labels.reader import Reader
from radnet.labels.rule import LabelRule, Physics
from radnet.labels.rules import Rules, load_rules
from radnet.labels.vocabulary import Region, Sequence

RULES = load_rules()
LKI = "liver;kidney;intestine"


def physics(**bounds: Any) -> Physics:
    """Return a row of timing for T1."""
    return Physics(id="row", value=Sequence.T1, weight=2, example={}, **bounds)


@pytest.mark.parametrize("name", ["TR", "TE", "TI", "FA", "ETL", "b"])
@pytest.mark.parametrize(
    ("numbers", "fits"), [(9.9, False), (10, True), (20, True), (20.1, False), (None, False)]
)
def test_bounds_of_timing_include_their_ends(name: str, numbers: float | None, fits: bool) -> None:
    """An attribute that is missing fails its bounds."""
    told = {} if numbers is None else {name: numbers}

    assert physics(**{name: [10, 20]}).fires(told, set(), set()) is fits


@pytest.mark.parametrize(
    ("bound", "name", "within", "beyond"),
    [("TI_max", "TI", 100, 101), ("b_max", "b", 100, 101), ("FA_min", "FA", 100, 99)],
)
def test_what_is_not_told_passes_a_bound_on_one_side(
    bound: str, name: str, within: float, beyond: float
) -> None:
    """Most spin echoes have no inversion, no diffusion, and no flip angle that is told."""
    row = physics(**{bound: 100})

    assert row.fires({}, set(), set())
    assert row.fires({name: within}, set(), set())
    assert not row.fires({name: beyond}, set(), set())


@pytest.mark.parametrize(
    ("row", "scanning", "variant", "fits"),
    [
        (physics(scanning={"SE", "IR"}), {"SE"}, set(), True),
        (physics(scanning={"SE", "IR"}), {"GR"}, set(), False),
        (physics(scanning={"SE"}), set(), set(), False),
        (physics(not_scanning={"EP"}), {"SE", "EP"}, set(), False),
        (physics(not_scanning={"EP"}), {"SE"}, set(), True),
        (physics(variant={"MP"}), set(), {"MP", "SK"}, True),
        (physics(variant={"MP"}), {"MP"}, {"SK"}, False),
        (physics(not_variant={"SS"}), set(), {"SS"}, False),
        (physics(not_variant={"SS"}), {"SS"}, set(), True),
    ],
)
def test_a_row_of_timing_names_sequences_that_it_is_of_and_not_of(
    row: Physics, scanning: set[str], variant: set[str], fits: bool
) -> None:
    """One of those wanted is enough, and one of the others too much."""
    assert row.fires({}, scanning, variant) is fits


def rule(**given: Any) -> LabelRule:
    """Return a rule that finds "agent"."""
    row = {"id": "r", "head": "contrast", "value": "contrast", "words": "agent", "example": ("x",)}
    return LabelRule(**{**row, **given})


@pytest.mark.parametrize(
    ("given", "text", "context", "found"),
    [
        ({}, "an agent", "", True),
        ({}, "nothing", "agent", False),
        ({"unless": "oral"}, "oral agent", "", False),
        ({"unless": "oral"}, "agent", "oral", True),
        ({"only_with": "breast"}, "agent", "breast", True),
        ({"only_with": "breast"}, "agent", "chest", False),
        ({"unless": "oral", "only_with": "breast"}, "oral agent", "breast", False),
    ],
)
def test_a_rule_looks_at_its_text_and_for_company_at_all_texts(
    given: Mapping[str, str], text: str, context: str, found: bool
) -> None:
    """`unless` speaks of the text alone, `only_with` of everything the series says."""
    assert (rule(**given).finds(text, context) is not None) is found


@pytest.mark.parametrize(
    "given",
    [
        {"value": ""},
        {"value": "liver"},
        {"head": "coverage", "value": "contrast"},
        {"head": "coverage", "value": "liver;contrast"},
        {"head": "localizer", "value": "2"},
        {"head": "other"},
        {"weight": 0},
        {"weight": 20.5},
    ],
)
def test_a_row_that_cannot_be_a_rule_is_refused(given: Mapping[str, Any]) -> None:
    """A value that the head has not, none at all, or a weight that nothing outweighs."""
    with pytest.raises(ValidationError):
        rule(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"value": "", "hides": True},
        {"value": "", "silences": True},
        {"head": "coverage", "value": "liver;kidney"},
        {"head": "coverage", "value": "elsewhere"},
        {"head": "coverage", "value": "untold"},
        {"head": "derived", "value": "0"},
        {"head": "plane", "value": "axial"},
        {"weight": 20},
    ],
)
def test_every_value_of_a_head_makes_a_rule(given: Mapping[str, Any]) -> None:
    """And one that only hides or silences needs none."""
    assert isinstance(rule(**given).words, re.Pattern)


def test_a_rule_weighs_four_where_its_row_says_nothing() -> None:
    """Odds of fifty to one."""
    assert rule().weight == 4.0


def evidence(value: str, weight: float, name: str = "rule") -> Evidence:
    """Return one reason."""
    return Evidence(value, weight, name, "Attribute", "text")


def test_evidence_becomes_a_probability_beside_knowing_nothing() -> None:
    """A softmax in which "unknown" has weight 0; weights for one value add up."""
    told = [evidence("a", 1.5), evidence("b", 0.5), evidence("a", 2.0)]

    label = weigh(told)

    expected = math.exp(3.5) / (math.exp(3.5) + math.exp(0.5) + 1)
    assert label.confidence == pytest.approx(expected)
    assert label.value == "a"
    assert [(one.value, one.weight) for one in label.evidence] == [
        ("a", 2),
        ("a", 1.5),
        ("b", 0.5),
    ]
    assert label.conflicts == ()  # weaker than is worth saying


def test_evidence_that_is_against_is_told() -> None:
    """From a weight of 1 on; and what nobody is sure of is unknown, with its best guess."""
    label = weigh([evidence("a", 2.0), evidence("b", 1.0, "other")])

    assert label.value == ""
    assert label.confidence == pytest.approx(math.exp(2) / (math.exp(2) + math.exp(1) + 1))
    assert label.conflicts == ("Attribute says b ('text', rule other)",)
    assert weigh([evidence("a", 2.0)], threshold=0.5).value == "a"
    assert not weigh([])


def test_evidence_of_any_weight_is_weighed() -> None:
    """A thousand statements are no overflow."""
    label = weigh([evidence("a", 2000.0), evidence("b", 1000.0)])

    assert (label.value, label.confidence) == ("a", 1.0)
    assert weigh([evidence("a", -2000.0)]).confidence == 0.0


def mr(**given: Any) -> HeaderFacts:
    """Return facts of an MR series."""
    return HeaderFacts("MR", given.pop("texts", {}), **given)


def only(*rows: Physics) -> Rules:
    """Return rules that know these rows of timing and no word."""
    return Rules((), rows, RULES.trust)


@pytest.mark.parametrize(
    ("said", "numbers", "gradient"),
    [
        ("IR", {"TI": 900.0, "FA": 30.0}, True),
        ("IR", {"TI": 900.0, "FA": 31.0}, False),
        ("IR", {"TI": 900.0, "TE": 4.9}, True),
        ("IR", {"TI": 900.0, "TE": 5.0}, False),
        ("RM", {"FA": 12.0}, True),
        ("", {"TI": 900.0, "FA": 8.0}, True),
        ("", {"FA": 8.0}, False),
        ("SE IR", {"TI": 900.0, "FA": 8.0}, False),
        ("EP", {"TE": 3.0}, False),
        ("gr", {}, True),
    ],
)
def test_a_gradient_echo_is_seen_by_its_timing(
    said: str, numbers: dict[str, float], gradient: bool
) -> None:
    """No spin echo flips by 30 degrees or less, or comes in under 5 ms; what is said, stands."""
    row = physics(scanning={"GR"})
    facts = mr(texts={"ScanningSequence": said}, numbers=numbers)

    assert bool(judge(facts, only(row)).sequence.evidence) is gradient


def test_of_rows_for_one_weighting_the_strongest_counts() -> None:
    """They are one observation; its evidence shows what was measured."""
    rows = [
        Physics(id=name, value=value, weight=weight, TE=[0, 50], example={})
        for name, value, weight in [
            ("weak", Sequence.T1, 1.0),
            ("strong", Sequence.T1, 3.0),
            ("weaker", Sequence.T1, 2.0),
            ("other", Sequence.T2, 0.5),
        ]
    ]
    texts = {"ScanningSequence": "se"}
    facts = mr(texts=texts, numbers={"TE": 12.5, "TR": 600.0})

    found = judge(facts, only(*rows)).sequence.evidence

    assert [(one.rule, one.weight) for one in found] == [("strong", 3.0), ("other", 0.5)]
    assert (found[0].attribute, found[0].found) == ("MR timing", "SE TE 12.5, TR 600")
    assert judge(HeaderFacts("CT", texts, {"TE": 12.5}), only(*rows)).sequence.evidence == ()


@pytest.mark.parametrize(
    ("injected", "value", "weight", "when"),
    [
        (True, "contrast", 1.5, "before the images"),
        (False, "noncontrast", 4.0, "after the images"),
    ],
)
def test_the_time_of_the_bolus_is_evidence(
    injected: bool, value: str, weight: float, when: str
) -> None:
    """After the last image it was surely not at work; before the first it may have been."""
    label = judge(mr(injected=injected), only()).contrast

    assert label.evidence == (
        Evidence(value, weight, "bolus-time", "ContrastBolusStartTime", when),
    )
    assert judge(mr(), only()).contrast.evidence == ()


def turned(degrees: float) -> tuple[float, float, float]:
    """Return a normal that many degrees from the axis of the body."""
    return 0.0, math.sin(math.radians(degrees)), math.cos(math.radians(degrees))


@pytest.mark.parametrize(("degrees", "weight"), [(0, 8.0), (19.9, 8.0), (20.1, 3.0), (44, 3.0)])
def test_a_plane_is_less_sure_beyond_twenty_degrees(degrees: float, weight: float) -> None:
    """The angle is told."""
    labels = judge(HeaderFacts("CT", {}, normals=[turned(degrees)]), only())

    assert labels.plane.value == "axial"
    assert labels.plane.evidence == (
        Evidence(
            "axial",
            weight,
            "orientation",
            "ImageOrientationPatient",
            f"{degrees:.0f} degrees from axial",
        ),
    )
    assert labels.oblique_degrees == pytest.approx(degrees, abs=1e-6)


@pytest.mark.parametrize(
    ("normal", "plane"),
    [
        ((1.0, 0.0, 0.0), "sagittal"),
        ((0.0, -1.0, 0.0), "coronal"),
        ((0.0, 0.0, -1.0), "axial"),
        ((0.3, 0.2, -0.93), "axial"),
        ((-0.93, 0.2, 0.3), "sagittal"),
    ],
)
def test_the_plane_is_that_of_the_nearest_axis(
    normal: tuple[float, float, float], plane: str
) -> None:
    """Whichever way the normal points (LPS)."""
    assert judge(HeaderFacts("CT", {}, normals=[normal]), only()).plane.value == plane


@pytest.mark.parametrize(("degrees", "localizer"), [(15.5, "1"), (14.5, "0"), (90, "1")])
def test_slices_of_several_planes_are_a_localizer_of_no_plane(
    degrees: float, localizer: str
) -> None:
    """From 15 degrees on; slices that look the other way are parallel."""
    normals = [turned(0), turned(180), turned(degrees)]

    labels = judge(HeaderFacts("CT", {}, normals=normals), only())

    assert labels.localizer.value == localizer
    assert (labels.plane.value, labels.oblique_degrees is None) == (
        ("", True) if localizer == "1" else ("axial", False)
    )
    if localizer == "1":
        assert labels.localizer.evidence[0] == Evidence(
            "1", 4.0, "several-planes", "ImageOrientationPatient",
            f"slices {degrees:.0f} degrees apart",
        )  # fmt: skip


def test_what_nobody_calls_a_localizer_is_none_without_a_conflict() -> None:
    """Odds of about seven to one; that nothing was said contradicts nobody."""
    silent = judge(HeaderFacts("CT", {}), only())
    spoken = judge(HeaderFacts("CT", {"SeriesDescription": "SCOUT"}), RULES)

    assert (silent.localizer.value, silent.derived.value) == ("0", "0")
    assert silent.localizer.confidence == pytest.approx(1 / (1 + math.exp(-2)))
    assert spoken.localizer.value == "1"
    assert spoken.localizer.conflicts == ()


def test_an_attribute_is_trusted_as_the_table_of_sources_says() -> None:
    """The name of a protocol counts for less than the description of the series."""
    described = judge(HeaderFacts("MR", {"SeriesDescription": "T2"}), RULES).sequence
    planned = judge(HeaderFacts("MR", {"ProtocolName": "T2"}), RULES).sequence

    assert planned.evidence[0].weight == pytest.approx(0.6 * described.evidence[0].weight)


def covered(extent: float | None = None, **texts: str) -> Any:
    """Return the labels of an axial CT that is so long, in mm."""
    facts = HeaderFacts("CT", texts, normals=[(0.0, 0.0, 1.0)], extent_mm=extent)
    return judge(facts, RULES)


def sure(weight: float) -> float:
    """Return the probability of a log-odds."""
    return 1 / (1 + math.exp(-weight))


@pytest.mark.parametrize(
    ("texts", "weight"),
    [
        ({"SeriesDescription": "CHEST"}, 4.5),
        ({"SeriesDescription": "CHEST", "BodyPartExamined": "CHEST"}, 5.0),
        ({"SeriesDescription": "CHEST", "BodyPartExamined": "BRAIN"}, 3.5),
        ({"BodyPartExamined": "CHEST"}, 3.0),
        ({"BodyPartExamined": "CHEST", "StudyDescription": "CHEST"}, 3.5),
    ],
)
def test_the_first_attribute_decides_the_less_surely_the_more_others_differ(
    texts: dict[str, str], weight: float
) -> None:
    """Half a nat for one that agrees; a description feels half of a contradiction."""
    labels = covered(None, **texts)

    assert labels.coverage.value == "lung"
    assert labels.coverage.confidence == pytest.approx(sure(weight))
    assert labels.regions["lung"] == pytest.approx(sure(weight))
    assert labels.regions["brain"] == pytest.approx(1 - sure(weight))
    assert len(labels.coverage.conflicts) == ("BRAIN" in texts.values())


def test_a_divided_header_says_of_each_region_what_its_attributes_weigh() -> None:
    """Unknown, with the mean; the conflicts begin with who spoke first."""
    labels = covered(BodyPartExamined="CHEST", StudyDescription="BRAIN")

    assert labels.coverage.value == ""
    assert labels.coverage.confidence == pytest.approx(sure(1.0))
    assert labels.regions["lung"] == pytest.approx(3 / 5.5)
    assert labels.regions["brain"] == pytest.approx(2.5 / 5.5)
    assert labels.regions["pelvis"] == 0
    assert [told.split(" (")[0] for told in labels.coverage.conflicts] == [
        "BodyPartExamined says lung",
        "StudyDescription says brain",
    ]


def test_attributes_that_share_a_part_of_their_regions_contradict_by_the_rest() -> None:
    """By one minus the share of what they have in common in all they name."""
    labels = covered(BodyPartExamined="CHEST", StudyDescription="CHEST ABDOMEN PELVIS")

    (told,) = labels.coverage.conflicts
    assert told.startswith(f"StudyDescription says lung;{LKI};pelvis")
    assert labels.coverage.confidence == pytest.approx(sure(3.0 - 2.0 * (1 - 1 / 5)))


@pytest.mark.parametrize(("extent", "value"), [(276, ""), (277, f"lung;{LKI};pelvis")])
def test_a_scan_reaches_from_amid_its_first_region_to_amid_its_last(
    extent: float, value: str
) -> None:
    """Lung at 405 mm, pelvis at 800 mm below the vertex, 0.7 of that in a child: 276.5 mm."""
    labels = covered(extent, SeriesDescription="CHEST ABDOMEN PELVIS")

    assert labels.coverage.value == value
    if not value:
        assert labels.coverage.confidence == pytest.approx(sure(0.5))
        assert labels.regions == {}
        assert f"reach over {extent} mm only" in labels.coverage.conflicts[-1]


@pytest.mark.parametrize(("normal", "judged"), [((0.0, 0.6, 0.8), True), ((0.0, 0.8, 0.6), False)])
def test_only_slices_across_the_body_are_too_few(
    normal: tuple[float, float, float], judged: bool
) -> None:
    """A coronal scan shows its regions beside each other."""
    facts = HeaderFacts(
        "CT", {"SeriesDescription": "CHEST ABDOMEN PELVIS"}, normals=[normal], extent_mm=50
    )

    assert (judge(facts, RULES).coverage.value == "") is judged


def test_one_organ_of_the_abdomen_may_be_scanned_alone() -> None:
    """Abdomen names the three of them, and a few slices are enough."""
    assert covered(30, SeriesDescription="ABDOMEN").coverage.value == LKI


def places(**named: str) -> Rules:
    """Return rules that find each of these words, and what it names in BodyPartExamined."""
    rows = [
        rule(id=word, head="coverage", value=value, words=rf"\b{word}\b")
        for word, value in named.items()
    ]
    return Rules(tuple(rows), (), {**RULES.trust, "coverage": {"SeriesDescription": 4.5}})


@pytest.mark.parametrize(
    ("text", "value", "regions"),
    [
        ("spine", "", {}),
        ("spine knee", "", {}),
        ("knee spine", "", {}),
        ("knee", "elsewhere", {"liver": 1 - sure(4.5), "lung": 1 - sure(4.5)}),
        ("spine liver", "liver", {"liver": sure(4.5), "lung": 1 - sure(4.5)}),
        ("knee liver", "liver", {"liver": sure(4.5), "lung": 1 - sure(4.5)}),
    ],
)
def test_beside_what_cannot_be_told_only_a_region_counts(
    text: str, value: str, regions: dict[str, float]
) -> None:
    """A spine and a knee may show a kidney; a spine and a liver show the liver."""
    facts = HeaderFacts("CT", {"SeriesDescription": text})

    labels = judge(facts, places(spine="untold", knee="elsewhere", liver="liver"))

    assert labels.coverage.value == value
    assert {name: labels.regions[name] for name in regions} == pytest.approx(regions)
    assert bool(labels.regions) is bool(regions)
    assert [one.value for one in labels.coverage.evidence] == [value or "untold"]
    assert sorted(labels.coverage.evidence[0].found.split(", ")) == sorted(text.split())
    assert sorted(labels.coverage.evidence[0].rule.split(" + ")) == sorted(text.split())


def test_regions_are_listed_from_head_to_foot() -> None:
    """Whatever the order in which they were named."""
    assert in_order(["pelvis", "brain", "lung"]) == "brain;lung;pelvis"
    assert in_order([]) == "elsewhere"
    assert in_order(map(str, reversed(Region))).split(";") == [*map(str, Region)]


def test_the_table_of_the_adult_goes_from_head_to_foot_without_a_gap() -> None:
    """Each region begins above the end of the one before; the breast lies beside the lung."""
    table = [REGION_FROM_VERTEX_MM[region] for region in Region if region is not Region.BREAST]

    assert table[0][0] == 0
    assert [top for top, _ in table] == sorted(top for top, _ in table)
    assert [bottom for _, bottom in table] == sorted(bottom for _, bottom in table)
    for (top, bottom), (below, _) in pairwise(table):
        assert top < below <= bottom
    lung, breast = (REGION_FROM_VERTEX_MM[region] for region in (Region.LUNG, Region.BREAST))
    assert lung[0] < breast[0] < breast[1] < lung[1]
    assert table[-1][1] == pytest.approx(1700 / 2, abs=60)  # legs are half of us


def test_what_a_protocol_implies_counts_beside_a_silent_description() -> None:
    """Both texts are read as words of one line."""
    texts = {"SeriesDescription": "AXIAL", "ProtocolName": "FLAIR"}

    assert judge(mr(texts=texts), RULES).coverage.value == "brain"


def test_words_stand_beside_the_orientation_that_decides() -> None:
    """Those that agree are evidence, those that do not are conflicts as well."""
    for words, conflicts in (("AX", 0), ("COR", 1)):
        facts = HeaderFacts("CT", {"SeriesDescription": words}, normals=[turned(0)])

        plane = judge(facts, RULES).plane

        assert plane.value == "axial"
        assert plane.evidence[0].rule == "orientation"
        assert [one.attribute for one in plane.evidence[1:]] == ["SeriesDescription"]
        assert len(plane.conflicts) == conflicts


def test_silence_is_shown_as_such() -> None:
    """The evidence of a label that nobody spoke of."""
    silence = Evidence("0", 2.0, "nothing-said", "all attributes", "-")

    assert judge(HeaderFacts("CT", {}), only()).localizer.evidence == (silence,)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("agent", "contrast"),
        ("without contrast agent", ""),
        ("agent quiet", ""),
        ("agent noise", "contrast"),
        ("hidden agent", ""),
    ],
)
def test_a_rule_that_silences_sees_the_line_as_it_was(line: str, found: str) -> None:
    """Also the words that a settled negation took away; wherever it stands in the table."""
    rules = (
        rule(),
        rule(id="mask", value="", hides=True, words="hidden agent"),
        rule(id="hush", value="", silences=True, words="without contrast|quiet"),
    )
    for order in (rules, rules[::-1]):
        read = Reader(order, "SeriesDescription", "").agent(line, "CT")

        assert [one.value for one in read] == ([found] if found else [])
