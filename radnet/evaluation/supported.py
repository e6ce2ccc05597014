"""How much pixels may add to a header, from what they said of real left-out scans. Pure.

For each head (and each region) and modality: the share of the pixels' log-odds that explains the
truth best, every class counting the same and every patient of a class the same, shrunk towards
nothing where there are few patients. A head of which the scans show one class alone has proved
nothing: who always says that class would be right as often.

Chosen on one half of the patients, by a hash so that one more moves none, and stated on the other.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any, Final

import numpy as np

from radnet.inference.fusion import CLASS_HEADS, FLOOR, SURE_PIXELS
from radnet.inference.support import succession

SHRINK: Final = 8.0  # patients that halve the weight: it takes as many again to believe a figure
WEIGHTS: Final = np.linspace(0, 1, 101)
COVERED, NOT_COVERED = "covered", "not_covered"


@dataclass(frozen=True)
class PixelAnswer:
    """What pixels said of one scan in one head, or on one region, and what is true.

    Attributes
    ----------
    patient
        A digest.
    spread
        Calibrated probability of each class; of a region `COVERED` and `NOT_COVERED`.
    """

    patient: str
    modality: str
    name: str
    truth: str
    spread: Mapping[str, float]


def chooses(patient: str) -> bool:
    """Tell whether a patient's scans choose the weights; those of the others judge them.

    Parameters
    ----------
    patient : str
        What stands for the patient, as a digest of `radnet.datasets.patients`.

    Returns
    -------
    bool
    """
    return hashlib.sha256(patient.encode()).digest()[0] % 2 == 0


def likelihood(answers: Sequence[PixelAnswer], weight: float) -> float:
    """Return the mean log-likelihood of the truth, in nats, under so much of the pixels' word.

    Every class counts the same, and so does every patient of a class.
    """
    classes: dict[str, dict[str, list[float]]] = {}
    for one in answers:
        scaled = {name: weight * math.log(max(p, FLOOR)) for name, p in one.spread.items()}
        total = math.log(sum(math.exp(value) for value in scaled.values()))
        of_class = classes.setdefault(one.truth, {})
        of_class.setdefault(one.patient, []).append(scaled[one.truth] - total)
    return mean(mean(mean(scans) for scans in of.values()) for of in classes.values())


def word(answers: Sequence[PixelAnswer]) -> dict[str, Any]:
    """Return how far the pixels' word goes in one head or on one region, from its answers.

    Parameters
    ----------
    answers : sequence of PixelAnswer
        Of one head or region and one modality, of scans that were not learned from; their truth
        is among the classes of their spread.

    Returns
    -------
    dict
        ``weight`` and ``most_nats`` as of `radnet.inference.support.Word`; ``best``, the weight
        before it is shrunk; ``patients``; and by true class the patients that were ``right`` and
        ``wrong``, where all scans of a patient must be right.
    """
    tally = _tally(answers)
    found = {
        "weight": 0.0,
        "most_nats": 0.0,
        "best": 0.0,
        "patients": len({one.patient for one in answers}),
        "right": {name: right for name, (right, _) in tally.items()},
        "wrong": {name: wrong for name, (_, wrong) in tally.items()},
    }
    if len(tally) < 2:
        return found
    best = float(WEIGHTS[int(np.argmax([likelihood(answers, float(w)) for w in WEIGHTS]))])
    few = len(tally) * min(right + wrong for right, wrong in tally.values())
    return found | {
        "weight": round(best * few / (few + SHRINK), 4),
        "most_nats": round(min(succession(*counts) for counts in tally.values()), 4),
        "best": round(best, 4),
    }


def _tally(answers: Sequence[PixelAnswer]) -> dict[str, tuple[int, int]]:
    """Return by true class the patients whose scans were all told right, and the others."""
    right: dict[tuple[str, str], bool] = {}
    for one in answers:
        said = max(one.spread, key=lambda name: one.spread[name])
        key = (one.truth, one.patient)
        right[key] = right.get(key, True) and said == one.truth
    return {
        truth: _counts(good for (name, _), good in right.items() if name == truth)
        for truth in sorted({name for name, _ in right})
    }


def _counts(verdicts: Iterable[bool]) -> tuple[int, int]:
    seen = list(verdicts)
    return sum(seen), len(seen) - sum(seen)


def said_of_a_region(answers: Sequence[PixelAnswer]) -> dict[str, list[int]]:
    """Return for either sure answer on one region the patients of whom it was right, and wrong."""
    found = {}
    for said in (COVERED, NOT_COVERED):
        right: dict[str, bool] = {}
        for one in answers:
            if one.spread[said] >= SURE_PIXELS:
                right[one.patient] = right.get(one.patient, True) and one.truth == said
        found[said] = list(_counts(right.values()))
    return found


def estimate(answers: Sequence[PixelAnswer]) -> dict[str, Any]:
    """Return what to write into the record of the weights, under ``support``.

    Parameters
    ----------
    answers : sequence of PixelAnswer
        Of all scans that the weights did not learn from.

    Returns
    -------
    dict
        ``words``, by modality and head or region what `word` returns of the choosing patients;
        ``stated``, by the same, what the weight is worth on the others: ``gain``, nats that the
        weighed word adds to the likelihood of the truth over saying nothing, of so many
        ``patients`` (None, where there are none); and the number of patients on either side.
    """
    words: dict[str, dict[str, Any]] = {}
    stated: dict[str, dict[str, Any]] = {}
    for modality, name in sorted({(one.modality, one.name) for one in answers}):
        mine = [one for one in answers if (one.modality, one.name) == (modality, name)]
        chosen = [one for one in mine if chooses(one.patient)]
        others = [one for one in mine if not chooses(one.patient)]
        found = word(chosen)
        if name not in CLASS_HEADS:
            found |= said_of_a_region(chosen)
        words.setdefault(modality, {})[name] = found
        weight = found["weight"] if found["most_nats"] else 0.0
        gain = likelihood(others, weight) - likelihood(others, 0.0) if others else None
        stated.setdefault(modality, {})[name] = {
            "gain": None if gain is None else round(gain, 4),
            "patients": len({one.patient for one in others}),
        }
    patients = {one.patient for one in answers}
    return {
        "words": words,
        "stated": stated,
        "chosen_on": sum(chooses(one) for one in patients),
        "stated_on": sum(not chooses(one) for one in patients),
        "shrink": SHRINK,
    }


def remark(record: Mapping[str, Any]) -> str:
    """Return in one sentence what the pixels of a classifier may add to a header, for its card.

    Parameters
    ----------
    record : mapping of str to Any
        Of its weights.
    """
    found = record.get("support")
    if not found:
        return (
            "What pixels may add to a header goes by what was counted of the shipped classifier "
            "(`radnet/inference/support.py`); `radnet support` measures it of other weights."
        )
    told = [
        f"{modality} {name} {word['weight']:.2f} of their log-odds, {word['most_nats']:.2f} nats "
        f"at most ({word['patients']} patients)"
        for modality, words in found["words"].items()
        for name, word in words.items()
        if word["weight"] and word["most_nats"]
    ]
    return (
        f"What pixels may add to a header: {'; '.join(told) or 'nothing'}. Measured on "
        f"{found['chosen_on']} left-out patients, who are no part of the table of header, pixels "
        f"and both; stated on {found['stated_on']} others."
    )
