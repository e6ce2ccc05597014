"""The reference of settings, made from their sections: `deploy/SETTINGS.md` holds what it says.

What a key means stands below it in its section, as a docstring; one that came later than the first
version ends with ``(since 0.2.0)``.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le
from pydantic.fields import FieldInfo

from node.settings.destinations import DestinationSettings, Window
from node.settings.fields import (
    AETitle,
    CertificateName,
    DatabaseUrl,
    Host,
    Name,
    Section,
    ServiceUrl,
)
from node.settings.renamed import OLD_NAMES
from node.settings.sections import Settings
from node.settings.trust import ClientTlsTable, Network

FIRST_VERSION: Final = "0.1.0"
_HEAD: Final = """\
# Settings

`make references` writes this page from the code. One TOML file, `deploy/node.toml`, with every key
commented. Unknown keys are refused; every error is named with its line. A key that had another
name in an earlier version is still read; `radnode check` tells what it is called now. Relative
paths start at the folder of the file. Passwords and tokens never stand in it, not even in a URL.
"""
_KINDS: Final[list[tuple[Any, str]]] = [
    (AETitle, "AE title: 1 to 16 characters"),
    (Name, "name: 1 to 64 letters, digits, `_`, `-`"),
    (Host, "host name or address"),
    (Window, "hours, such as `22:00-06:00`"),
    (CertificateName, "DNS name or IP address"),
    (DatabaseUrl, "`sqlite:///FILE` or `postgresql+psycopg://USER@HOST/NAME`"),
    (ServiceUrl, "URL, http or https"),
    (Network, "network, such as `10.1.2.0/24`"),
    (bool, "`true` or `false`"),
    (int, "whole number"),
    (float, "number"),
    (str, "text"),
    (Path, "path"),
]
_UNITS: Final = {"_s": "s", "_mib": "MiB", "_days": "days", "_pdu_size": "bytes"}
_SINCE: Final = re.compile(r" \(since ([0-9.]+)\)$")


@dataclass(frozen=True)
class Key:
    """A key of the settings file and all that can be words of it."""

    path: str
    kind: str
    default: str
    unit: str
    since: str
    meaning: str


def reference() -> str:
    """Return the page, Markdown."""
    lines = [_HEAD]
    for title, about, keys in tables():
        lines += [f"## {title}", about, ""]
        lines += [
            "| key | value | default | unit | since | meaning |",
            "|---|---|---|---|---|---|",
        ]
        lines += [
            f"| `{key.path}` | {key.kind} | {key.default} | {key.unit} | {key.since} "
            f"| {key.meaning} |"
            for key in keys
        ]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def tables() -> Iterator[tuple[str, str, list[Key]]]:
    """Yield title, meaning and keys of every table of the settings file, in its order."""
    for name, hint in get_type_hints(Settings, include_extras=True).items():
        if name == "destinations":
            yield from _destinations()
        elif isinstance(Settings.model_fields.get(name), FieldInfo):
            section = _section(hint)
            title = f"[[{name}]]" if get_origin(hint) is tuple else f"[{name}]"
            yield f"`{title}`", _about(section), list(_keys(name, section))
    about = "How the other side is trusted, and who we say we are; in `audit` likewise."
    yield "`tls` of a destination or a source", about, list(_keys("tls", ClientTlsTable))


def _destinations() -> Iterator[tuple[str, str, list[Key]]]:
    """Yield what every kind of destination has, then what each kind has of its own."""
    kinds: tuple[type[Section], ...] = get_args(get_args(DestinationSettings)[0])
    shared = set.intersection(*(set(kind.model_fields) for kind in kinds)) - {"kind"}
    every = [key for key in _keys("destinations", kinds[0]) if key.path.split(".")[1] in shared]
    yield "`[[destinations]]`", "Where instances go; of every kind:", every
    for kind in kinds:
        (word,) = get_args(kind.model_fields["kind"].annotation)
        own = [key for key in _keys("destinations", kind) if key.path.split(".")[1] not in shared]
        yield f'`[[destinations]]`, `kind = "{word}"`', _about(kind), own


def _section(hint: Any) -> Any:
    """Return the section that a hint is about, or None."""
    if isinstance(hint, type) and issubclass(hint, Section):
        return hint
    inner = (_section(member) for member in get_args(hint))
    return next((section for section in inner if section is not None), None)


def _about(section: type[Section]) -> str:
    text = inspect.getdoc(section) or ""
    about = text.partition("`: ")[2] or text.partition(" entry: ")[2] or text
    return about[0].upper() + about[1:]


def _keys(path: str, section: type[Section]) -> Iterator[Key]:
    """Yield the keys of a section; a table within it is one of them."""
    hints = get_type_hints(section, include_extras=True)
    meanings = meanings_of(section)
    for name, field in section.model_fields.items():
        meaning = meanings[name]
        since = _SINCE.search(meaning)
        old = OLD_NAMES.get((path, name))
        yield Key(
            f"{path}.{name}",
            _kind(hints[name]),
            _default(field),
            next((unit for end, unit in _UNITS.items() if name.endswith(end)), ""),
            since[1] if since else FIRST_VERSION,
            _SINCE.sub("", meaning) + (f" It was called `{old}`." if old else ""),
        )


def meanings_of(section: type[Section]) -> dict[str, str]:
    """Return what stands below each key of a section, its bases' included."""
    found: dict[str, str] = {}
    for kind in reversed(section.__mro__):
        if issubclass(kind, Section) and kind is not Section:
            (made,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
            body = made.body if isinstance(made, ast.ClassDef) else []
            for key, below in pairwise(body):
                if isinstance(key, ast.AnnAssign) and isinstance(below, ast.Expr):
                    found[ast.unparse(key.target)] = " ".join(
                        ast.literal_eval(below.value).split()
                    )
    return found


def _kind(hint: Any) -> str:
    """Return what kind of value a key takes, with its bounds."""
    if get_origin(hint) in (Union, UnionType) and NoneType in get_args(hint):
        (hint,) = (member for member in get_args(hint) if member is not NoneType)
    for kind, word in _KINDS:
        if hint == kind:
            return word
    if get_origin(hint) is Annotated:
        inner, *limits = get_args(hint)
        return ", ".join([_kind(inner), *(_limit(limit) for limit in limits)])
    if get_origin(hint) is Literal:
        return ", ".join(f'`"{value}"`' for value in get_args(hint))
    if get_origin(hint) is tuple:
        return f"list of: {_kind(get_args(hint)[0])}"
    return "table"


def _limit(limit: Any) -> str:
    """Return the bounds that a field has, in words."""
    words = []
    for bound in limit.metadata:
        match bound:
            case Ge(ge=least):
                words.append(f"at least {least}")
            case Gt(gt=least):
                words.append(f"over {least}")
            case Le(le=most):
                words.append(f"at most {most}")
            case _:
                words.append(f"`{bound.pattern}`")
    return ", ".join(words)


def _default(field: FieldInfo) -> str:
    value = field.default
    if field.is_required():
        return "required"
    if value is None or value in ("", ()):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, Section):
        return ""
    return f'`"{value}"`' if isinstance(value, str | Path) else f"`{value:g}`"
