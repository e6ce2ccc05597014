"""`radnode status`: the studies of the node, or one of them."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from node.cli.moments import moment
from node.cli.shown import DEFAULT_CONFIG, WRONG, ConfigFile, console, fail, reported_errors

if TYPE_CHECKING:
    from node.settings import Settings
    from node.store.catalog import Catalog
    from node.views.state import StudyState
    from node.views.studies import Cursor, StudyPage

commands = typer.Typer()

MOST: Final = 500
STATES: Final = "held, receiving, working, sending, paused, done, deleted"

Patient = Annotated[
    str, typer.Option(help="A Patient ID, or parts of a name: shows whose the studies are.")
]
Accession = Annotated[str, typer.Option(help="An Accession Number: shows whose the study is.")]
Date = Annotated[
    str,
    typer.Option(metavar="DATE", help="Study Date: 20261130, 20261101-20261130, 20261101-."),
]
Since = Annotated[
    str, typer.Option(metavar="WHEN", help="The last image came since then: 7d, or a date.")
]
Until = Annotated[
    str, typer.Option(metavar="WHEN", help="The last image came before: 7d, a date.")
]
Description = Annotated[str, typer.Option(help="Words of a study's or series' description.")]
State = Annotated[str, typer.Option(help=f"Only these, with commas between: {STATES}.")]
ToDestination = Annotated[str, typer.Option(help="Something of it was to go there.")]


@commands.command()
def status(  # noqa: PLR0913 - an option each
    study: Annotated[str | None, typer.Argument(help="Study Instance UID.")] = None,
    patient: Patient = "",
    accession: Accession = "",
    date: Date = "",
    since: Since = "",
    until: Until = "",
    description: Description = "",
    state: State = "",
    destination: ToDestination = "",
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many studies.")] = 50,
    after: Annotated[str, typer.Option(help="Go on where the last list ended.")] = "",
    names: Annotated[bool, typer.Option("--names", help="Show whose the studies are.")] = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Show the newest studies and every destination, or one study: findings, and what is where."""
    from node import app
    from node.cli.study_tables import studies_table, study_table
    from node.settings import load
    from node.views.filters import StudyFilter
    from node.views.studies import count_unread, page_of_studies
    from node.views.study import view_of_study

    now = datetime.now(UTC).astimezone()
    first, last = _dates(date)
    wanted = StudyFilter(
        patient=patient.strip(),
        accession_number=accession.strip(),
        description=description.strip(),
        study_from=first,
        study_until=last,
        states=_states(state),
        destination=destination,
        since=moment("--since", since, now) if since else None,
        until=moment("--until", until, now) if until else None,
    )
    shows_names = names or bool(patient or accession)
    cursor = _cursor(after)
    with reported_errors():
        settings = load(config)
        catalog = app.open_storage(settings).catalog
        if study is None:
            page = page_of_studies(catalog, wanted, limit, cursor)
            console.print(studies_table(page.studies, names=shows_names))
            _tell_rest(page)
            if wanted.asks_headers and (unread := count_unread(catalog)):
                console.print(f"the headers of {unread} series are not read yet: not searched")
            _show_destinations(settings, catalog)
            return
        found = view_of_study(catalog, study)
        if found is None:
            fail(f"the node holds no study {study}; `radnode status` lists them", WRONG)
        console.print(study_table(found, names=shows_names))


def _tell_rest(page: "StudyPage") -> None:
    """Say of how many studies these are, and how the others are seen."""
    if page.after is not None:
        text = f"{len(page.studies)} of {page.total} studies; the next ones: --after {page.after}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def _show_destinations(settings: "Settings", catalog: "Catalog") -> None:
    from node import app
    from node.cli.delivery_tables import destinations_table
    from node.deliver.build import terms_of
    from node.views.destinations import count_held, destinations

    terms = {destination.name: terms_of(destination) for destination in settings.destinations}
    console.print(destinations_table(destinations(catalog, terms, app.local_time())))
    if held := count_held(catalog):
        console.print(f"{held} held in quarantine: see `radnode quarantine list`")


def _dates(text: str) -> tuple[str, str]:
    """Return the first and the last day of a range as DICOM writes it (PS3.4 C.2.2.2.5.1)."""
    first, between, last = text.partition("-")
    days = (first, last if between else first)
    for day in days:
        try:
            if day:
                datetime.strptime(day, "%Y%m%d")  # noqa: DTZ007 - a day has no zone
        except ValueError:
            fail(f"--date {text}: expected 20261130, 20261101-20261130 or 20261101-", WRONG)
    return days


def _states(text: str) -> "tuple[StudyState, ...]":
    from node.views.state import StudyState

    wanted = [word.strip() for word in text.split(",")] if text else []
    try:
        return tuple(StudyState(word) for word in wanted)
    except ValueError:
        fail(f"--state {text}: expected some of {', '.join(StudyState)}", WRONG)


def _cursor(text: str) -> "Cursor | None":
    from node.views.studies import Cursor

    try:
        return Cursor.parse(text) if text else None
    except ValueError as error:
        fail(f"--after {text}: {error}", WRONG)
