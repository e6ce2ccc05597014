"""The networks of a node: weights that its settings name, or the shipped ones, ready to run.

Their models are made once of the weights, which takes a minute or two, and kept; see
`radnet.inference.models`. Whoever cannot wait for them takes `ComingNetworks`.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import structlog

from node.classify.recognise import SeriesClassifier
from node.errors import reason_of
from node.segment.liver import LiverModel
from node.settings import Settings
from radnet.errors import RadnetError
from radnet.inference.classifier import Classifier
from radnet.inference.model_folders import model_folders
from radnet.inference.models import Making, server
from radnet.inference.segmenter import LiverSegmenter

log = structlog.get_logger()

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
"""Between two attempts to load networks; each pause is twice the one before."""


@dataclass(frozen=True)
class Networks:
    """What recognises a series, and what finds the liver in it."""

    classifier: SeriesClassifier
    liver: LiverModel

    def is_ready(self) -> bool:
        """Tell that nobody has to wait."""
        return True


class NetworkLoader:
    """Loads networks of a node, warm; each method raises `RadnetError` where it cannot.

    Parameters
    ----------
    settings : Settings
        Of the node.
    making : callable
        Told how far a model is that must be made first; where it raises, that ends.
    """

    def __init__(self, settings: Settings, making: Making) -> None:
        self._models = settings.models
        self._serve = server(model_folders(settings.node.data / "models"), making)

    def classifier(self) -> Classifier:
        """Load the classifier alone."""
        models = self._models
        return Classifier.load(models.classifier, models.precision, self._serve)

    def networks(self) -> Networks:
        """Load both networks, and log what somebody should know of how they run."""
        classifier, models = self.classifier(), self._models
        liver = LiverSegmenter.load(models.liver, classifier, models.precision, self._serve)
        for remark in (*classifier.remarks, *liver.remarks):
            log.warning("a network does not serve as the settings have it", because=remark)
        return Networks(classifier, liver)


class _EndedError(Exception):
    """Nobody waits for the networks any more."""


class ComingNetworks:
    """Networks that are made and loaded while other work goes on; a context manager.

    What fails is logged, and tried again after a pause: nothing else depends on it.

    Parameters
    ----------
    load : callable
        Takes what is told how far a model is that must be made first.
    first_pause_s : float
        The pause after the first failure, in seconds.
    """

    def __init__(
        self, load: Callable[[Making], Networks], first_pause_s: float = FIRST_PAUSE_S
    ) -> None:
        self._load = load
        self._pause_s = first_pause_s
        self._loaded: Networks | None = None
        self._ready = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="networks")

    def is_ready(self) -> bool:
        """Tell whether they are loaded."""
        return self._ready.is_set()

    @property
    def classifier(self) -> SeriesClassifier:
        """What recognises a series; waits until it is loaded."""
        return self._waited_for().classifier

    @property
    def liver(self) -> LiverModel:
        """What finds the liver; waits until it is loaded."""
        return self._waited_for().liver

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Return when nothing is made or loaded any more."""
        self._ended.set()
        self._thread.join()

    def _waited_for(self) -> Networks:
        self._ready.wait()
        assert self._loaded is not None  # noqa: S101
        return self._loaded

    def _run(self) -> None:
        pause_s = self._pause_s
        while not self._ended.is_set():
            try:
                self._loaded = self._load(self._making)
            except _EndedError:
                return
            except RadnetError as error:
                because = str(error)
            except Exception as error:  # noqa: BLE001 - a library's; deliveries go on without
                because = reason_of(error)
            else:
                self._ready.set()
                return
            log.error("networks cannot be loaded: tried again", because=because, in_s=pause_s)
            self._ended.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _making(self, task: str, done: float) -> None:
        if self._ended.is_set():
            raise _EndedError
        if not done:
            log.info("a model is made of the weights, once: a minute or two", network=task)
