"""`radnode rules`: what the rules would do, and what they may name."""

import typer

commands = typer.Typer(no_args_is_help=True, help="Try the rules, and see what they may name.")


@commands.command()
def reference() -> None:
    """Print every finding with its permitted values, and every header keyword (Markdown)."""
    from node.route.reference import reference as page

    typer.echo(page(), nl=False)
