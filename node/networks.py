"""The networks of a node: weights that its settings name, or the shipped ones, ready to run.

Their models lie in the data folder, made once of the weights; see `radnet.inference.models`.
"""

from dataclasses import dataclass

import structlog

from node.classify.recognise import SeriesClassifier
from node.segment.liver import LiverModel
from node.settings import Settings
from radnet.inference.classifier import Classifier
from radnet.inference.kept import model_folder
from radnet.inference.models import Making, server
from radnet.inference.segmenter import LiverSegmenter
from radnet.inference.served import Serve

log = structlog.get_logger()


@dataclass(frozen=True)
class Networks:
    """What recognises a series, and what finds the liver in it."""

    classifier: SeriesClassifier
    liver: LiverModel


def readiness(settings: Settings, making: Making) -> Serve:
    """Return what makes weights of this node ready to run.

    Parameters
    ----------
    settings : Settings
        Of the node.
    making : callable
        Told how far a model is that must be made first; where it raises, that ends.

    Returns
    -------
    Serve
        Its models lie in the data folder.
    """
    return server(model_folder(settings.node.data / "models"), making)


def load_classifier(settings: Settings, making: Making) -> Classifier:
    """Load the classifier of a node; see `Classifier.load` for what is raised.

    Parameters
    ----------
    settings : Settings
        Of the node.
    making : callable
        See `readiness`.

    Returns
    -------
    Classifier
        Warm.
    """
    models = settings.models
    return Classifier.load(models.classifier, models.precision, readiness(settings, making))


def load(settings: Settings, making: Making) -> Networks:
    """Load both networks of a node.

    Parameters
    ----------
    settings : Settings
        Of the node.
    making : callable
        See `readiness`.

    Returns
    -------
    Networks
        Warm.

    Raises
    ------
    RadnetError
        If weights cannot be used, or their models cannot be made or kept.
    """
    models = settings.models
    classifier = load_classifier(settings, making)
    liver = LiverSegmenter.load(
        models.liver, classifier, models.precision, readiness(settings, making)
    )
    for remark in (*classifier.remarks, *liver.remarks):
        log.warning("a network does not serve as the settings have it", because=remark)
    return Networks(classifier, liver)
