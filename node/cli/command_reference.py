"""The reference of commands, made from their functions: `deploy/COMMANDS.md` holds what it says.

It is read from the signatures that typer reads, not from what typer makes of them: that is another
from version to version.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo, DefaultPlaceholder, OptionInfo

from node.cli import radnode
from radnet.cli import app as radnet

_HEAD: Final = """\
# Commands

`make references` writes this page from the code; `--help` says the same of one command.
Exit status of every command: **0** done, **1** failed, **2** wrong usage or input. Where a command
says more about it, it stands below. What was asked for stands on standard output; progress,
remarks and errors on standard error.
"""
_KINDS: Final[dict[Any, str]] = {str: "text", int: "whole number", float: "number", Path: "path"}


@dataclass(frozen=True)
class Command:
    """A command by its whole name, such as ``radnode deliveries list``, and what runs it."""

    path: str
    function: Callable[..., Any] | None
    help: str


def reference() -> str:
    """Return the page, Markdown."""
    lines = [_HEAD]
    for name, program in (("radnode", radnode), ("radnet", radnet)):
        lines += [f"## {name}", ""]
        for command in commands(name, program):
            lines += _described(command)
    return "\n".join(lines).rstrip() + "\n"


def commands(path: str, program: typer.Typer) -> Iterator[Command]:
    """Yield a program, or a group of commands, and every command in it, in order of names."""
    callback = program.registered_callback
    function = callback.callback if callback is not None else None
    if function is not None or _text(program.info.help):
        yield Command(path, function, _text(program.info.help) or inspect.getdoc(function) or "")
    found: dict[str, list[Command]] = {}
    for info in program.registered_commands:
        if info.callback is not None and not info.hidden:
            name = info.name or info.callback.__name__.replace("_", "-")
            text = _text(info.help) or inspect.getdoc(info.callback) or ""
            found[name] = [Command(f"{path} {name}", info.callback, text)]
    for group in program.registered_groups:
        if group.typer_instance is not None:
            name = _text(group.name)
            inner = list(commands(f"{path} {name}".strip(), group.typer_instance))
            each = {command.path.split()[-1]: [command] for command in inner}
            found |= {name: inner} if name else each
    for name in sorted(found):
        yield from found[name]


def options_of(command: Command) -> set[str]:
    """Return every name of every option of a command, such as ``--config`` and ``-c``."""
    rows = _rows(command.function) if command.function is not None else iter(())
    return {name for row in rows for name in row.names}


def _text(value: object) -> str:
    return value if isinstance(value, str) and not isinstance(value, DefaultPlaceholder) else ""


def _described(command: Command) -> Iterator[str]:
    rows = list(_rows(command.function)) if command.function is not None else []
    arguments = "".join(f" {row.usage}" for row in rows if row.usage)
    yield f"### `{command.path}{arguments}`"
    yield command.help
    yield ""
    if rows:
        yield "| option | value | default | meaning |"
        yield "|---|---|---|---|"
        yield from (row.line for row in rows)
        yield ""


@dataclass(frozen=True)
class _Row:
    line: str
    usage: str
    names: tuple[str, ...]


def _rows(function: Callable[..., Any]) -> Iterator[_Row]:
    """Yield a row for everything that a command takes; what is hidden is not for people."""
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        kind, info = _unpacked(hints[name])
        if info is not None and not info.hidden:
            yield _row(name, kind, info, parameter.default)


def _unpacked(hint: Any) -> tuple[Any, OptionInfo | ArgumentInfo | None]:
    """Return the type and what typer is told about it."""
    if get_origin(hint) is not Annotated:
        return hint, None
    kind, *annotations = get_args(hint)
    infos = [info for info in annotations if isinstance(info, OptionInfo | ArgumentInfo)]
    return kind, infos[0] if infos else None


def _row(name: str, kind: Any, info: OptionInfo | ArgumentInfo, default: Any) -> _Row:
    required = default is inspect.Parameter.empty
    meaning = info.help or ""
    if info.envvar:
        meaning += f" Environment: `{info.envvar}`."
    if isinstance(info, ArgumentInfo):
        names: tuple[str, ...] = (info.metavar or name.upper(),)
        usage = names[0] if required else f"[{names[0]}]"
    else:
        names, usage = _names(name, kind, info), ""
    label = ", ".join(f"`{written}`" for written in names)
    value = _value(kind, info)
    cells = (label, value, "required" if required else _default(default), meaning)
    return _Row(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |", usage, names
    )


def _names(name: str, kind: Any, info: OptionInfo) -> tuple[str, ...]:
    # Behind Annotated, typer.Option has the first name where a default would stand.
    first = () if info.default in (None, ...) else (str(info.default),)
    if given := (*first, *(info.param_decls or ())):
        return given
    option = f"--{name.replace('_', '-')}"
    return (option, f"--no-{option[2:]}") if kind is bool else (option,)


def _value(kind: Any, info: OptionInfo | ArgumentInfo) -> str:
    """Return what kind of value it takes, with its bounds."""
    if get_origin(kind) in (Union, UnionType):
        (kind,) = (member for member in get_args(kind) if member is not NoneType)
    if get_origin(kind) is list:
        (inner,) = get_args(kind)
        return f"{_value(inner, info)}; may be repeated"
    if kind is bool:
        return "flag"
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return ", ".join(f"`{member}`" for member in kind)
    bounds = {"at least": info.min, "at most": info.max}
    limits = [f"{word} {value:g}" for word, value in bounds.items() if value is not None]
    return ", ".join([info.metavar or _KINDS[kind], *limits])


def _default(default: Any) -> str:
    if default is None or default is False or default == "":
        return ""
    return f"`{default}`"
