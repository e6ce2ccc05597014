"""The places where the crash campaign kills a process are there."""

import importlib
from typing import Any

import pytest

from tests.acceptance.crash.points import POINTS, Point


@pytest.mark.parametrize("point", POINTS, ids=lambda point: f"{point.number}")
def test_a_crash_point_is_a_function_that_can_be_wrapped(point: Point) -> None:
    """A property of that name would be put out of order by the wrapping, and nothing killed."""
    name, _, attribute = point.target.partition(":")
    found: Any = importlib.import_module(name)
    for part in attribute.split("."):
        found = getattr(found, part)

    assert callable(found), point.target
