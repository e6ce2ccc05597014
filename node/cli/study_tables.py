"""How studies are shown in a terminal: whose they are only where that was asked for."""

from collections.abc import Iterable, Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from node.cli.delivery_tables import moment_text, whereabouts
from node.model.findings import (
    SOME_INSTANCES,
    FindingName,
    Use,
    ValueType,
    is_for,
    is_of,
    texts_of,
)
from node.model.headers import HeaderSnapshot, StudyHeader
from node.model.records import Finding
from node.views.studies import StudyRow
from node.views.study import MadeObject, SeriesView, StudyView


def _value(finding: Finding) -> str:
    if finding.value is None:
        return "unknown"
    if SOME_INSTANCES in finding.evidence:
        return "some"
    return ", ".join(texts_of(finding.value))


def described(findings: Iterable[Finding]) -> Text:
    """Return the fused findings as one short text, with probability and witnesses."""
    lines = []
    findings = list(findings)
    witnesses: dict[str, list[str]] = {}
    for finding in findings:
        if finding.source != "fused":
            witnesses.setdefault(finding.name, []).append(finding.source)
    for finding in findings:
        if _is_label(finding) and _says_something(finding):
            by = " + ".join(witnesses.get(finding.name, ["header"]))
            lines.append(f"{finding.name}: {_value(finding)} ({finding.probability:.0%}, {by})")
        lines += _told_beside(finding)
    return Text("\n".join(lines) or "-")


def _is_label(finding: Finding) -> bool:
    """Tell of a fused finding; an older version took that of own output from the header."""
    fused = finding.source == "fused" or finding.name == FindingName.OWN_OUTPUT
    return fused and is_for(finding.name, Use.STATUS)


def _says_something(finding: Finding) -> bool:
    """Tell whether a line is worth reading: a no, or that no region is in doubt, is not."""
    if finding.name == FindingName.COVERAGE_UNKNOWN:
        return bool(finding.value)
    return finding.value is True or not is_of(finding.name, ValueType.YES_NO)


def _told_beside(finding: Finding) -> list[str]:
    """Return lines about what is no label: remarks, and what was measured."""
    if finding.name == FindingName.REMARKS:
        return [f"remark: {remark}" for remark in texts_of(finding.value)]
    if is_for(finding.name, Use.REPORT):
        return [f"{finding.name}: {_value(finding)}"]
    return []


def studies_table(studies: Iterable[StudyRow], *, names: bool) -> Table:
    """Return a row for each study with what is still on its way; times are UTC.

    Parameters
    ----------
    names : bool
        Show whose they are.
    """
    table = Table(title="Studies")
    headings = ("Study", "Patient", "State", "What", "Series", "Images", "Last image (UTC)")
    for heading in (*headings, "Deliveries"):
        if heading != "Patient" or names:
            table.add_column(heading, overflow="fold")
    for study in studies:
        cells = [
            Text(study.study_instance_uid),
            *([Text("\n".join(_patient(study.header)) or "-")] if names else []),
            Text(study.state),
            Text("\n".join(_kind(study.header)) or "-"),
            Text(str(study.series_count)),
            Text(str(study.instance_count)),
            Text(moment_text(study.last_instance_at)),
            whereabouts(study.counts),
        ]
        table.add_row(*cells)
    return table


def _kind(header: StudyHeader) -> Iterator[str]:
    """Yield what tells studies apart and names nobody: date, modalities, description."""
    if header.study_date:
        year, month, day = header.study_date[:4], header.study_date[4:6], header.study_date[6:]
        yield f"{year}-{month}-{day}"
    if header.modalities:
        yield ", ".join(header.modalities)
    if header.study_description:
        yield header.study_description
    if header.differing:
        yield f"differs: {', '.join(header.differing)}"


def _patient(header: StudyHeader) -> Iterator[str]:
    """Yield whose a study is; sex and date of birth tell namesakes apart."""
    issuer = f" ({header.issuer_of_patient_id})" if header.issuer_of_patient_id else ""
    if header.patient_id:
        yield f"{header.patient_id}{issuer}"
    if header.patient_name:
        yield header.patient_name
    if born := " ".join(filter(None, (header.patient_birth_date, header.patient_sex))):
        yield born
    if header.accession_number:
        yield f"accession {header.accession_number}"


def study_table(study: StudyView, *, names: bool) -> RenderableType:
    """Return one study: a row for each series, and what the node made of it.

    Parameters
    ----------
    names : bool
        Show whose it is.
    """
    table = Table(title=f"Study {study.study_instance_uid}", show_lines=True)
    for heading in ("Series", "Images", "State", "Findings", "Where its instances stand"):
        table.add_column(heading, overflow="fold")
    made: list[RenderableType] = []
    for series in study.series:
        table.add_row(
            Text(_called(series)),
            str(series.instance_count),
            Text(_state(series)),
            described(series.findings),
            whereabouts(series.counts),
        )
        made += map(_made, series.made)
    made += map(_made, study.made)
    made += judged_lines(study)
    if study.kept_apart:
        count = len(study.kept_apart)
        made.append(Text(f"{count} instance(s) came twice with different bytes, kept apart:"))
        made += [Text(f"  {path}") for path in study.kept_apart]
    about = [*(_patient(study.header) if names else ()), *_kind(study.header)]
    return Group(table, *([Text("; ".join(about))] if about else []), *made)


def _made(thing: MadeObject) -> Text:
    where = whereabouts(thing.counts).plain
    return Text(f"{thing.kind}: {thing.sop_instance_uid}  {where}")


def _state(series: SeriesView) -> str:
    late = "" if series.revision < 2 else f", rev. {series.revision}"
    return f"{series.state}{late}\n{series.reason}" if series.reason else f"{series.state}{late}"


def _called(series: SeriesView) -> str:
    """Return what a series is called: its UID, or both where another study has one of that."""
    lines = [series.series_instance_uid]
    if series.received_uid is not None:
        lines = [
            series.received_uid,
            "another study has a series of this UID, too; "
            f"here this one is {series.series_instance_uid}",
        ]
    if series.header is not None:
        lines += _series_kind(series.header)
    return "\n".join(lines)


def _series_kind(header: HeaderSnapshot) -> Iterator[str]:
    number = "" if header.series_number is None else str(header.series_number)
    parts = (header.modality, number, header.series_description)
    if line := " ".join(part for part in parts if part):
        yield line


def judged_lines(study: StudyView) -> list[RenderableType]:
    """Return which rules matched each series, why, and which could not be evaluated."""
    lines = []
    for uid, entry in study.judged:
        lines.append(f"rules on {entry['of']} of {uid}, revision {entry['revision']}:")
        verdicts = [f"  {name} matched: {why}" for name, why in entry["matched"].items()]
        verdicts += [f"  {name} failed: {why}" for name, why in entry["failed"].items()]
        lines += verdicts or ["  none matched"]
    return [Text(line) for line in lines]
