"""What `radnode check` says of the node's own doors: who may send, TLS, the audit collector."""

from collections.abc import Iterator

from node.errors import TransientDeliveryError
from node.settings import Settings
from node.tls import valid_until
from node.watch.reporting import collector_of


def look(settings: Settings) -> Iterator[tuple[str, bool]]:
    """Yield a line for each door, and whether it is in order."""
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


def _unnamed(settings: Settings) -> list[str]:
    """Return the destinations that nothing will ever be sent to."""
    named = {name for rule in settings.rules for name in (*rule.deliver, *rule.results_to)}
    return [one.name for one in settings.destinations if one.name not in named]


def _sources(settings: Settings) -> str:
    if not settings.sources:
        return "sources: none are listed, so anybody may send; `radnode sources` shows who does"
    if settings.receive.learning:
        return f"sources: {len(settings.sources)} listed, but receive.learning lets in anybody"
    return f"sources: {len(settings.sources)} listed, all others are rejected"
