"""The list of Hanging Protocol objects is that of the viewer beside the node."""

import re
from pathlib import Path

import pytest

from node.hanging.descriptions import MOST, also_described, pane_names
from node.hanging.parts import HangingProtocol, Selector
from node.hanging.protocols import PROTOCOLS, T1, body_parts
from radnet.labels.vocabulary import Region

OHIF = Path(__file__).parents[2] / "orthanc/ohif"
BY_NAME = {protocol.short_name: protocol for protocol in PROTOCOLS}


def _script(name: str) -> str:
    return (OHIF / f"{name}.js").read_text(encoding="utf-8")


def _panes_in_ohif(name: str) -> list[str]:
    if name == "liver":
        return re.findall(r"viewport\('([\w+-]+)'", _script("liver"))
    if name == "prior":
        return re.findall(r"\{ id: '(current|prior)', displaySet", _script("choosing"))
    (places,) = re.findall(
        rf"export const {name} = .*?filled\(.*?\[(.*?)\n  \]\)", _script("choosing"), re.DOTALL
    )
    return re.findall(r"\bid: '([\w-]+)'", places)


def test_order_and_names_are_those_of_ohif() -> None:
    """Whoever adds one there, or calls it otherwise, does so here."""
    (tried,) = re.findall(r"\$set: \[(.*?)\]", _script("app-config"), re.DOTALL)
    order = re.findall(r"'(@radnet/\w+)'", tried)
    called = dict(
        pair
        for script in ("hanging", "liver")
        for pair in re.findall(r"id: '(@radnet/\w+)',\s*name: '([^']+)'", _script(script))
    )

    assert [(one.id, one.description) for one in PROTOCOLS] == [
        (id_, called[id_]) for id_ in order
    ]
    assert set(called) == set(order)


@pytest.mark.parametrize("name", BY_NAME)
def test_panes_are_those_of_ohif_in_their_order(name: str) -> None:
    """From left to right, and as many in a row."""
    protocol = BY_NAME[name]

    assert [pane.id for pane in protocol.panes] == _panes_in_ohif(name)
    assert "const rows = shown.length > 3 ? 2 : 1;" in _script("layout")
    assert protocol.grid == ((2, 2) if name == "brain" else (1, 2))


def test_what_counts_as_t1_is_the_same_in_ohif() -> None:
    """Where T1 is acquired with an inversion it is no other."""
    (found,) = re.findall(r"const T1 = \[(.*?)\]", _script("choosing"))

    assert tuple(re.findall(r"'([\w-]+)'", found)) == T1


def test_only_current_beside_prior_asks_for_an_earlier_study() -> None:
    """One of them."""
    assert {one.short_name: one.priors for one in PROTOCOLS if one.priors} == {"prior": 1}


def test_body_parts_are_every_term_that_holds_the_region() -> None:
    """As coercion writes them; none of a region beside it."""
    assert body_parts(Region.BRAIN) == ("BRAIN", "HEAD", "HEADNECK", "WHOLEBODY")
    assert {"LIVER", "ABDOMEN", "CHESTABDPELVIS", "NECKCHESTABDPELV"} <= set(
        body_parts(Region.LIVER)
    )
    assert {"PELVIS", "CHEST", "KIDNEY"}.isdisjoint(body_parts(Region.LIVER))


def _descriptions(protocol: HangingProtocol, pane_id: str) -> tuple[str, ...]:
    (pane,) = (pane for pane in protocol.panes if pane.id == pane_id)
    (selector,) = (one for one in pane.selectors if one.keyword == "SeriesDescription")
    return selector.values


def test_a_description_of_the_site_is_added_to_its_pane_alone() -> None:
    """Once, behind those that coercion writes."""
    brain = BY_NAME["brain"]

    first = also_described(brain, "t1", "T1 SE tra")
    again = also_described(first, "t1", "T1 SE tra")

    assert _descriptions(again, "t1") == (*_descriptions(brain, "t1"), "T1 SE tra")
    assert again.panes[1:] == brain.panes[1:]
    assert [one.keyword for one in again.panes[0].selectors] == [
        "Modality", "BodyPartExamined", "SeriesDescription",
    ]  # fmt: skip
    assert again.panes[0].selectors[0] == Selector("Modality", ("MR",))


def test_a_pane_has_a_hundred_descriptions_at_most() -> None:
    """More may not fit into the element."""
    protocol = BY_NAME["brain"]
    for number in range(MOST - len(_descriptions(protocol, "t2"))):
        protocol = also_described(protocol, "t2", f"T2 {number}")
    assert len(_descriptions(protocol, "t2")) == MOST

    with pytest.raises(ValueError, match="more than 100"):
        also_described(protocol, "t2", "one more")


def test_panes_without_a_description_take_none() -> None:
    """CT | CT + SEG and current | prior are chosen by what is not text."""
    assert pane_names(PROTOCOLS) == [
        "phases/noncontrast", "phases/contrast",
        "brain/t1", "brain/t1-contrast", "brain/t2", "brain/flair",
        "spine/t1", "spine/t2",
    ]  # fmt: skip
