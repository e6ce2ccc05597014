"""Networks that are loaded while other work goes on: what fails is told, and tried again."""

import threading

import pytest
from structlog.testing import capture_logs

from node.networks import ComingNetworks, Networks
from radnet.errors import RadnetError, WeightsError
from radnet.inference.models import Making
from tests.made_ct import MadeModel
from tests.made_networks import NoClassifier

LOADED = Networks(NoClassifier(), MadeModel())


def test_what_is_loaded_is_ready() -> None:
    """Whoever asks before waits until then."""
    may_end = threading.Event()

    def load(_making: Making) -> Networks:
        may_end.wait()
        return LOADED

    with ComingNetworks(load) as networks:
        assert not networks.is_ready()
        may_end.set()
        assert networks.classifier is LOADED.classifier
        assert networks.liver is LOADED.liver
        assert networks.is_ready()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (WeightsError("site.safetensors is damaged"), "site.safetensors is damaged"),
        (RadnetError("no space"), "no space"),
        (MemoryError("an address"), "MemoryError"),
    ],
)
def test_a_failure_is_told_and_tried_again(error: Exception, told: str) -> None:
    """A disk that is full now need not be in a minute; what a library says is not quoted."""
    outcomes: list[Exception | Networks] = [error, error, LOADED]

    def load(_making: Making) -> Networks:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    with capture_logs() as logged, ComingNetworks(load, first_pause_s=0.0) as networks:
        assert networks.liver is LOADED.liver

    failed = [entry for entry in logged if entry["log_level"] == "error"]
    assert len(failed) == 2
    assert all(entry["because"].startswith(told) for entry in failed)
    assert "an address" not in str(failed)


def test_a_pause_ends_with_the_worker() -> None:
    """It is up to half a minute long."""
    failed = threading.Event()

    def load(_making: Making) -> Networks:
        failed.set()
        raise RadnetError("no space")

    with ComingNetworks(load, first_pause_s=1e6):
        assert failed.wait(60)


def test_making_ends_with_the_worker() -> None:
    """What is told how far it is says so by raising; that is no failure."""
    begun = threading.Event()
    ended: list[str] = []

    def load(making: Making) -> Networks:
        try:
            while True:
                making("liver", 0.5)
                begun.set()
        finally:
            ended.append("making")

    with capture_logs() as logged, ComingNetworks(load):
        assert begun.wait(60)

    assert ended == ["making"]
    assert logged == []
