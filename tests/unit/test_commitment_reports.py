"""What follows a failure: at once the first time, later and later then, and at last a person."""

from pathlib import Path

import pytest

from node.commitment.reports import Reports
from node.deliver.attempts import Retries
from node.store.catalog import Catalog


@pytest.mark.parametrize(
    ("reason", "attempts", "then", "wait_s"),
    [
        (0x0112, 1, "send", 0.0),
        (0x0112, 2, "send", 120.0),
        (0x0213, 1, "ask", 60.0),
        (0x0119, 1, "park", 60.0),
        (0x0112, 45, "park", 0.0),
    ],
)
def test_remedies_come_later_and_later(
    tmp_path: Path, reason: int, attempts: int, then: str, wait_s: float
) -> None:
    """A peer that loses everything must not be sent everything in a circle."""
    catalog = Catalog(f"sqlite:///{tmp_path / 'c.sqlite'}")
    reports = Reports(catalog, lambda: 1.0, {})

    found = reports.decide("pacs", reason, attempts)

    assert (found.then, found.wait_s) == (then, wait_s)
    assert f"{reason:04X}" in found.reason


@pytest.mark.parametrize(("attempts", "then", "wait_s"), [(1, "ask", 4.0), (3, "park", 0.0)])
def test_a_destination_keeps_its_own_retries(
    tmp_path: Path, attempts: int, then: str, wait_s: float
) -> None:
    """As often and as far apart as it is sent to."""
    catalog = Catalog(f"sqlite:///{tmp_path / 'c.sqlite'}")
    own = {"pacs": Retries(attempts=3, first_delay_s=2.0, longest_delay_s=60.0)}

    found = Reports(catalog, lambda: 1.0, own).decide("pacs", 0x0213, attempts)

    assert (found.then, found.wait_s) == (then, wait_s)
