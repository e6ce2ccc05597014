"""The harness can fail: each broken promise is told."""

from collections import Counter
from pathlib import Path

from node.settings import DimseDestination
from tests.acceptance.crash.peers import Arrivals, Scanner, SentStudy
from tests.acceptance.crash.points import POINTS, SHORT
from tests.acceptance.crash.promises import differing, lost

NODE = DimseDestination(kind="dimse", name="node", ae_title="RADNODE", host="127.0.0.1", port=1)
STUDY = SentStudy("1", "1.1", {"1.2": (Path("a"), "aa"), "1.3": (Path("b"), "bb")})


def arrived(*digests: str) -> Arrivals:
    """Return what came of one instance."""
    return Arrivals("1.2.840.10008.5.1.4.1.1.2", 0.0, Counter(digests))


def test_what_was_acknowledged_and_never_came_is_lost() -> None:
    """Only what was acknowledged counts: the rest is still at its scanner."""
    scanner = Scanner(NODE, acknowledged={"1.2": 0.0})

    assert list(lost(scanner, [STUDY], {})) == ["lost: 1.2 was acknowledged and never delivered"]
    assert list(lost(scanner, [STUDY], {"1.2": arrived("aa", "aa")})) == []


def test_what_came_as_other_bytes_is_lost() -> None:
    """The UID alone proves nothing."""
    scanner = Scanner(NODE, acknowledged={"1.3": 0.0})

    assert len(list(lost(scanner, [STUDY], {"1.3": arrived("cc")}))) == 1


def test_copies_that_differ_are_told() -> None:
    """A re-send has to be byte-identical."""
    assert list(differing({"1.2": arrived("aa", "bb")})) == ["1.2 came as 2 different data sets"]


def test_points_are_numbered_once() -> None:
    """The number is what is told of a kill."""
    numbers = [point.number for point in POINTS]

    assert numbers == list(range(1, len(POINTS) + 1))
    assert set(numbers) >= SHORT
