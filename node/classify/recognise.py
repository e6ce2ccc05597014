"""Recognise one series from its files: headers always, pixels where they make a volume."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import highdicom as hd
from pydicom import Dataset

from node.classify.fuse import fuse
from node.derived.coercion import filled_by_a_node
from node.identity import is_own_output
from node.model.failures import Failure, FailureKind, failure
from node.model.findings import FindingName
from node.model.records import Finding
from radnet.errors import MixedSeriesError, UnusableVolumeError
from radnet.inference.classifier import Prediction
from radnet.labels.header import read_header, text_of
from radnet.volume.headers import read_file, readable_headers
from radnet.volume.selection import Picked, pick
from radnet.volume.series import read_volume

A_SLICE: Final = "slice"
"""Key of the evidence of remarks: the SOP Instance UID of an image that was not left out."""


class SeriesClassifier(Protocol):
    """What recognition needs of a network.

    Attributes
    ----------
    digest : str
        SHA-256 of its weights.
    """

    digest: str

    def classify(self, volume: hd.Volume, modality: str) -> Prediction:
        """Return the class probabilities of one volume.

        Parameters
        ----------
        volume : hd.Volume
            float32, [slice, row, column], in HU where it is CT; its affine leads to LPS
            millimetres.
        modality : str
            ``CT`` or ``MR``.

        Returns
        -------
        Prediction

        Raises
        ------
        radnet.errors.UnusableVolumeError
            If the network cannot be shown this volume.
        """


@dataclass(frozen=True)
class Recognition:
    """Findings of a series, and why its pixels could not be used, if they could not."""

    findings: list[Finding]
    unusable: Failure = field(default_factory=Failure)


def own_output_among(paths: Sequence[Path]) -> frozenset[Path]:
    """Return the files that a radnet-node made or changed; each is judged by its own header.

    One that cannot be read names nobody.

    Parameters
    ----------
    paths : sequence of Path
        DICOM files.

    Returns
    -------
    frozenset of Path
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

    A series that makes no volume (a localizer, one slice, no pixels, two patients) is still
    recognised from its header; the reason stands in `unusable`. So is one of which some headers
    cannot be read, from those that can. What was left out of the volume, or taken for granted, is
    the finding `FindingName.REMARKS`.

    Parameters
    ----------
    paths : sequence of Path
        The files of one series, in any order.
    classifier : SeriesClassifier
        What is asked about the pixels.
    unknown_below : float
        Probability below which a finding is unknown.

    Returns
    -------
    Recognition
        Findings of header, pixels and both together, and why there is no volume, where there is
        none.
    """
    try:
        headers, unreadable = readable_headers(paths)
    except UnusableVolumeError as error:
        return Recognition([], unusable=failure(FailureKind.UNREADABLE, str(error)))
    if not headers:
        return Recognition([], unusable=failure(FailureKind.UNREADABLE, str(unreadable[0])))
    for header in headers:
        for tag in filled_by_a_node(header):  # our own words are no evidence
            header.pop(tag, None)
    picked, unusable = _picked(paths, headers)
    if unreadable and not unusable:
        some = f"{len(unreadable)} of {len(paths)} instances"
        unusable = failure(FailureKind.UNREADABLE, f"{some}, first: {unreadable[0]}")
    labels = read_header(picked.headers)
    remarks = _remarks(picked)
    if unusable:
        return Recognition([*fuse(labels, None, unknown_below), *remarks], unusable=unusable)
    try:
        volume = read_volume(picked.paths, tolerant=True)
        prediction = classifier.classify(volume, text_of(picked.headers[0], "Modality"))
    except UnusableVolumeError as error:
        return Recognition(
            [*fuse(labels, None, unknown_below), *remarks], unusable=Failure(str(error))
        )
    return Recognition([*fuse(labels, prediction, unknown_below), *remarks])


def _remarks(picked: Picked) -> list[Finding]:
    """Return what there is to remark; beside it stands an instance that is a slice."""
    if not picked.remarks:
        return []
    evidence = {A_SLICE: text_of(picked.headers[0], "SOPInstanceUID")}
    return [Finding(FindingName.REMARKS, list(picked.remarks), 1.0, "header", evidence)]


def _picked(paths: Sequence[Path], headers: Sequence[Dataset]) -> tuple[Picked, Failure]:
    """Return the images of the volume, or all of them and why they do not belong together."""
    try:
        return pick(paths, headers), Failure()
    except MixedSeriesError as error:
        return Picked(tuple(paths), tuple(headers)), failure(FailureKind.MIXED, str(error))
