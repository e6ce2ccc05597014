"""How an HTTP server is reached, and what its answer means for instances."""

import ssl
from dataclasses import dataclass
from typing import Any, Final

import httpx

from node.deliver.bounded_http import ANSWER_S, CONNECT_S, UnusableAnswerError
from node.deliver.destination import State
from node.errors import ConfigError, PermanentDeliveryError, TransientDeliveryError
from node.settings import tls
from node.settings.secret import Credentials

TIMEOUT: Final = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
"""Seconds; the longer one is for the peer to store what it was sent."""

_REFUSALS: Final = frozenset({400, 406, 409, 410, 413, 415, 422, 451})
"""Client errors that are about what was sent; 401, 403, 404 and 429 are about us or about now."""


@dataclass(frozen=True)
class Access:
    """How a server is trusted, and how it knows us."""

    credentials: Credentials | None = None
    trusted: tls.ClientTls | None = None

    def options(self, url: str) -> dict[str, Any]:
        """Return the arguments of an `httpx.Client` for `url`; secrets are read anew.

        Raises
        ------
        TransientDeliveryError
            If a file of ours cannot be used: to be mended here, not at the server.
        """
        options: dict[str, Any] = {"timeout": TIMEOUT}
        try:
            if url.startswith("https:"):
                options["verify"] = tls.client_context(self.trusted or tls.ClientTls())
            if self.credentials is not None:
                secret = self.credentials.secret.read()
                if self.credentials.username is None:
                    options["headers"] = {"Authorization": f"Bearer {secret}"}
                else:
                    options["auth"] = httpx.BasicAuth(self.credentials.username, secret)
        except ConfigError as error:
            raise TransientDeliveryError(str(error)) from error
        return options


OPEN: Final = Access()
"""No credentials, and for https what the operating system trusts."""


def meaning(status: int) -> State:
    """Return what an HTTP status says about the instance it answers for."""
    if 200 <= status < 300:
        return "delivered"
    return "refused" if status in _REFUSALS else "retry"


def raise_for(response: httpx.Response, what: str) -> None:
    """Raise unless the answer is a success.

    Raises
    ------
    TransientDeliveryError
        If another attempt may go better.
    PermanentDeliveryError
        If it will not.
    """
    state = meaning(response.status_code)
    if state != "delivered":
        text = f"{what}: HTTP {response.status_code} {response.reason_phrase}"
        raise (PermanentDeliveryError if state == "refused" else TransientDeliveryError)(text)


def was_connected(error: httpx.HTTPError) -> bool:
    """Tell whether the peer may have had something of the request that got no answer."""
    return not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)


def http_failure(error: httpx.HTTPError | httpx.InvalidURL) -> str:
    """Return why there was no answer, without the request's content."""
    if isinstance(error, UnusableAnswerError):
        return f"no answer: {error}"
    cause = error.__context__
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return f"no answer (TLS: {tls.tls_failure(cause)})"
        cause = cause.__context__
    return f"no answer ({type(error).__name__})"
