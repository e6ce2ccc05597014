"""Sending files, and looking at what came of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress, track

from node.cli.serving import role_command
from node.cli.shown import (
    DEFAULT_CONFIG,
    FAILED,
    WRONG,
    ConfigFile,
    checked,
    console,
    errors,
    fail,
    reported_errors,
)
from node.model.states import Origin

if TYPE_CHECKING:
    from node.app import Storage
    from node.deliver.destination import OutboundInstance
    from node.settings import DimseDestination

commands = typer.Typer()


def _address(to: str) -> "DimseDestination":
    from node.settings import DimseDestination

    title, at, rest = to.partition("@")
    host, colon, port = rest.rpartition(":")
    if not (at and colon and title and host and port.isdecimal()):
        fail(f"--to {to}: expected AE@host:port, for instance RADNODE@localhost:11112", WRONG)
    try:
        return DimseDestination(
            kind="dimse", name="peer", ae_title=title, host=host, port=int(port)
        )
    except ValueError as error:
        fail(f"--to {to}: {error}", WRONG)


def readable_instances(path: Path) -> "list[OutboundInstance]":
    """Return the DICOM files of a folder, or the one file; say which are left out, and why."""
    from pydicom.errors import InvalidDicomError
    from pydicom.filereader import read_file_meta_info

    from node.commitment.reports import BROKEN
    from node.deliver.destination import OutboundInstance

    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    found = []
    for file in track(files, "Reading", console=errors, transient=True):
        try:
            meta = read_file_meta_info(file)
            found.append(
                OutboundInstance(
                    meta.MediaStorageSOPInstanceUID,
                    meta.MediaStorageSOPClassUID,
                    meta.TransferSyntaxUID,
                    file.resolve(),
                )
            )
        except (InvalidDicomError, OSError) as error:
            errors.print(f"left out {file}: {error}", markup=False, highlight=False)
        except BROKEN as error:  # its message may quote what stands in the file
            text = f"left out {file}: its head cannot be read ({type(error).__name__})"
            errors.print(text, markup=False, highlight=False)
    return found


def send_files(path: Path, peer: "DimseDestination", calling_ae: str) -> int:
    """Send files with a progress bar; return how many were not accepted."""
    from node.deliver.build import build

    instances = readable_instances(path)
    if not instances:
        fail(f"{path} holds no DICOM files", WRONG)
    refused = 0
    with Progress(console=errors, transient=True) as progress:
        task = progress.add_task(f"Sending to {peer.ae_title}", total=len(instances))
        for outcome in build(peer, calling_ae).send(instances):
            progress.advance(task)
            if outcome.state != "delivered":
                refused += 1
                errors.print(f"{outcome.sop_instance_uid}: {outcome.reason}", markup=False)
    console.print(f"{len(instances) - refused} of {len(instances)} accepted by {peer.ae_title}")
    return refused


@commands.command()
def send(
    path: Annotated[Path, typer.Argument(help="A DICOM file, or a folder of them.")],
    to: Annotated[str, typer.Option(help="AE@host:port of a Storage SCP.")],
    calling: Annotated[str, typer.Option(help="Our own AE title.")] = "RADNODE_SEND",
) -> None:
    """Send DICOM files by C-STORE.

    Exit status 1: the peer did not accept all of them.
    """
    if not path.exists():
        fail(f"{path} does not exist", WRONG)
    with reported_errors():
        if send_files(path, _address(to), calling):
            raise typer.Exit(FAILED)


def _draw(storage: "Storage", study: str, folder: Path) -> list[Path]:
    """Draw every current segmentation of a study."""
    from node.segment import preview as pictures  # highdicom and matplotlib: slow to import

    drawn = []
    for summary in storage.catalog.studies.series_of(study):
        uid = summary.series_instance_uid
        made = [
            instance
            for kind, instance in storage.catalog.results.of_series(uid)
            if kind == "segmentation"
        ]
        if made:
            stored = storage.catalog.instances.of_series(uid, origin=Origin.RECEIVED)
            sources = [storage.files.absolute(instance.path) for instance in stored]
            picture = folder / f"{made[-1].sop_instance_uid}.png"
            pictures.draw(sources, storage.files.absolute(made[-1].path), picture)
            drawn.append(picture)
    return drawn


@commands.command()
def preview(
    study: Annotated[str, typer.Argument(help="Study Instance UID.")],
    out: Annotated[Path, typer.Option(help="Folder for the PNG files.")] = Path(),
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Draw the liver's contour over the slices, one PNG for each segmentation.

    Exit status 1: the study has none.
    """
    from node import app
    from node.settings import load

    with reported_errors():
        drawn = _draw(app.open_storage(load(config)), study, out)
    for picture in drawn:
        console.print(str(picture), markup=False, highlight=False, soft_wrap=True)
    if not drawn:
        fail(f"study {study} has no segmentation", FAILED)


def _phantom(folder: Path) -> None:
    from radnet.phantom.study import write_phantom_study  # slow to import

    write_phantom_study(folder, seed=1)


def _tell_results(storage: "Storage", study: str, pictures: Path, viewer: str) -> None:
    from node.cli.study_tables import study_table
    from node.views.study import view_of_study

    if (found := view_of_study(storage.catalog, study)) is not None:
        console.print(study_table(found, names=False))
    for picture in _draw(storage, study, pictures):
        console.print(f"picture: {picture}", markup=False, soft_wrap=True)
    if viewer:
        page = f"{viewer}/viewer?StudyInstanceUIDs={study}"
        console.print(f"in the viewer: {page}", markup=False, soft_wrap=True)


@commands.command("demo")
def show(
    study: Annotated[
        Path | None, typer.Argument(help="Folder of DICOM files; without it, a phantom.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="End after the result.")] = False,
    viewer: Annotated[
        str,
        typer.Option(help="Address of the viewer of `make pacs`; names the study's page there."),
    ] = "",
    viewer_config: Annotated[
        Path | None, typer.Option(help="Settings in place of --config where the viewer answers.")
    ] = None,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Start the whole node, send it a study, and show what comes of it."""
    from node import app, supervise
    from node.cli import demo
    from node.deliver.build import build

    with reported_errors():
        viewer = viewer if viewer and demo.viewer_answers(viewer) else ""
        if viewer and viewer_config is not None:
            config = viewer_config
        settings = checked(config)
        storage = app.open_storage(settings)
        if study is None:
            study = settings.node.data / "phantom"
            console.print("Making a phantom study: abdominal CT, brain MR, localizer")
            _phantom(study)
        studies = demo.studies_in(study)
        if not studies:
            fail(f"{study} holds no DICOM files", WRONG)
        stop = supervise.stop_on_signals()
        peer = _address(f"{settings.node.ae_title}@127.0.0.1:{settings.node.port}")
        with demo.running_node(role_command(config), stop):
            demo.wait_until_up(build(peer, "RADNODE_DEMO"), stop)
            refused = send_files(study, peer, "RADNODE_DEMO")
            demo.wait_for_results(storage.catalog, studies, console, stop)
            for uid in studies:
                _tell_results(storage, uid, settings.node.data / "preview", viewer)
            if not once:
                console.print("The node goes on running; Ctrl-C ends it.")
                stop.wait()
        if refused:
            raise typer.Exit(FAILED)
