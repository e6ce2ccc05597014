"""Recognise one series from its files: headers always, pixels where they make a volume."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import highdicom as hd

from node.classify.fuse import fuse
from node.identity import is_own_output
from node.store.reasons import UNREADABLE
from node.store.records import Finding
from radnet.errors import UnusableVolumeError
from radnet.inference.classifier import Prediction
from radnet.labels.header import read_header, text_of
from radnet.volume.headers import read_file, readable_headers
from radnet.volume.series import read_volume


class SeriesClassifier(Protocol):
    """What recognition needs of a network.

    Attributes
    ----------
    digest : str
        SHA-256 of its weights.
    """

    digest: str

    def classify(self, volume: hd.Volume, modality: str) -> Prediction:
        """Return the class probabilities of one volume."""


@dataclass(frozen=True)
class Recognition:
    """Findings of a series, and why its pixels could not be used ('' where they could)."""

    findings: list[Finding]
    unusable: str = ""


def own_output_among(paths: Sequence[Path]) -> frozenset[Path]:
    """Return the files that a radnet-node made or changed; each is judged by its own header.

    One that cannot be read names nobody.
    """
    own = set()
    for path in paths:
        try:
            header = read_file(path, pixels=False)
        except UnusableVolumeError:
            continue
        if is_own_output(header):
            own.add(path)
    return frozenset(own)


def recognise(
    paths: Sequence[Path], classifier: SeriesClassifier, unknown_below: float
) -> Recognition:
    """Return what a series is, from its header and its pixels.

    A series that makes no volume (a localizer, one slice, no pixels) is still recognised
    from its header; the reason stands in `unusable`. So is one of which some headers cannot be
    read, from those that can.
    """
    try:
        headers, unreadable = readable_headers(paths)
    except UnusableVolumeError as error:
        return Recognition([], unusable=f"{UNREADABLE}{error}")
    if not headers:
        return Recognition([], unusable=f"{UNREADABLE}{unreadable[0]}")
    labels = read_header(headers)
    if unreadable:
        told = f"{UNREADABLE}{len(unreadable)} of {len(paths)} instances, first: {unreadable[0]}"
        return Recognition(fuse(labels, None, unknown_below), unusable=told)
    try:
        volume = read_volume(paths, tolerant=True)
        prediction = classifier.classify(volume, text_of(headers[0], "Modality"))
    except UnusableVolumeError as error:
        return Recognition(fuse(labels, None, unknown_below), unusable=str(error))
    return Recognition(fuse(labels, prediction, unknown_below))
