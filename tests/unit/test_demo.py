"""Where the demo looks for a viewer."""

import pytest

from node.cli.demo import viewer_answers
from tests.peers import free_port


@pytest.mark.parametrize("address", ["http://127.0.0.1:{port}", "nothing", ""])
def test_a_viewer_that_is_not_there_is_none(address: str) -> None:
    """`make run` goes without one: most have none."""
    assert not viewer_answers(address.format(port=free_port()))
