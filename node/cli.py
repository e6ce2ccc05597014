"""`radnode`: the commands of the node. Only here is printed and exited.

Exit codes: 0 done, 1 failed, 2 wrong usage or input.
"""

import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, NoReturn

import pydicom
import structlog
import typer
from pydicom.errors import InvalidDicomError
from rich.console import Console
from rich.progress import Progress, track

from node import app, demo, supervise
from node.deliver.build import build
from node.deliver.destination import OutboundInstance
from node.errors import ConfigError, DeliveryError, NodeError
from node.route.rules import compile_rules
from node.segment import preview as pictures
from node.settings import DimseDestination, Settings, load
from node.watch import custody
from node.watch import status as views
from radnet.data.phantom_study import write_phantom_study
from radnet.errors import RadnetError

FAILED: Final = 1
WRONG: Final = 2

radnode = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A DICOM node that recognises series, routes them and segments the liver.",
)
# A table piped into a file or a log has no terminal to fit: give it room.
console = Console(width=None if sys.stdout.isatty() else 160, emoji=False)
errors = Console(stderr=True, emoji=False)

ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", envvar="RADNODE_CONFIG", help="The settings (TOML).")
]
DEFAULT_CONFIG: Final = Path("deploy/node.toml")


def _fail(message: str, code: int) -> NoReturn:
    errors.print(message, style="red", markup=False, highlight=False)
    raise typer.Exit(code)


@contextmanager
def _told() -> Iterator[None]:
    """Turn what we raise on purpose into a message and an exit code."""
    try:
        yield
    except ConfigError as error:
        _fail(str(error), WRONG)
    except (NodeError, RadnetError) as error:
        _fail(str(error), FAILED)


def _logging(level: str) -> None:
    # pydicom quotes odd header values in its messages: a patient's name may be one.
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="pydicom")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


@radnode.callback()
def _main(
    log_level: Annotated[
        str, typer.Option(envvar="RADNODE_LOG_LEVEL", help="debug, info, warning or error.")
    ] = "info",
) -> None:
    if log_level.lower() not in ("debug", "info", "warning", "error"):
        _fail(f"--log-level {log_level}: expected debug, info, warning or error", WRONG)
    _logging(log_level)


def _checked(config: Path) -> Settings:
    settings = load(config)
    compile_rules(settings.rules)
    return settings


def _role_command(config: Path) -> supervise.CommandLine:
    def command(role: str, descriptor: int) -> list[str]:
        arguments = [role, "--config", str(config), "--parent", str(descriptor)]
        return [sys.executable, "-m", "node.cli", *arguments]

    return command


@radnode.command()
def run(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Run the whole node: receiver and worker, restarted when they die."""
    with _told():
        settings = _checked(config)
        app.open_storage(settings)
        stop = supervise.stop_on_signals()
        console.print(
            f"{settings.node.ae_title} on port {settings.node.port}, data in {settings.node.data}"
        )
        supervise.Supervisor(_role_command(config), ("receive", "work")).run(stop)


Parent = Annotated[int | None, typer.Option("--parent", hidden=True)]


def _stopped_by(parent: int | None) -> threading.Event:
    stop = supervise.stop_on_signals()
    if parent is not None:
        supervise.stop_with_parent(parent, stop)
    return stop


@radnode.command()
def receive(config: ConfigFile = DEFAULT_CONFIG, parent: Parent = None) -> None:
    """Run the Storage SCP alone."""
    with _told():
        app.receive(_checked(config), _stopped_by(parent))


@radnode.command()
def work(config: ConfigFile = DEFAULT_CONFIG, parent: Parent = None) -> None:
    """Run recognition, routing, segmentation and delivery alone."""
    with _told():
        app.work(_checked(config), _stopped_by(parent))


def _address(to: str) -> DimseDestination:
    title, at, rest = to.partition("@")
    host, colon, port = rest.rpartition(":")
    if not (at and colon and title and host and port.isdecimal()):
        _fail(f"--to {to}: expected AE@host:port, for instance RADNODE@localhost:11112", WRONG)
    try:
        return DimseDestination(
            kind="dimse", name="peer", ae_title=title, host=host, port=int(port)
        )
    except ValueError as error:
        _fail(f"--to {to}: {error}", WRONG)


def _outbound(path: Path) -> list[OutboundInstance]:
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    found = []
    for file in track(files, "Reading", console=errors, transient=True):
        try:
            meta = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=[]).file_meta
            found.append(
                OutboundInstance(
                    meta.MediaStorageSOPInstanceUID,
                    meta.MediaStorageSOPClassUID,
                    meta.TransferSyntaxUID,
                    file.resolve(),
                )
            )
        except (InvalidDicomError, AttributeError, OSError) as error:
            errors.print(f"left out {file}: {error}", markup=False, highlight=False)
    return found


def send_files(path: Path, peer: DimseDestination, calling_ae: str) -> int:
    """Send files with a progress bar; return how many were not accepted."""
    instances = _outbound(path)
    if not instances:
        _fail(f"{path} holds no DICOM files", WRONG)
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


@radnode.command()
def send(
    path: Annotated[Path, typer.Argument(help="A DICOM file, or a folder of them.")],
    to: Annotated[str, typer.Option(help="AE@host:port of a Storage SCP.")],
    calling: Annotated[str, typer.Option(help="Our own AE title.")] = "RADNODE_SEND",
) -> None:
    """Send DICOM files by C-STORE."""
    if not path.exists():
        _fail(f"{path} does not exist", WRONG)
    with _told():
        if send_files(path, _address(to), calling):
            raise typer.Exit(FAILED)


@radnode.command()
def status(
    study: Annotated[str | None, typer.Argument(help="Study Instance UID.")] = None,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Show every study, or one: its series, findings, and where each instance stands."""
    with _told():
        catalog = app.open_storage(load(config)).catalog
        if study is None:
            console.print(views.studies_table(catalog))
        elif not catalog.series_of(study):
            _fail(f"the node holds no study {study}; `radnode status` lists them", WRONG)
        else:
            console.print(views.study_table(catalog, study))


@radnode.command()
def prove(
    study: Annotated[str, typer.Argument(help="Study Instance UID.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Show what happened to every instance of a study, and prove that nothing was altered."""
    with _told():
        storage = app.open_storage(load(config))
        entries = storage.catalog.history(study)
        if not entries:
            _fail(f"the ledger knows no study {study}; `radnode status` lists them", WRONG)
        console.print(custody.history_table(entries))
        proof = storage.catalog.proof()
        wrong = [proof.broken] if proof.broken else []
        wrong += custody.changed_files(storage.catalog, storage.files, entries)
    console.print(f"chain of {proof.entries} entries, last hash {proof.last}", soft_wrap=True)
    for reason in wrong:
        errors.print(reason, style="red", markup=False, highlight=False)
    if wrong:
        raise typer.Exit(FAILED)
    console.print("the chain is whole, and every file is the one that was received")


@radnode.command()
def check(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Check the settings, the rules, and every destination."""
    with _told():
        settings = _checked(config)
        console.print(f"{config}: {len(settings.rules)} rules, settings valid")
        failed = 0
        for described in settings.destinations:
            try:
                said = build(described, settings.node.ae_title).check()
                console.print(f"{described.name}: ok, {said}", markup=False, highlight=False)
            except DeliveryError as error:
                failed += 1
                errors.print(f"{described.name}: {error}", style="red", markup=False)
        if failed:
            raise typer.Exit(FAILED)


def _draw(storage: app.Storage, study: str, folder: Path) -> list[Path]:
    """Draw every current segmentation of a study."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for summary in storage.catalog.series_of(study):
        uid = summary.series_instance_uid
        made = [one for kind, one in storage.catalog.derived(uid) if kind == "segmentation"]
        if made:
            stored = storage.catalog.instances(uid, origin="received")
            sources = [storage.files.absolute(one.path) for one in stored]
            picture = folder / f"{made[-1].sop_instance_uid}.png"
            pictures.draw(sources, storage.files.absolute(made[-1].path), picture)
            drawn.append(picture)
    return drawn


@radnode.command()
def preview(
    study: Annotated[str, typer.Argument(help="Study Instance UID.")],
    out: Annotated[Path, typer.Option(help="Folder for the PNG files.")] = Path(),
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Draw the liver's contour over the slices, one PNG for each segmentation."""
    with _told():
        drawn = _draw(app.open_storage(load(config)), study, out)
    for picture in drawn:
        console.print(str(picture), markup=False, highlight=False, soft_wrap=True)
    if not drawn:
        _fail(f"study {study} has no segmentation", FAILED)


@radnode.command("demo")
def show(
    study: Annotated[
        Path | None, typer.Argument(help="Folder of DICOM files; without it, a phantom.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="End after the result.")] = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Start the whole node, send it a study, and show what comes of it."""
    with _told():
        settings = _checked(config)
        storage = app.open_storage(settings)
        if study is None:
            study = settings.node.data / "phantom"
            console.print("Making a phantom study: abdominal CT, brain MR, localizer")
            write_phantom_study(study, seed=1)
        studies = demo.studies_in(study)
        if not studies:
            _fail(f"{study} holds no DICOM files", WRONG)
        stop = supervise.stop_on_signals()
        peer = _address(f"{settings.node.ae_title}@127.0.0.1:{settings.node.port}")
        with demo.running_node(_role_command(config), stop):
            demo.wait_until_up(build(peer, "RADNODE_DEMO"), stop)
            refused = send_files(study, peer, "RADNODE_DEMO")
            demo.wait_for_results(storage.catalog, studies, console, stop)
            for uid in studies:
                console.print(views.study_table(storage.catalog, uid))
                for picture in _draw(storage, uid, settings.node.data / "preview"):
                    console.print(f"picture: {picture}", markup=False, soft_wrap=True)
            if not once:
                console.print("The node goes on running; Ctrl-C ends it.")
                stop.wait()
        if refused:
            raise typer.Exit(FAILED)


def main() -> None:
    """Entry point of the command."""
    radnode()


if __name__ == "__main__":
    main()
