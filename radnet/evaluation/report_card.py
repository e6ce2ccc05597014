"""The figures of an evaluation as the tables of a model card (Markdown)."""

from collections.abc import Sequence
from typing import Final

from radnet.evaluation.report_page import (
    CLASSES,
    LIVERS,
    RELIABILITY,
    cells,
    confusion_rows,
    liver_remark,
    liver_rows,
    percent,
    reliability_rows,
    wrong_rows,
)
from radnet.evaluation.scorecard import ALONE, Line, calibration
from radnet.evaluation.scoring import About, ScanReport
from radnet.evaluation.witnesses import WITNESS_HEAD, remark, witness_rows

OURS: Final = 7  # columns of the first table that are not the poster's


def tables(found: Sequence[ScanReport], lines: Sequence[Line], about: About) -> str:
    """Return everything that was measured, as tables."""
    error, bins = calibration(found)
    parts = [f"<!-- made by `radnet evaluate --card`: {about.text} -->"]
    if about.refused:
        parts.append("Refused, not scored:\n\n" + "\n".join(f"* {why}" for why in about.refused))
    if about.excluded:
        told = "\n".join(f"* {why}" for why in about.excluded)
        parts.append(f"Not scored, because it was learned from:\n\n{told}")
    parts += about.remarks
    parts += [
        ALONE,
        _table(CLASSES[:OURS], [cells(line)[:OURS] for line in lines]),
        f"Expected calibration error of the class heads: {percent(error)} %.",
        _table(RELIABILITY, reliability_rows(bins)),
        _table(("true", "said"), confusion_rows(found)),
        _table(("wrong on", "head", "truth", "said", "probability"), wrong_rows(found)),
    ]
    if rows := [] if about.labels_from_headers else witness_rows(found):
        parts.append(_table(WITNESS_HEAD, rows))
    if told := remark(found, about):
        parts.append(told)
    if livers := liver_rows(found):
        parts += [_table(LIVERS, livers), liver_remark(found)]
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
