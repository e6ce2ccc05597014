"""`radnet models`: what `classify` and `segment` run is made before it is first needed."""

from pathlib import Path
from typing import Annotated

import typer

from radnet.cli.scans import Classifier, ready_to_serve, remarked, say


def models(
    classifier: Classifier = None,
    liver: Annotated[
        Path | None, typer.Option(help="Liver weights, as `radnet train` writes them.")
    ] = None,
) -> None:
    """Make and check what runs the networks, so that the first scan need not wait for it.

    It is made once for each weights file, and again when OpenVINO is upgraded, and kept in the
    folder that RADNET_MODELS names, else in the virtual environment if it may be written to, else
    among the user's caches.
    """
    from radnet.inference.classifier import Classifier as Network
    from radnet.inference.model_folders import making_folder, model_folders
    from radnet.inference.segmenter import LiverSegmenter

    with ready_to_serve() as ready:
        labeller = Network.load(classifier, "auto", ready)
        segmenter = LiverSegmenter.load(liver, labeller, "auto", ready)
    remarked((*labeller.remarks, *segmenter.remarks))
    for task, digest in (("classifier", labeller.digest), ("liver", segmenter.digest)):
        say(f"radnet: {task} weights {digest[:12]}: ready in {making_folder(model_folders())}")
