"""What a viewer's scripts read of a recognition report, and which series they hang."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from node.classify.recognition_report import (
    CONCEPTS,
    PROBABILITY,
    TITLE,
    build_recognition_report,
)
from node.classify.study_findings import SeriesFindings
from node.model.findings import FINDINGS, ValueType
from node.model.records import Finding
from radnet.labels.vocabulary import Contrast, Plane, Region, Sequence
from tests.hanging_scripts import DisplaySet, image_set, report_set, run_script
from tests.made_ct import STUDY, edition
from tests.made_findings import findings, recognised, study

NONE: tuple[Region, ...] = ()
READ = "return [...modules.readReport(given).values()]"
SHOWN = """
    const shown = modules[given.choose](modules.recognised(given.sets));
    return shown.map(({ id, displaySet }) => [id, displaySet.SeriesInstanceUID.split('.').pop()]);
"""
HUNG = """
    const services = { displaySetService: { getActiveDisplaySets: () => given } };
    return modules.protocols({ services }).map(({ protocol }) => protocol().protocol);
"""


def _mr(
    number: int, sequence: Sequence | None, contrast: Contrast | None = Contrast.NONCONTRAST,
    plane: Plane = Plane.AXIAL, coverage: tuple[Region, ...] = (Region.BRAIN,),
    unknown: tuple[Region, ...] = NONE, sure: float = 0.9375,
) -> SeriesFindings:  # fmt: skip
    found = findings(sequence, plane, contrast, coverage, unknown)
    first = found[0]
    surer = Finding(first.name, first.value, sure, first.source, {}, first.model_sha256)
    return recognised(number, surer, *found[1:])


def _ct(number: int, contrast: Contrast | None, region: Region = Region.LIVER) -> SeriesFindings:
    found = findings(Sequence.CT, Plane.AXIAL, contrast, (region,), NONE)
    return recognised(number, *found, modality="CT")


def _report(*series: SeriesFindings, revision: int = 1) -> Dataset:
    return build_recognition_report(study(*series), edition(revision))


def _sets(*series: SeriesFindings, **header: Any) -> list[DisplaySet]:
    images = [
        image_set(
            STUDY, found.series_instance_uid, found.modality, found.series_number or 0, **header
        )
        for found in series
    ]
    return [*images, report_set(_report(*series))]


def _shown(folder: Path, choose: str, sets: list[DisplaySet]) -> list[list[str]]:
    shown: list[list[str]] = run_script(folder, SHOWN, {"choose": choose, "sets": sets})
    return shown


def test_the_codes_are_those_of_the_registry(tmp_path: Path) -> None:
    """Each concept and each value that a report may hold, and nothing else."""
    expected = {}
    for name, concept in CONCEPTS.items():
        kind = FINDINGS[name]
        values = {
            f"{code.value} {code.scheme_designator}": value
            if isinstance(value, bool)
            else str(value)
            for value, code in kind.value_codes.items()
        }
        entry: dict[str, Any] = {"name": str(name), "values": values}
        if kind.type is ValueType.CLASSES:
            entry["several"] = True
        expected[f"{concept.value} {concept.scheme_designator}"] = entry

    concepts, *names = run_script(
        tmp_path, "return [modules.CONCEPTS, modules.TITLE, modules.PROBABILITY]", None
    )

    assert concepts == expected
    assert names == [f"{code.value} {code.scheme_designator}" for code in (TITLE, PROBABILITY)]


def test_the_findings_of_a_series_are_read(tmp_path: Path) -> None:
    """As the node's own builder wrote them."""
    (found,) = run_script(tmp_path, READ, report_set(_report())["instance"])

    assert found == {
        "series": f"{STUDY}.104",
        "sequence": "T2-FLAIR",
        "plane": "axial",
        "contrast": "noncontrast",
        "coverage": ["brain"],
        "coverage_unknown": ["upper_head_neck"],
        "probability": {
            "sequence": 0.9375,
            "plane": 0.99,
            "contrast": 0.875,
            "coverage brain": 0.9688,
            "coverage_unknown upper_head_neck": 0.5,
        },
    }


def test_what_is_unknown_is_not_there(tmp_path: Path) -> None:
    """All of it: such a series is hung nowhere."""
    nothing = recognised(4, *findings(None, None, None, NONE, tuple(Region)))

    (found,) = run_script(tmp_path, READ, report_set(_report(nothing))["instance"])

    assert found["coverage"] == []
    assert not {"sequence", "plane", "contrast"} & set(found)
    assert _shown(tmp_path, "brain", _sets(nothing, nothing)) == []


BRAIN = (
    _mr(1, Sequence.T2_FLAIR), _mr(2, Sequence.T2),
    _mr(3, Sequence.T1, Contrast.CONTRAST), _mr(4, Sequence.T1),
)  # fmt: skip


def test_a_brain_hangs_in_the_fixed_order(tmp_path: Path) -> None:
    """Whatever order the scanner made them in."""
    assert _shown(tmp_path, "brain", _sets(*BRAIN)) == [
        ["t1", "104"], ["t1-contrast", "103"], ["t2", "102"], ["flair", "101"],
    ]  # fmt: skip


def test_places_that_nothing_is_there_for_are_left_out(tmp_path: Path) -> None:
    """The others keep their order; one series alone is no hanging."""
    assert _shown(tmp_path, "brain", _sets(BRAIN[0], BRAIN[3])) == [
        ["t1", "104"],
        ["flair", "101"],
    ]
    assert _shown(tmp_path, "brain", _sets(BRAIN[3])) == []


def test_a_t1_of_which_nobody_can_tell_gives_way_to_one_that_is_plain(tmp_path: Path) -> None:
    """Alone it is taken for plain, never for one with agent."""
    untold = _mr(5, Sequence.T1, None, sure=1.0)

    assert ["t1", "104"] in _shown(tmp_path, "brain", _sets(untold, *BRAIN))
    assert _shown(tmp_path, "brain", _sets(untold, BRAIN[1])) == [["t1", "105"], ["t2", "102"]]


def test_of_two_candidates_the_more_probable_hangs(tmp_path: Path) -> None:
    """Of two alike that of the lower number, in whichever order they come."""
    doubtful, sure, again = (
        _mr(6, Sequence.T2, sure=0.5),
        _mr(8, Sequence.T2, sure=0.75),
        _mr(9, Sequence.T2, sure=0.75),
    )  # fmt: skip
    for series in ((doubtful, sure, again), (again, sure, doubtful)):
        assert ["t2", "108"] in _shown(tmp_path, "brain", _sets(*series, BRAIN[0]))


def test_axial_comes_before_other_planes(tmp_path: Path) -> None:
    """Though a network be surer of the other; where there is no other, that is hung."""
    sagittal = _mr(7, Sequence.T2, plane=Plane.SAGITTAL, sure=1.0)

    assert ["t2", "102"] in _shown(tmp_path, "brain", _sets(sagittal, *BRAIN))
    assert ["t2", "107"] in _shown(tmp_path, "brain", _sets(sagittal, BRAIN[0]))


def test_a_liver_hangs_by_phase(tmp_path: Path) -> None:
    """Of the scans that cover it; a phase alone does not."""
    plain, phase = _ct(1, Contrast.NONCONTRAST), _ct(2, Contrast.CONTRAST)
    chest = _ct(3, Contrast.CONTRAST, Region.LUNG)

    assert _shown(tmp_path, "phases", _sets(phase, chest, plain)) == [
        ["noncontrast", "101"], ["contrast", "102"],
    ]  # fmt: skip
    assert _shown(tmp_path, "phases", _sets(plain, chest)) == []


def _spine() -> tuple[SeriesFindings, SeriesFindings]:
    return (
        _mr(2, Sequence.T2, None, Plane.SAGITTAL, NONE, (Region.PELVIS,)),
        _mr(1, Sequence.T1, Contrast.NONCONTRAST, Plane.SAGITTAL, NONE, (Region.PELVIS,)),
    )


def test_a_spine_hangs_sagittal(tmp_path: Path) -> None:
    """It is no region that is recognised: header or description name it."""
    hung = [["t1", "101"], ["t2", "102"]]

    assert _shown(tmp_path, "spine", _sets(*_spine(), BodyPartExamined="LSPINE")) == hung
    assert _shown(tmp_path, "spine", _sets(*_spine(), StudyDescription="MRT LWS")) == hung
    assert _shown(tmp_path, "spine", _sets(*_spine(), SeriesDescription="SAG spin echo")) == []
    assert _shown(tmp_path, "spine", _sets(*BRAIN, BodyPartExamined="SPINE")) == []


def _studies(date: str, prior_date: str, **prior: Any) -> list[DisplaySet]:
    series = BRAIN[:2]
    current = _sets(*series, StudyDate=date)
    report = _report(*series)
    report.StudyInstanceUID = "1.2.3"
    earlier = [
        image_set("1.2.3", found.series_instance_uid, **({"StudyDate": prior_date} | prior))
        for found in series[:1]
    ]
    return [*earlier, report_set(report), *current]


@pytest.mark.parametrize(
    ("dates", "hung"),
    [(("20260102", "20250102"), [STUDY, "1.2.3"]), (("20250102", "20260102"), ["1.2.3", STUDY])],
)
def test_the_newer_study_is_the_current_one(
    tmp_path: Path, dates: tuple[str, str], hung: list[str]
) -> None:
    """The same of both hangs side by side."""
    body = """return modules.currentAndPrior(modules.recognised(given))
        .map(({ displaySet }) => [displaySet.StudyInstanceUID, displaySet.SeriesInstanceUID])"""

    shown = run_script(tmp_path, body, _studies(*dates))

    assert shown == [[uid, f"{STUDY}.101"] for uid in hung]


@pytest.mark.parametrize("other", [{"PatientID": "B"}, {"PatientID": ""}, {"Modality": "CT"}])
def test_another_patient_is_no_prior(tmp_path: Path, other: dict[str, str]) -> None:
    """Nor one who has no ID; nothing but the image's header says whose it is."""
    sets = _studies("20260102", "20250102", **other)
    if "Modality" in other:
        sets[1]["instances"][0]["ContentSequence"] = []

    assert _shown(tmp_path, "currentAndPrior", sets) == []


def test_the_latest_revision_is_read(tmp_path: Path) -> None:
    """In whichever order the PACS lists them, and in whichever series."""
    wrong, right = _report(_mr(1, Sequence.T1), revision=9), _report(BRAIN[0], revision=10)
    images = _sets(*BRAIN)[:-1]
    both = _report(*BRAIN, revision=11)

    for reports in (
        [report_set(wrong, right, both)],
        [report_set(both), report_set(right, wrong)],
    ):
        assert len(_shown(tmp_path, "brain", [*images, *reports])) == 4


def test_a_report_speaks_of_its_own_study_alone(tmp_path: Path) -> None:
    """Whatever series it names."""
    sets = _sets(*BRAIN)
    sets[-1]["instances"][0]["StudyInstanceUID"] = "1.2.3"

    assert _shown(tmp_path, "brain", sets) == []


HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"


def _broken() -> list[Any]:
    """Return the content of reports that no node writes."""
    report = report_set(_report(*BRAIN))["instance"]
    measurements = report["ContentSequence"][-1]
    group = measurements["ContentSequence"][0]

    def of(items: Any) -> list[Any]:
        return [{**measurements, "ContentSequence": items}]

    def answer(**changed: Any) -> list[Any]:
        return of([{**group, "ContentSequence": [
            {**item, **changed} for item in group["ContentSequence"]
        ]}])  # fmt: skip

    return [
        None, "text", 7, [None], [[]], [HOSTILE], {}, of(None), of("text"),
        of([None, 3, [], HOSTILE]),
        answer(UID=HOSTILE), answer(UID={"a": 1}), answer(UID=["1.2", None]),
        answer(ConceptNameCodeSequence=None), answer(ConceptNameCodeSequence=[None]),
        answer(ConceptNameCodeSequence=[{"CodeValue": "__proto__", "CodingSchemeDesignator": {}}]),
        answer(ConceptCodeSequence=[{"CodeValue": HOSTILE, "CodingSchemeDesignator": "SCT"}]),
        answer(ConceptCodeSequence=HOSTILE), answer(ContentSequence=HOSTILE),
        answer(ContentSequence=[{"MeasuredValueSequence": [{"NumericValue": HOSTILE}]}]),
        of([{}] * 20_000), answer(ContentSequence=[{}] * 20_000),
    ]  # fmt: skip


def test_a_broken_report_hangs_nothing_and_throws_nothing(tmp_path: Path) -> None:
    """A study is opened as OHIF opens it then: no protocol fits."""
    body = """
        const report = given.sets.at(-1).instance;
        return given.contents.map(ContentSequence => {
          const instance = { ...report, ContentSequence };
          const reports = { ...given.sets.at(-1), instances: [instance] };
          const sets = [...given.sets.slice(0, -1), reports];
          const services = { displaySetService: { getActiveDisplaySets: () => sets } };
          return modules.protocols({ services }).map(({ protocol }) =>
            protocol().protocol.protocolMatchingRules.map(rule => rule.constraint.equals.value));
        });
    """
    contents = _broken()

    found = run_script(tmp_path, body, {"sets": _sets(*BRAIN), "contents": contents})

    assert len(found) == len(contents)
    assert found[:11] == [[["no study"]] * 5] * 11
    assert all(len(protocols) == 5 for protocols in found)


def test_markup_comes_nowhere_near_a_page(tmp_path: Path) -> None:
    """Protocols hold UIDs that OHIF gave and names of ours, no text of report or header."""
    series = [
        recognised(found.series_number or 0, *found.findings, description=HOSTILE)
        for found in BRAIN
    ]
    sets = _sets(*series, SeriesDescription=HOSTILE, StudyDescription=HOSTILE)

    hung = run_script(tmp_path, HUNG, sets)

    assert "onerror" not in str(hung)
    panes = hung[3]["stages"][0]["viewports"]
    assert [pane["viewportOptions"]["viewportId"] for pane in panes] == [
        "t1", "t1-contrast", "t2", "flair",
    ]  # fmt: skip


def test_a_study_of_300_series(tmp_path: Path) -> None:
    """The surest of 75 candidates for each place."""
    many = [
        _mr(number, Sequence.T1, Contrast.CONTRAST if number % 4 == 1 else Contrast.NONCONTRAST)
        if number % 4 < 2
        else _mr(number, Sequence.T2 if number % 4 == 2 else Sequence.T2_FLAIR)
        for number in range(1, 301)
    ]
    many[-1] = _mr(300, Sequence.T1, sure=1.0)

    assert _shown(tmp_path, "brain", _sets(*many)) == [
        ["t1", "400"], ["t1-contrast", "101"], ["t2", "102"], ["flair", "103"],
    ]  # fmt: skip


def test_findings_are_attributes_that_a_site_can_match(tmp_path: Path) -> None:
    """Of a series that nothing is known of they are undefined."""
    body = """
        const callbacks = {};
        modules.registerAttributes({ services: {
          displaySetService: { getActiveDisplaySets: () => given },
          hangingProtocolService: { addCustomAttribute: (id, name, f) => { callbacks[id] = f; } },
        } });
        return [given[0], {}, undefined].map(set =>
          Object.fromEntries(Object.entries(callbacks).map(([id, f]) => [id, f(set)])));
    """

    known, *unknown = run_script(tmp_path, body, _sets(BRAIN[0]))

    assert known == {
        "radnetSequence": "T2-FLAIR", "radnetPlane": "axial",
        "radnetContrast": "noncontrast", "radnetCoverage": ["brain"],
    }  # fmt: skip
    assert unknown == [{}, {}]


def test_what_was_given_stays_as_it_is(tmp_path: Path) -> None:
    """OHIF's own display sets: nothing is put into them."""
    sets = _sets(*BRAIN)

    body = """
        const services = { displaySetService: { getActiveDisplaySets: () => given } };
        modules.protocols({ services }).forEach(({ protocol }) => protocol());
        return given;
    """

    assert run_script(tmp_path, body, deepcopy(sets)) == sets
