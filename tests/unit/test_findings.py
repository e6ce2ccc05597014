"""The registry of findings: complete, the only one, and kind to what older versions wrote."""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from node.audit.custody import changed_files
from node.classify.fuse import fuse
from node.classify.tags import tags
from node.cli.study_tables import described
from node.deliver.orthanc import FINDING_METADATA
from node.model.findings import (
    FINDINGS,
    PRESENCE_CODES,
    SOME_INSTANCES,
    YES_NO_CODES,
    FindingKind,
    FindingName,
    FindingValue,
    Use,
    ValueType,
    fact_of,
    is_for,
    texts_of,
    typed,
)
from node.model.records import Finding
from node.pipeline.sending import findings_facts
from node.route.reference import reference
from node.store.catalog import Catalog
from node.store.files import InstanceFiles
from node.store.tables import finding
from radnet.inference.classifier import Prediction
from radnet.labels.evidence import Evidence, Label, SeriesLabels
from radnet.labels.vocabulary import HEADS, Contrast, Plane, Region, Sequence
from tests.store_rows import SERIES, STUDY, stored

ROOT: Final = Path(__file__).parents[2]
NOT_FOR_RULES: Final = {
    FindingName.REMARKS,  # sentences for people
    FindingName.LIVER,  # rules are asked before anything is measured
    FindingName.LIVER_VOLUME_ML,
}
HOMONYMS: Final = {
    FindingName.LIVER,  # an organ to segment: a setting, a seed of UIDs
    FindingName.DERIVED,  # the origin of an instance, an event of the ledger, a table
    FindingName.OWN_OUTPUT,  # a column of headers
}
"""Names that mean something else, too, where nobody works with findings."""
ROOMS: Final = ("classify", "deliver", "route", "views")
"""Where no name may stand, homonym or not."""


def literals(source: str, room: str) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of each name of a finding that is written out in a module."""
    tree = ast.parse(source)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    strict = room in ROOMS or "FindingName" in {name.name for one in imports for name in one.names}
    forbidden = set(FindingName) - (set() if strict else HOMONYMS)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in forbidden:
            yield node.lineno, str(node.value)


def test_no_finding_is_named_outside_the_registry() -> None:
    """What two places spell, one of them will spell otherwise one day."""
    allowed = ROOT / "node" / "model" / "findings.py", ROOT / "node" / "store" / "migrations"
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name!r}; write FindingName.{name.upper()}"
        for path in sorted((ROOT / "node").rglob("*.py"))
        if not any(path.is_relative_to(one) for one in allowed)  # migrations: names of then
        for line, name in literals(path.read_text("utf-8"), path.relative_to(ROOT).parts[1])
    ]

    assert found == []


@pytest.mark.parametrize(
    ("source", "room", "count"),
    [
        ('Finding("strange", True, 1.0, "fused")', "pipeline", 1),
        ('origin = "derived"', "store", 0),
        ('labels = ("derived", "liver")', "classify", 2),
        ('from node.model.findings import FindingName\norigin = "derived"', "store", 1),
        ("value = FindingName.STRANGE", "pipeline", 0),
    ],
)
def test_a_name_written_out_is_seen(source: str, room: str, count: int) -> None:
    """The test above would be green if it looked at nothing."""
    assert len(list(literals(source, room))) == count


@pytest.mark.parametrize("name", FindingName)
def test_every_finding_is_in_the_reference_or_not_for_rules(name: FindingName) -> None:
    """Whoever writes rules finds all that rules see, in the page that is shipped, too."""
    row = f"| `{name}` |"

    assert (row not in reference()) == (name in NOT_FOR_RULES)
    assert (row not in (ROOT / "deploy" / "RULES.md").read_text("utf-8")) == (
        name in NOT_FOR_RULES
    )


def test_every_name_is_registered_and_every_kind_is_whole() -> None:
    """A class has its values and a number its unit; a code that is missing is missing for all."""
    assert list(FINDINGS) == list(FindingName)
    for kind in FINDINGS.values():
        assert bool(kind.permitted) == (kind.type in (ValueType.CLASS, ValueType.CLASSES))
        assert (kind.unit is not None) == (kind.type is ValueType.NUMBER)
        every = [False, True] if kind.type is ValueType.YES_NO else [*kind.permitted]
        assert set(kind.value_codes) in (set(), set(every))
        assert kind.meaning
        assert kind.uses


def test_classes_are_those_that_the_networks_answer() -> None:
    """One list of classes: the registry repeats none of it."""
    for head, classes in HEADS.items():
        assert FINDINGS[head].permitted == tuple(map(str, classes))


@pytest.mark.parametrize(
    ("used", "group"),
    [(PRESENCE_CODES, codes.cid240), (YES_NO_CODES, codes.cid230)],
    ids=["Present-Absent", "Yes-No"],
)
def test_answers_are_coded_as_the_context_group_has_them(
    used: Mapping[Any, Code], group: Any
) -> None:
    """A reader compares code and scheme (PS3.16 CID 240, CID 230); SNOMED has two for "absent"."""
    permitted = {getattr(group, name) for name in group.dir()}

    assert set(used.values()) <= permitted


def test_an_orthanc_has_a_number_for_each_label() -> None:
    """A label without metadata of its own could not be queried by name."""
    assert set(FINDING_METADATA) == {name for name in FINDINGS if is_for(name, Use.LABEL)}


def agrees(kind: FindingKind, value: FindingValue) -> bool:
    """Tell whether a value is what the registry says."""
    if value is None:
        return True
    if kind.type is ValueType.YES_NO:
        return isinstance(value, bool)
    if kind.type is ValueType.NUMBER:
        return isinstance(value, float)
    if kind.type is ValueType.CLASS:
        return value in kind.permitted
    members = value if isinstance(value, list) else [None]
    return all(
        isinstance(one, str) and (not kind.permitted or one in kind.permitted) for one in members
    )


def _label(values: st.SearchStrategy[str]) -> st.SearchStrategy[Label]:
    evidence = values.map(lambda value: (Evidence(value, 3.0, "rule", "Attribute", "text"),))
    said = st.builds(Label, values, st.floats(0.5, 1), evidence)
    return st.one_of(st.just(Label()), said)


def _spread(classes: type[Any]) -> st.SearchStrategy[dict[Any, float]]:
    return st.fixed_dictionaries({one: st.floats(0.01, 1) for one in classes}).map(
        lambda spread: {one: p / sum(spread.values()) for one, p in spread.items()}
    )


yes_no = _label(st.sampled_from(["0", "1"]))
headers = st.builds(
    SeriesLabels,
    sequence=_label(st.sampled_from([*map(str, Sequence)])),
    plane=_label(st.sampled_from([*map(str, Plane)])),
    contrast=_label(st.sampled_from([*map(str, Contrast)])),
    coverage=_label(st.sampled_from(["liver", "liver;kidney", "elsewhere"])),
    localizer=yes_no,
    derived=yes_no,
    regions=st.dictionaries(st.sampled_from([*map(str, Region)]), st.floats(0.01, 0.99)),
)
predictions = st.builds(
    Prediction,
    sequence=_spread(Sequence),
    plane=_spread(Plane),
    contrast=_spread(Contrast),
    coverage=st.fixed_dictionaries({region: st.floats(0.01, 0.99) for region in Region}),
    spacing_mm=st.just(5.0),
    cells=st.just(np.zeros((1, len(Region)), np.float32)),
    cell_mm=st.just(32.0),
    strangeness=st.sampled_from([None, 0.1, 0.9]),
    strange_above=st.just(0.5),
)


@given(headers, st.one_of(st.none(), predictions))
def test_whatever_fusion_finds_is_registered_and_of_its_type(
    header: SeriesLabels, pixels: Prediction | None
) -> None:
    """And it is read from its row as it was written."""
    for one in fuse(header, pixels, unknown_below=0.6):
        assert agrees(FINDINGS[one.name], one.value)
        assert typed(one.name, json.loads(json.dumps(one.value))) == one.value


@pytest.mark.parametrize(
    ("name", "kept", "value"),
    [
        ("localizer", "0", False),
        ("strange", "1", True),
        ("own_output", "some", True),
        ("derived", True, True),
        ("derived", "perhaps", None),
        ("liver_volume_ml", "1234.5", 1234.5),
        ("liver_volume_ml", 1234, 1234.0),
        ("liver_volume_ml", "nan", None),
        ("liver_volume_ml", "much", None),
        ("plane", "axial", "axial"),
        ("plane", None, None),
        ("coverage", [], []),
        ("of_another_version", "1", "1"),
    ],
)
def test_rows_are_read_as_their_type_says(name: str, kept: object, value: FindingValue) -> None:
    """Those of an older version, too; what is neither is unknown, not an exception."""
    read = typed(name, kept)

    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("name", "value", "fact", "texts"),
    [
        ("localizer", True, "1", ["1"]),
        ("localizer", False, "0", ["0"]),
        ("localizer", None, None, []),
        ("coverage", None, [], []),
        ("plane", None, None, []),
        ("coverage", ["liver"], ["liver"], ["liver"]),
        ("liver_volume_ml", 1000.0, 1000.0, ["1000.0"]),
    ],
)
def test_rules_and_people_are_told_what_they_have_always_been(
    name: str, value: FindingValue, fact: object, texts: list[str]
) -> None:
    """A rule of a hospital says `findings.localizer.value == "1"`."""
    assert fact_of(name, value) == fact
    assert texts_of(value) == texts


def _older(name: str, value: Any, source: Any = "fused", **evidence: Any) -> Finding:
    """Return a finding as the version before wrote it into its row."""
    return Finding(name, value, 0.9, source, evidence)


OLDER: Final = [
    _older("sequence", "CT", because=["Modality, rule ct: CT"]),
    _older("contrast", None, header="silent"),
    _older("coverage", ["liver", "kidney"], liver=0.93),
    _older("coverage_unknown", []),
    _older("localizer", "0"),
    _older("derived", "1"),
    _older("strange", "1"),
    _older("own_output", "some", because="made by a radnet-node", instances=["1.2.3"]),
    _older("remarks", ["one image was left out"], "header", slice="1.2.4"),
    _older("liver", "present", "pixels", certificate={"volume_ml": 1234.5017}),
    _older("liver_volume_ml", "1234.5", "pixels"),
]
OLDER_SHA256: Final = "ee42a1beff7a618b7c9a9a99c86b7906ed0fd4ee190dc698dcd3ec7348549dee"
"""What the version before wrote into the ledger about them."""


def _wrong(catalog: Catalog) -> list[str]:
    nowhere = InstanceFiles(Path("nowhere"))
    return [
        one
        for one in changed_files(catalog, nowhere, catalog.ledger.history(STUDY))
        if not one.endswith("its file is gone")  # there is none in this test
    ]


@pytest.fixture
def older(catalog: Catalog) -> Catalog:
    """Give a catalog with the findings of a series as the version before wrote them."""
    catalog.studies.record(stored(1), 100.0)
    catalog.findings.put(SERIES, 1, OLDER, 101.0, "f" * 64)
    return catalog


def test_rows_of_an_older_version_are_proven_by_the_ledger_of_that_version(older: Catalog) -> None:
    """The digest is of what the rows hold, not of what it is read as."""
    (entry,) = [one for one in older.ledger.history(STUDY) if one.event == "classified"]

    assert entry.detail["findings_sha256"] == OLDER_SHA256
    assert _wrong(older) == []

    with older.engine.begin() as connection:
        of_derived = sa.update(finding).where(finding.c.name == "derived")
        connection.execute(of_derived.values(value=True))  # reads the same, and is not the same
    assert _wrong(older) == [f"{SERIES}: the findings of revision 1 are not those of the ledger"]


def test_rows_of_an_older_version_are_read_typed(older: Catalog) -> None:
    """And lead to the labels, facts and lines that they have always led to."""
    found = {one.name: one for one in older.findings.of_series(SERIES)}
    fused = {name: one for name, one in found.items() if one.source == "fused"}
    values = {name: one.value for name, one in found.items()}

    assert all(agrees(FINDINGS[name], value) for name, value in values.items())
    assert (values["localizer"], values["derived"], values["own_output"]) == (False, True, True)
    assert found["own_output"].evidence[SOME_INSTANCES] == ["1.2.3"]
    assert values["liver_volume_ml"] == 1234.5
    texts, labels = tags(fused)
    assert texts == {
        "sequence": "CT", "coverage": "liver;kidney", "derived": "1", "strange": "1",
    }  # fmt: skip
    assert labels == ["CT", "liver", "kidney", "derived"]
    facts = findings_facts(fused)
    assert [facts[name]["value"] for name in ("localizer", "derived", "contrast")] == [
        "0", "1", None,
    ]  # fmt: skip
    assert described(found.values()).plain.split("\n") == [
        "sequence: CT (90%, header)",
        "contrast: unknown (90%, header)",
        "coverage: liver, kidney (90%, header)",
        "strange: 1 (90%, header)",
        "own_output: some (90%, header)",
        "remark: one image was left out",
        "liver: present",
        "liver_volume_ml: 1234.5",
    ]


def test_a_step_that_an_older_version_began_is_ended_by_this_one(older: Catalog) -> None:
    """Segmentation writes what was found before it once more: typed, and told to the ledger."""
    older.findings.put(SERIES, 1, older.findings.of_series(SERIES), 102.0, "e" * 64)

    with older.engine.connect() as connection:
        kept = {row.name: row.value for row in connection.execute(sa.select(finding))}
    assert kept["localizer"] is False
    assert kept["own_output"] is True
    assert kept["liver_volume_ml"] == 1234.5
    assert _wrong(older) == []


def test_a_label_says_one_thing_and_orthanc_takes_it() -> None:
    """Letters, digits, - and _, at most 64 with any prefix; no two findings share one."""
    labels: list[str] = []
    for name, kind in FINDINGS.items():
        if is_for(name, Use.LABEL):
            labels += [str(name)] if kind.type is ValueType.YES_NO else list(kind.permitted)

    assert len(labels) == len(set(labels))
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,32}", label) for label in labels)
