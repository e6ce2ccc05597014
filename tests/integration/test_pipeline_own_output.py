"""What a radnet-node made is routed by the rules like everything else, and never looked at."""

from dataclasses import replace

import pytest
from pydicom import Dataset
from pydicom.dataelem import DataElement
from pydicom.uid import SegmentationStorage

from node.deliver.association import Peer
from node.deliver.origin import Origins
from node.identity import contributing_equipment
from node.model.failures import FailureKind, failure
from node.model.keys import RevisionKey
from node.model.work import Task
from node.route.rules import compile_rules
from node.settings import Rule
from tests.bench import Bench, slices
from tests.made_ct import SERIES, STUDY
from tests.node_process import wait_for


def marked(*indices: int) -> list[Dataset]:
    """Return slices that name a radnet-node as Contributing Equipment."""
    made = slices(*indices)
    for ds in made:
        ds.ContributingEquipmentSequence = [contributing_equipment()]
    return made


def taken_in(bench: Bench, *instances: Dataset) -> tuple[Task, dict[str, str | None]]:
    """Let a series come in; return its recognition, and why it could not be made, if so."""
    recognition = bench.take_in(*instances)
    key = RevisionKey.parse(recognition.key)
    return recognition, bench.stages.classify(key.series, key.number)


def test_own_output_that_comes_in_goes_where_the_rules_say(bench: Bench) -> None:
    """Acknowledged is delivered, whoever made it: another site's results are results."""
    bench.receive(*marked(0, 1, 2))
    bench.tick(3)

    wait_for(lambda: len(bench.pacs.sent) == 3 and bench.nothing_pending(), "the objects", 60)

    row = bench.last()
    assert row is not None
    assert (row.state, row.reason) == ("done", "made by a radnet-node")
    (finding,) = bench.catalog.findings.of_series(SERIES)
    assert (finding.name, finding.value) == ("own_output", True)
    assert not bench.sent(SegmentationStorage)


@pytest.mark.parametrize("one", [0, 5], ids=["first", "last"])
def test_a_marked_instance_says_nothing_of_its_neighbours(bench: Bench, one: int) -> None:
    """Wherever it stands: all are delivered, the others recognised and segmented without it."""
    others = [index for index in range(6) if index != one]
    bench.receive(*marked(one), *slices(*others))
    bench.tick(3)
    wait_for(lambda: len(bench.pacs.sent) == 8 and bench.nothing_pending(), "everything", 60)

    found = {f.name: f for f in bench.catalog.findings.of_series(SERIES) if f.source == "fused"}
    assert found["own_output"].value is True
    assert found["own_output"].evidence["instances"] == [f"{SERIES}.{one + 1}"]
    assert found["sequence"].value == "CT"
    (seg,) = bench.sent(SegmentationStorage)
    (series,) = seg.ReferencedSeriesSequence
    named = {one.ReferencedSOPInstanceUID for one in series.ReferencedInstanceSequence}
    assert named == {f"{SERIES}.{index + 1}" for index in others}


def test_rules_can_tell_own_output_from_images(bench: Bench) -> None:
    """Each instance goes by what it is, in a series of both; a rule about images fails on none."""
    rules = (
        Rule(name="ours", when='findings.own_output.value == "1"', deliver=("archive",)),
        Rule(
            name="theirs",
            when='findings.own_output.value != "1" && findings.sequence.value == "CT"',
            deliver=("pacs",),
        ),
        Rule(
            name="liver",
            when='findings.sequence.value == "CT" && "liver" in findings.coverage.value '
            '&& findings.localizer.value != "1"',
            deliver=("ward",),
        ),
    )
    stages = replace(bench.stages, rules=compile_rules(rules))
    recognition, why = taken_in(bench, *marked(0), *slices(1, 2))

    stages.route(recognition, why)

    where = {
        (d.sop_instance_uid, d.destination) for d in bench.catalog.delivery_states.of_study(STUDY)
    }
    assert {to for uid, to in where if uid == f"{SERIES}.1"} == {"archive"}
    assert {to for uid, to in where if uid != f"{SERIES}.1"} >= {"pacs"}
    row = bench.last()
    assert row is not None
    assert "rule ours failed" not in row.reason


def test_own_output_is_told_by_the_files_where_recognition_died(bench: Bench) -> None:
    """It is routed by its header then, and not held up."""
    recognition, _ = taken_in(bench, *marked(0, 1))
    bench.catalog.findings.put(SERIES, 1, [], bench.now)

    bench.stages.route(recognition, failure(FailureKind.RECOGNITION, "x").as_json())

    assert len(bench.catalog.delivery_states.of_study(STUDY)) == 2


def odd(ds: Dataset) -> None:
    """Write a Contributing Equipment that is no sequence."""
    ds["ContributingEquipmentSequence"] = DataElement(0x0018A001, "LO", "radnet-node")


def test_a_marker_that_is_no_sequence_names_nobody(bench: Bench) -> None:
    """A private use of the tag, or a broken header: the image is an image."""
    instances = slices(0, 1, 2)
    odd(instances[0])

    taken_in(bench, *instances)

    assert "own_output" not in {one.name for one in bench.catalog.findings.of_series(SERIES)}


@pytest.mark.parametrize(
    ("title", "host", "back"),
    [("SCANNER", "localhost", 3), ("OTHER", "127.0.0.1", 0), ("SCANNER", "192.0.2.7", 0)],
    ids=["the sender", "another title", "another place"],
)
def test_nothing_is_sent_back_to_where_it_came_from(
    bench: Bench, title: str, host: str, back: int
) -> None:
    """Title and address: a new archive of the same title is another one."""
    peer = Peer(title, host, 104, "RADNODE")
    stages = replace(bench.stages, origins=Origins({"pacs": peer}))
    recognition, why = taken_in(bench, *slices(0, 1, 2))

    stages.route(recognition, why)

    assert len(bench.catalog.delivery_states.of_study(STUDY)) == 3 - back
    row = bench.last()
    assert row is not None
    assert ("3 came from pacs and are not sent back there" in row.reason) == bool(back)
