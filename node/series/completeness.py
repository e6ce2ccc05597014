"""Judge whether a series is whole. Pure: rows, headers and the time come in.

DICOM has no end of series. Four things are evidence: the association that brought the images
was released, nothing came for a while, a header says how many there are, and no slice is
missing between others. The verdict is kept with what it rests on.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from node.model.records import SeriesProgress
from radnet.volume.selection import slices_of

# Images of this acquisition, of the series as its archive counts it, of a PET or NM stack.
COUNT_KEYWORDS: Final = ("NumberOfSeriesRelatedInstances", "ImagesInAcquisition", "NumberOfSlices")
_COUNT: Final = re.compile("[0-9]{1,9}")
_SAME_DIRECTION: Final = 1e-3
_GAP: Final = 1.5  # of the usual spacing: a missing slice leaves twice as much
_SAME_PLACE_MM: Final = 1e-3
_HEAD: Final = 20  # problems that are spelt out


@dataclass(frozen=True)
class Policy:
    """How long to wait, in seconds."""

    settle_s: float
    quiet_s: float


@dataclass(frozen=True)
class CompletenessVerdict:
    """Whether a series is whole, and why.

    Attributes
    ----------
    complete : bool
    evidence : dict
        JSON: what was seen, and what decided.
    problems : list of str
        What speaks against it being whole.
    """

    complete: bool
    evidence: dict[str, Any]
    problems: list[str] = field(default_factory=list)


def _quiet_in_s(progress: SeriesProgress, policy: Policy, now: float) -> float:
    return policy.quiet_s - (now - progress.last_instance_at)


def _released_in_s(progress: SeriesProgress, policy: Policy, now: float) -> float:
    """Return when a release will count; never, while an association is open or was aborted."""
    since = progress.last_released_at
    if progress.open_associations or progress.aborted or since is None:
        return math.inf
    return policy.settle_s - (now - since)


def due_in_s(progress: SeriesProgress, policy: Policy, now: float) -> float:
    """Return in how many seconds it is worth reading the headers of a series.

    Parameters
    ----------
    progress : SeriesProgress
        What has come of the series so far.
    policy : Policy
        `settle_s` and `quiet_s` of the settings.
    now : float
        Seconds since the epoch.

    Returns
    -------
    float
        If nothing more comes until then; since when it has been, as a negative number.
    """
    return min(_quiet_in_s(progress, policy, now), _released_in_s(progress, policy, now))


def judge(
    progress: SeriesProgress, headers: Sequence[Dataset], policy: Policy, now: float
) -> CompletenessVerdict:
    """Return whether a series is whole.

    Parameters
    ----------
    progress : SeriesProgress
        How its instances came.
    headers : sequence of Dataset
        Of the instances that are there; may be empty where none can be read.
    policy : Policy
        How long to wait.
    now : float
        Seconds since the epoch.

    Returns
    -------
    CompletenessVerdict
    """
    expected = expected_count(headers)
    problems = position_problems(headers)
    if expected is not None and progress.instance_count < expected:
        problems.append(f"{progress.instance_count} of {expected} announced instances are there")
    quiet = _quiet_in_s(progress, policy, now) <= 0
    released = _released_in_s(progress, policy, now) <= 0
    evidence: dict[str, Any] = {
        "instances": progress.instance_count,
        "announced": expected,
        "association": "aborted" if progress.aborted else "released" if released else "open",
        "quiet_s": round(now - progress.last_instance_at, 1),
        "problems": problems,
    }
    if released and not problems:
        evidence["because"] = "the association was released and nothing is missing"
    elif quiet:
        evidence["because"] = f"nothing came for {policy.quiet_s:g} s"
    return CompletenessVerdict("because" in evidence, evidence, problems)


def expected_count(headers: Sequence[Dataset]) -> int | None:
    """Return how many instances the headers announce, None where they do not agree or tell."""
    for keyword in COUNT_KEYWORDS:
        found = {_text(header, keyword) for header in headers}
        if len(found) == 1:
            (text,) = found
            if _COUNT.fullmatch(text) and int(text) > 0:
                return int(text)
    return None


def _text(header: Dataset, keyword: str) -> str:
    """Return a value as text; "" where there is none, or none that can be read."""
    try:
        return str(header.get(keyword) or "")
    except (ValueError, TypeError, OverflowError):
        return ""


def position_problems(headers: Sequence[Dataset]) -> list[str]:
    """Return what is wrong with the slice positions of one stack; empty where nothing is.

    A lone image of another plane among the slices is no slice. Slices of several orientations
    are several stacks (a localizer) and are not judged; nor are
    images without positions, or several images at each position (echoes, time points), as long
    as each position has as many.
    """
    stack = _positions([headers[index] for index in slices_of(headers)] if headers else ())
    if stack is None or len(stack) < 3:
        return []
    places, counts = np.unique(np.round(stack / _SAME_PLACE_MM), return_counts=True)
    places = places * _SAME_PLACE_MM
    problems = []
    if counts.max() != counts.min():
        few = places[counts < counts.max()]
        problems.append(
            f"{len(few)} positions hold fewer images than the others, the first at {few[0]:.3f} mm"
        )
    gaps = np.diff(places)
    if len(gaps) > 1:
        usual = float(np.median(gaps))
        problems += [
            f"a slice is missing between {places[i]:.3f} mm and {places[i + 1]:.3f} mm"
            for i in np.flatnonzero(gaps > _GAP * usual)[:_HEAD]
        ]
    return problems


def _positions(headers: Sequence[Dataset]) -> NDArray[np.float64] | None:
    """Return positions in mm along the common normal (PS3.3 Section C.7.6.2.1.1), or None."""
    try:
        orientations = np.array(
            [[float(v) for v in header.ImageOrientationPatient] for header in headers]
        )
        places = np.array([[float(v) for v in header.ImagePositionPatient] for header in headers])
    except (AttributeError, TypeError, ValueError, OverflowError):
        return None
    if orientations.shape[1:] != (6,) or places.shape[1:] != (3,):
        return None
    if not np.allclose(orientations, orientations[0], rtol=0, atol=_SAME_DIRECTION):
        return None
    with np.errstate(all="ignore"):  # headers hold NaN and 1e300, too
        normal = np.cross(orientations[0, :3], orientations[0, 3:])
        along = np.asarray(places @ normal, dtype=np.float64)
    return np.sort(along) if np.isfinite(along).all() else None
