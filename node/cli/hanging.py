"""`radnode hanging`: DICOM Hanging Protocol objects for a PACS that reads them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.moments import moment
from node.cli.shown import FAILED, WRONG, console, fail, reported_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from node.hanging.parts import HangingProtocol

commands = typer.Typer(no_args_is_help=True, help="How studies are laid out on a screen.")


@commands.callback()
def _group() -> None:
    """Make it a group: else its only command would be called by the group's name."""


@commands.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Where the files go; made where it is missing.")],
    series: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PANE=TEXT",
            help="A Series Description that your scanners write, whole, and the pane that takes "
            "it too: `brain/t1=T1 SE tra`.",
        ),
    ] = None,
    creator: Annotated[
        str, typer.Option(help="Whom a viewer names as the maker of the protocols.")
    ] = "",
    made: Annotated[
        str,
        typer.Option(help="When they were made: a local time. The same again, the same bytes."),
    ] = "",
) -> None:
    """Write a DICOM Hanging Protocol object for each protocol of `orthanc/ohif`.

    Files of an earlier export are written over. Exit status 1: something else has one of the
    names, or the folder cannot be written.
    """
    from node.hanging.build import build_hanging_protocol
    from node.hanging.files import file_name, foreign, write_objects
    from node.hanging.protocols import PROTOCOLS
    from node.identity import MANUFACTURER

    if folder.exists() and not folder.is_dir():
        fail(f"{folder} is no folder", WRONG)
    creator = _text("--creator", creator)
    now = datetime.now(UTC).astimezone()
    at = datetime.fromtimestamp(moment("--made", made, now), UTC) if made else now
    with reported_errors():
        protocols = _of_the_site(PROTOCOLS, series or [])
        objects = {
            file_name(protocol): build_hanging_protocol(protocol, at, creator or MANUFACTURER)
            for protocol in protocols
        }
        if taken := foreign(folder, objects):
            fail(
                f"{folder}: {', '.join(taken)} was not written by us; nothing was written", FAILED
            )
        try:
            write_objects(folder, objects)
        except OSError as error:
            fail(f"{folder} cannot be written: {error.strerror}", FAILED)
    for protocol in protocols:
        text = f"{folder / file_name(protocol)}: {protocol.description}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def _of_the_site(
    protocols: "Sequence[HangingProtocol]", series: list[str]
) -> "list[HangingProtocol]":
    """Return the protocols with the Series Descriptions that the site gave."""
    from node.hanging.descriptions import also_described, pane_names

    names = pane_names(protocols)
    found = {protocol.short_name: protocol for protocol in protocols}
    for given in series:
        pane, _, text = given.partition("=")
        text = _text("--series", text)
        if pane not in names or not text:
            fail(f"--series {given}: expected PANE=TEXT with one of {', '.join(names)}", WRONG)
        protocol, _, pane_id = pane.partition("/")
        try:
            found[protocol] = also_described(found[protocol], pane_id, text)
        except ValueError as error:
            fail(f"--series {given}: {error}", WRONG)
    return list(found.values())


def _text(option: str, given: str) -> str:
    """Return a value of LO without the spaces around it; end with 2 where it is none."""
    from node.derived.belonging import is_valid

    text = given.strip()
    if not is_valid("LO", text) or not text.isprintable() or "\\" in text:
        fail(f"{option} {given}: expected at most 64 characters and no backslash", WRONG)
    return text
