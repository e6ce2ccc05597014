"""Where every series and instance stands, as a table a person can read."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from node.model.findings import (
    SOME_INSTANCES,
    FindingName,
    Use,
    ValueType,
    is_for,
    is_of,
    texts_of,
)
from node.model.records import Delivery, Finding, SeriesSummary
from node.store.catalog import Catalog


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


def whereabouts(deliveries: Iterable[Delivery]) -> Text:
    """Return how many instances stand where, with the reason of those that are not there."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for delivery in deliveries:
        reason = delivery.reason if delivery.state != "delivered" else ""
        counts[delivery.destination, _standing(delivery), reason] += 1
    lines = [
        f"{destination}: {count} {state}" + (f" ({reason})" if reason else "")
        for (destination, state, reason), count in sorted(counts.items())
    ]
    return Text("\n".join(lines) or "-")


def _standing(delivery: Delivery) -> str:
    told: str = delivery.state
    if delivery.state == "delivered" and delivery.commitment:
        told = (
            "committed" if delivery.commitment == "committed" else "delivered, not committed yet"
        )
    return f"{told}, deleted here" if delivery.deleted else told


def _state(summary: SeriesSummary) -> str:
    told = summary.state if summary.revision < 2 else f"{summary.state}, rev. {summary.revision}"
    return f"{told}\n{summary.reason}" if summary.reason else told


def _called(summary: SeriesSummary) -> str:
    """Return the UID of a series; of one that shares it with another study, our own, too."""
    if summary.received_uid is None:
        return summary.series_instance_uid
    return (
        f"{summary.received_uid}\nanother study has a series of this UID, too; "
        f"here this one is {summary.series_instance_uid}"
    )


def study_table(catalog: Catalog, study_instance_uid: str) -> RenderableType:
    """Return one study: a row for each series, and what the node made of it."""
    table = Table(title=f"Study {study_instance_uid}", show_lines=True)
    for heading in ("Series", "Images", "State", "Findings", "Where its instances stand"):
        table.add_column(heading, overflow="fold")
    deliveries = catalog.deliveries.of_study(study_instance_uid)
    made: list[RenderableType] = []
    for summary in catalog.studies.series_of(study_instance_uid):
        uid = summary.series_instance_uid
        table.add_row(
            _called(summary),
            str(summary.instance_count),
            Text(_state(summary)),
            described(catalog.findings.of_series(uid)),
            whereabouts(d for d in deliveries if d.series_instance_uid == uid),
        )
        for kind, stored in catalog.results.of_series(uid):
            where = whereabouts(
                d for d in deliveries if d.sop_instance_uid == stored.sop_instance_uid
            )
            made.append(Text(f"{kind}: {stored.sop_instance_uid}  {where.plain}"))
    made += judged_lines(catalog.revisions.judged(study_instance_uid))
    conflicts = catalog.instances.conflicts(study_instance_uid)
    if conflicts:
        made.append(
            Text(f"{len(conflicts)} instance(s) came twice with different bytes, kept apart:")
        )
        made += [Text(f"  {conflict.path}") for conflict in conflicts]
    return Group(table, *made)


def judged_lines(judged: Mapping[str, Iterable[Mapping[str, Any]]]) -> list[RenderableType]:
    """Return which rules matched each series, why, and which could not be evaluated."""
    lines = []
    for uid, entries in judged.items():
        for told in entries:
            lines.append(f"rules on {told['of']} of {uid}, revision {told['revision']}:")
            said = [f"  {name} matched: {why}" for name, why in told["matched"].items()]
            said += [f"  {name} failed: {why}" for name, why in told["failed"].items()]
            lines += said or ["  none matched"]
    return [Text(line) for line in lines]


def studies_table(catalog: Catalog) -> Table:
    """Return every study with what is still on its way."""
    table = Table(title="Studies")
    for heading in ("Study", "Series", "Images", "Deliveries"):
        table.add_column(heading, overflow="fold")
    for study in catalog.studies.summaries():
        table.add_row(
            study.study_instance_uid,
            str(study.series_count),
            str(study.instance_count),
            whereabouts(catalog.deliveries.of_study(study.study_instance_uid)),
        )
    return table


def is_finished(catalog: Catalog, study_instance_uid: str) -> bool:
    """Tell whether every series of a study is through and nothing of it is on its way."""
    summaries = catalog.studies.series_of(study_instance_uid)
    through = all(s.revision > 0 and s.state in ("done", "unusable") for s in summaries)
    return (
        bool(summaries)
        and through
        and not any(
            delivery.state == "pending"
            for delivery in catalog.deliveries.of_study(study_instance_uid)
        )
    )
