"""What `radnode check` says of the node itself: databases, who may send, TLS, audit collector."""

import stat
from collections.abc import Callable, Iterator

from node.audit.reporting import collector_of
from node.errors import StoreError, TransientDeliveryError
from node.settings import FolderDestination, Settings
from node.settings.certificates import valid_until
from node.store.looking import look_at_catalog, look_at_pipeline


def look(settings: Settings) -> Iterator[tuple[str, bool]]:
    """Yield a line for each database and listener, and whether it is in order.

    Parameters
    ----------
    settings : Settings
        Sound ones, see `node.check.soundness`.

    Yields
    ------
    tuple of str and bool
    """
    yield _database("catalog", look_at_catalog, settings.node.catalog)
    yield _database("pipeline", look_at_pipeline, settings.node.pipeline)
    for line in _open_folders(settings):
        yield line, True
    yield _sources(settings), True
    if not settings.rules:
        yield "rules: none, so nothing that comes in is sent anywhere", True
    elif unnamed := _unnamed(settings):
        yield f"rules: none sends to {', '.join(unnamed)}", True
    if settings.tls is not None:
        until = valid_until(settings.tls.own.certificate)
        yield (
            f"tls: port {settings.tls.port}, client certificate "
            f"{settings.tls.client_certificate}, ours is valid until {until:%Y-%m-%d}",
            True,
        )
    collector = collector_of(settings)
    if collector is not None:
        try:
            collector.deliver([])
        except TransientDeliveryError as error:
            yield f"audit: {error}", False
        else:
            yield f"audit: ok, {collector}", True


def _database(name: str, look: Callable[[str], str], url: str) -> tuple[str, bool]:
    try:
        return f"{name}: {look(url)}", True
    except StoreError as error:
        return f"{name}: {error}", False


def _open_folders(settings: Settings) -> Iterator[str]:
    """Name the folders to which images of patients are copied and which everybody may read."""
    for destination in settings.destinations:
        if isinstance(destination, FolderDestination) and destination.path.is_dir():
            mode = stat.S_IMODE(destination.path.stat().st_mode)
            if mode & stat.S_IROTH:
                yield (
                    f"{destination.name}: {destination.path} has mode {mode:o}, so everybody on "
                    "this machine can read what is delivered there"
                )


def _unnamed(settings: Settings) -> list[str]:
    """Return the destinations that nothing will ever be sent to."""
    named = {name for rule in settings.rules for name in (*rule.deliver, *rule.results_to)}
    return [
        destination.name for destination in settings.destinations if destination.name not in named
    ]


def _sources(settings: Settings) -> str:
    if not settings.sources:
        return "sources: none are listed, so anybody may send; `radnode sources` shows who does"
    if settings.receive.accept_unlisted:
        return (
            f"sources: {len(settings.sources)} listed, but receive.accept_unlisted lets in anybody"
        )
    return f"sources: {len(settings.sources)} listed, all others are rejected"
