"""A missing peer is never silent."""

import pytest

from tests.peers import orthanc_launcher, tool


@pytest.mark.parametrize(
    ("required", "outcome"), [("1", pytest.fail.Exception), ("", pytest.skip.Exception)]
)
def test_a_missing_peer_skips_or_fails(
    monkeypatch: pytest.MonkeyPatch, required: str, outcome: type[BaseException]
) -> None:
    """In `.ci/run` nothing may be left out for want of a peer."""
    monkeypatch.setenv("REQUIRE_PEERS", required)
    monkeypatch.setenv("RADNET_ORTHANC", "/nowhere/orthanc")

    with pytest.raises(outcome, match="make peers"):
        tool("no-such-program")
    with pytest.raises(outcome, match=r"Orthanc 1\.12 is not here"):
        orthanc_launcher()
