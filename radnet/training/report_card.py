"""The figures of an evaluation as the tables of a model card (Markdown)."""

from collections.abc import Sequence
from statistics import mean, median

from radnet.training.evaluate import About, ScanReport
from radnet.training.report_page import percent
from radnet.training.scorecard import Line, calibration
from radnet.training.witnesses import WITNESS_HEAD, remark, witness_rows


def tables(found: Sequence[ScanReport], lines: Sequence[Line], about: About) -> str:
    """Return classes with intervals, calibration, witnesses, wrong answers and liver masks."""
    error, _ = calibration(found)
    parts = [
        f"<!-- made by `radnet evaluate --card`: {about.text} -->",
        _table(("class", "samples", "judged", "accuracy %", "95 % interval", "AUC %"), [
            (
                line.name,
                str(line.samples),
                str(line.judged),
                percent(line.accuracy),
                f"{percent(line.low)}-{percent(line.high)}",
                percent(line.auc),
            )
            for line in lines
        ]),
        f"Expected calibration error of the class heads: {percent(error)} %.",
        _table(("wrong on", "head", "truth", "said", "probability"), [
            (one.scan.name, v.head, v.truth, v.said, f"{v.probability:.2f}")
            for one in found
            for v in one.verdicts
            if not v.right
        ]),
    ]  # fmt: skip
    if about.refused:
        parts.insert(
            1, "Refused, not scored:\n\n" + "\n".join(f"* {why}" for why in about.refused)
        )
    if rows := [] if about.labels_from_headers else witness_rows(found):
        parts.append(_table(WITNESS_HEAD, rows))
    if told := remark(found, about):
        parts.append(told)
    livers = [(one.scan.name, one.liver) for one in found if one.liver]
    if livers:
        measured = [
            (name, f"{score.dice:.3f}", f"{score.truth_ml:.0f}", f"{score.said_ml:.0f}")
            for name, score in livers
        ]
        dice = [score.dice for _, score in livers]
        parts += [
            _table(("liver of", "Dice on the source grid", "liver mL", "said mL"), measured),
            f"Dice: mean {mean(dice):.3f}, median {median(dice):.3f}, of {len(dice)} scans.",
        ]
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
