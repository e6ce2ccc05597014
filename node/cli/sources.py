"""Who may send, and who tried."""

import typer

from node.cli.shown import DEFAULT_CONFIG, ConfigFile, console, told

commands = typer.Typer()


@commands.command()
def sources(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Show who sent and who was rejected, and the settings that let in whom they do not list."""
    from node import app
    from node.check import unlisted
    from node.settings import load

    with told():
        settings = load(config)
        catalog = app.open_storage(settings).catalog
        visitors, rejections = catalog.visitors(), catalog.rejections()
        console.print(unlisted.table(visitors, rejections))
        seen = visitors, rejections, settings.sources, settings.node.ae_title
        wanted = unlisted.suggestion(*seen)
        mistakes = unlisted.mistaken(*seen)
    for mistake in mistakes:
        console.print(mistake, style="yellow", markup=False, highlight=False, soft_wrap=True)
    if not wanted:
        return
    if not settings.sources:
        console.print("The settings list no sources: everybody may send. To let in only these:\n")
    elif settings.receive.learning:
        console.print("receive.learning is on: everybody may send. To list those who are not:\n")
    else:
        console.print("To let in whom the settings do not list (look at each first):\n")
    console.print(wanted, markup=False, highlight=False, soft_wrap=True)
