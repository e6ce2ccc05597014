"""`radnode rules`: what the rules would do, and what they may name."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.table import Table
from rich.text import Text

from node.cli.moments import moment
from node.cli.shown import (
    DEFAULT_CONFIG,
    WRONG,
    ConfigFile,
    checked,
    console,
    errors,
    fail,
    reported_errors,
)

if TYPE_CHECKING:
    from node.app import Storage
    from node.route.explain import RuleVerdict
    from node.route.facts import Facts
    from node.settings import Rule, Settings
    from node.store.studies.candidates import Candidate

commands = typer.Typer(no_args_is_help=True, help="Try the rules, and see what they may name.")


class Tried(NamedTuple):
    """Something the rules are tried on: its name, and what they see of it."""

    name: str
    facts: "Facts"


@commands.command()
def reference() -> None:
    """Print every finding with its permitted values, and every header keyword (Markdown)."""
    from node.route.reference import reference as page

    typer.echo(page(), nl=False)


@commands.command("try")
def try_rules(
    what: Annotated[
        str | None,
        typer.Argument(metavar="UID|FILE", help="UID of a study or series; a file or folder."),
    ] = None,
    last: Annotated[
        str | None, typer.Option(help="What came in this time, such as 7d, or since a date.")
    ] = None,
    calling: Annotated[str, typer.Option(help="Of a FILE: who would send it.")] = "",
    called: Annotated[str, typer.Option(help="Of a FILE: whom it would call.")] = "",
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Tell what each rule would do, and why; nothing is sent or changed."""
    if (what is None) == (last is None):
        fail("expected either UID|FILE or --last", WRONG)
    since = last and moment("--last", last, datetime.now(UTC).astimezone())
    from node import app
    from node.route.explain import verdicts
    from node.route.rules import compile_rules

    with reported_errors():
        settings = checked(config)
        rules = compile_rules(settings.rules)
        if what is not None and Path(what).exists():
            title = {"calling_ae": calling, "called_ae": called}
            tried = _of_file(Path(what), settings, {k: v for k, v in title.items() if v})
        else:
            tried = _of_catalog(app.open_storage(settings), what, since or None)
        for group in tried:
            console.print(group.name, markup=False, highlight=False, soft_wrap=True)
            console.print(_table(verdicts(rules, group.facts)))


def _table(found: "list[RuleVerdict]") -> Table:
    table = Table()
    for heading in ("rule", "matches", "would", "why"):
        table.add_column(heading, overflow="fold")
    for verdict in found:
        says = {True: "yes", False: "no", None: "-"}[verdict.matched]
        would = _would(verdict.rule.rule) if verdict.matched else ""
        table.add_row(*map(Text, (verdict.rule.rule.name, says, would, verdict.because)))
    return table


def _would(rule: "Rule") -> str:
    """Return what follows where a rule matches."""
    parts = [
        f"{verb} {', '.join(targets)}"
        for verb, targets in (
            ("deliver to", rule.deliver), ("segment", rule.segment),
            ("send results to", rule.results_to),
            ("send the study's summary to", rule.results_to if rule.summary else ()),
        )
        if targets
    ]  # fmt: skip
    parts += ["urgently"] * rule.urgent + ["stop"] * rule.stop
    return ", ".join(parts)


def _of_catalog(storage: "Storage", uid: str | None, since: float | None) -> "Iterator[Tried]":
    candidates = storage.catalog.candidates.named(uid, since)
    if uid is not None and not candidates:
        fail(
            f"{uid} is no file, and the node holds no study or series of this UID; "
            "`radnode status` lists them",
            WRONG,
        )
    for candidate in candidates:
        yield from _of_series(storage, candidate)


def _of_series(storage: "Storage", candidate: "Candidate") -> "Iterator[Tried]":
    """Yield what rules see of a series; where it holds own output besides images, of each."""
    from node.pipeline.trying import groups_of

    uid, number = candidate.series_instance_uid, candidate.revision
    for group in groups_of(storage.catalog, storage.files, uid, number):
        yield Tried(f"series {uid}, revision {number}, {group.count} {group.of}", group.facts)
    if not number:
        errors.print(f"series {uid} is still coming in", markup=False, highlight=False)
    elif candidate.standing == "deleted":
        errors.print(f"series {uid} was deleted here", markup=False, highlight=False)


def _of_file(path: Path, settings: "Settings", source: dict[str, str]) -> "Iterator[Tried]":
    """Yield what rules would see of a file, or of every series in a folder."""
    from node.networks import NetworkLoader
    from node.pipeline.trying import facts_of_files, series_in

    found = series_in(path)
    if not found:
        fail(f"{path} holds no DICOM files", WRONG)
    with errors.status("Loading weights") as status:

        def making(task: str, done: float) -> None:
            status.update(f"Making the {task}'s model of its weights, once: {done:.0%}")

        classifier = NetworkLoader(settings, making).classifier()
    for uid, paths in found.items():
        with errors.status("Recognising"):
            facts = facts_of_files(paths, classifier, settings.models.unknown_below, source)
        yield Tried(f"series {uid}, {len(paths)} files", facts)
