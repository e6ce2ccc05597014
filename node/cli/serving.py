"""Commands that run the node, or a part of it, until told to stop."""

import gc
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.shown import DEFAULT_CONFIG, ConfigFile, console, reported_errors, sound, usable

if TYPE_CHECKING:
    from node.supervise import CommandLine

commands = typer.Typer()


def role_command(config: Path) -> "CommandLine":
    """Return what starts a role of this node in a process of its own."""

    def command(role: str, descriptor: int) -> list[str]:
        arguments = [role, "--config", str(config), "--parent", str(descriptor)]
        # -P: a copy.py in the folder where the node was started must not run as the service
        return [sys.executable, "-P", "-m", "node.cli", *arguments]

    return command


@commands.command()
def run(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Run the whole node: receiver, worker and auditor, restarted when they die."""
    from node import app, supervise

    with reported_errors():
        settings = sound(config)
        app.open_storage(settings)
        stop = supervise.stop_on_signals()
        console.print(
            f"{settings.node.ae_title} on port {settings.node.port}, data in {settings.node.data}"
        )
        roles = ("receive", "work", "audit") if settings.audit else ("receive", "work")
        supervise.Supervisor(role_command(config), roles).run(stop)


Parent = Annotated[int | None, typer.Option("--parent", hidden=True)]


def _stopped_by(parent: int | None) -> threading.Event:
    from node import supervise

    stop = supervise.stop_on_signals()
    if parent is not None:
        supervise.stop_with_parent(parent, stop)
    return stop


@commands.command()
def receive(config: ConfigFile = DEFAULT_CONFIG, parent: Parent = None) -> None:
    """Run the Storage SCP alone."""
    from node import app

    with reported_errors():
        settings, stop = usable(config), _stopped_by(parent)
        # pynetdicom collects garbage every few connections and seconds, by walking through every
        # object: those of the code, which never go away, cost an idle node 1 % of a core.
        gc.freeze()
        app.receive(settings, stop)


@commands.command()
def audit(config: ConfigFile = DEFAULT_CONFIG, parent: Parent = None) -> None:
    """Send audit messages alone."""
    from node import app

    with reported_errors():
        app.audit(usable(config), _stopped_by(parent))


@commands.command()
def work(config: ConfigFile = DEFAULT_CONFIG, parent: Parent = None) -> None:
    """Run recognition, routing, segmentation and delivery alone."""
    from node import supervise
    from node.store.locks import executor_lock

    with reported_errors():
        settings, stop = usable(config), _stopped_by(parent)
        # Before the networks are loaded: one that waits for another to end is to cost nothing.
        with executor_lock(settings.node.data / "run" / "worker.lock", stop) as held:
            if held:
                from node import worker

                worker.work(settings, stop)
                supervise.end_at_once()  # the lock is held to the last
