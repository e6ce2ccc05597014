"""What is wrong with what the settings name: certificates, keys, weights, places, and rules."""

import os
import socket
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from node.errors import ConfigError
from node.route.review import doubts
from node.route.rules import compile_rules
from node.settings import Settings


def problems(settings: Settings, now: datetime) -> list[str]:
    """Look at what the settings name, and say what is wrong.

    Parameters
    ----------
    settings : Settings
        As they were loaded.
    now : datetime
        With its time zone: for certificates.

    Returns
    -------
    list of str
        A sentence for each; none: nothing is wrong.

    Raises
    ------
    ConfigError
        If a rule does not compile.
    """
    rules = doubts(compile_rules(settings.rules))
    return [*_ours(settings), *_of_others(settings, now), *rules]


def _ours(settings: Settings) -> Iterator[str]:
    """Look at where we listen, where we keep what comes, and what we recognise it with."""
    node, models = settings.node, settings.models
    try:
        socket.getaddrinfo(node.bind, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        yield f"node.bind: {node.bind} is no address of this machine: {error.strerror}"
    if wrong := _unusable(node.data):
        yield f"node.data: {wrong}"
    for key, path in (("classifier", models.classifier), ("liver", models.liver)):
        if path is not None and not _is(Path.is_file, path):
            yield f"models.{key}: there is no file {path}"


def _unusable(folder: Path) -> str:
    """Return why instances cannot be kept in a folder, or ''; it may have to be made."""
    there = next((path for path in (folder, *folder.parents) if _is(Path.exists, path)), folder)
    if not there.is_dir():
        return f"{there} is no folder"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"{there} cannot be written to by this user"
    return ""


def _is(what: Callable[[Path], bool], path: Path) -> bool:
    """Ask about a path; one that may not even be looked at is not there for us."""
    try:
        return what(path)
    except OSError:
        return False


def _of_others(settings: Settings, now: datetime) -> Iterator[str]:
    """Look at certificates, keys and secrets."""
    looks: list[tuple[str, Callable[[datetime], None]]] = []
    if settings.tls is not None:
        looks.append(("tls", settings.tls.examine))
    if settings.audit is not None:
        looks.append(("audit", settings.audit.tls.examine))
    looks += [(entry.name, entry.examine) for entry in settings.destinations]
    looks += [
        (source.ae_title, source.tls.examine)
        for source in settings.sources
        if source.tls is not None
    ]
    for name, look in looks:
        try:
            look(now)
        except ConfigError as error:
            yield f"{name}: {error}"
