"""Labels of a bare row of a table, where nothing but a few texts is known."""

from dataclasses import dataclass

from radnet.labels.evidence import SeriesLabels
from radnet.labels.facts import HeaderFacts
from radnet.labels.judge import judge
from radnet.labels.rules import Rules
from radnet.labels.vocabulary import ELSEWHERE, Sequence


@dataclass(frozen=True)
class TableRow:
    """A series as a table describes it; any text may be empty."""

    modality: str
    series_description: str = ""
    body_part: str = ""
    collection: str = ""
    study_description: str = ""


def label_row(row: TableRow, rules: Rules) -> SeriesLabels:
    """Return the labels that the texts of a row give; nothing raises.

    Parameters
    ----------
    row : TableRow
        The texts of one series as they stand in a table; '' where a column is missing.
    rules : Rules
        As `load_rules` returns them.

    Returns
    -------
    SeriesLabels
        Every head with value, confidence, evidence and conflicts; unknown where nothing speaks.
    """
    texts = {
        "SeriesDescription": row.series_description,
        "BodyPartExamined": row.body_part,
        "StudyDescription": row.study_description,
        "collection": row.collection,
    }
    return judge(HeaderFacts(row.modality.strip().upper(), texts), rules)


def row_columns(labels: SeriesLabels) -> dict[str, str]:
    """Return the six columns of a label table; what is unknown or of no class is empty.

    Parameters
    ----------
    labels : SeriesLabels
        Of one series.

    Returns
    -------
    dict of str to str
        ``sequence``, ``plane``, ``contrast``, ``coverage`` (words of `radnet.labels.vocabulary`,
        '' where unknown), ``localizer`` and ``derived`` ("0" or "1").
    """
    sequence, coverage = str(labels.sequence.value), labels.coverage.value
    return {
        "sequence": "" if sequence == Sequence.OTHER else sequence,
        "plane": str(labels.plane.value),
        "contrast": str(labels.contrast.value),
        "coverage": "" if coverage == ELSEWHERE else coverage,
        "localizer": labels.localizer.value or "0",
        "derived": labels.derived.value or "0",
    }
