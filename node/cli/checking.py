"""`radnode check` and `radnode models`: what can be known and made before the first study."""

import typer

from node.cli.shown import (
    DEFAULT_CONFIG,
    FAILED,
    ConfigFile,
    console,
    errors,
    reported_errors,
    sound,
    usable,
)
from node.errors import DeliveryError

commands = typer.Typer()


@commands.command()
def check(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Check the settings, the rules, and every destination; nothing is changed.

    Exit status 1: a database, the audit collector or a destination does not answer. 2: the
    settings or a rule are wrong.
    """
    from node.check import readiness
    from node.deliver.build import build
    from node.settings import renamed_keys

    with reported_errors():
        settings = sound(config)
        console.print(f"{config}: {len(settings.rules)} rules, settings valid")
        for line in renamed_keys(config):
            console.print(line, style="yellow", markup=False, highlight=False, soft_wrap=True)
        failed = 0
        for line, in_order in readiness.look(settings):
            failed += not in_order
            style = None if in_order else "red"
            console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)
        for described in settings.destinations:
            try:
                answer = build(described, settings.node.ae_title).check()
                console.print(f"{described.name}: ok, {answer}", markup=False, highlight=False)
            except DeliveryError as error:
                failed += 1
                errors.print(
                    f"{described.name}: {error}", style="red", markup=False, soft_wrap=True
                )
        if failed:
            raise typer.Exit(FAILED)


@commands.command()
def models(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Make and check what runs the networks, so that the worker's next start need not wait for it.

    It is made once for each weights file, and again when OpenVINO is upgraded, and kept in the
    virtual environment if it may be written to, else in the data folder; RADNET_MODELS names
    another folder.

    Exit status 1: weights cannot be used, or it cannot be made or kept.
    """
    from node import app
    from node.networks import NetworkLoader

    with reported_errors():
        settings = usable(config)
        app.open_storage(settings)
        with errors.status("Loading weights") as status:

            def making(task: str, done: float) -> None:
                status.update(f"Making the {task}'s model of its weights, once: {done:.0%}")

            networks = NetworkLoader(settings, making).networks()
        for task, digest in (
            ("classifier", networks.classifier.digest), ("liver", networks.liver.digest),
        ):  # fmt: skip
            console.print(f"{task} weights {digest[:12]}: ready", highlight=False)
