"""Requests of one HTTP server, each with an answer that is bounded in time and in size.

httpx bounds each read from the connection: a server that sends one octet a second holds it for
ever. It takes a body of any length, and three megabytes of gzip for three gigabytes. Here a clock
runs from the beginning of a request; when its time is over the connection is cut. A body is read
and inflated up to a limit.
"""

import socket
import threading
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

import httpx

ANSWER_S: Final = 120.0
"""Seconds for a server to answer once it has a request, all of the answer included."""

CONNECT_S: Final = 15.0
LEAST_PACE: Final = 4096
"""Octets a second of a request that a server must take."""

LARGEST_ANSWER: Final = 1 << 20  # octets
_AUTOMATIC: Final = 32 + zlib.MAX_WBITS
"""Tells zlib to find out whether it is gzip or zlib."""


class UnusableAnswerError(httpx.HTTPError):
    """An answer that is too long, or comes in a coding that nobody asked for."""


class BoundedHttp:
    """Requests over one client, their answers bounded; a context manager that closes it.

    Parameters
    ----------
    client : httpx.Client
    answer_s : float
        How long an answer may take, in seconds, once the server has the whole request.
    """

    def __init__(self, client: httpx.Client, answer_s: float = ANSWER_S) -> None:
        self._client = client
        self._answer_s = answer_s
        self._stream: Any = None
        self._clock = _Clock(self._cut)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def ask(
        self,
        method: str,
        url: str,
        body: bytes | Iterable[bytes] = b"",
        headers: Mapping[str, str] | None = None,
        *,
        most: int = LARGEST_ANSWER,
        follow: bool = False,
    ) -> httpx.Response:
        """Make one request; return the answer, all of it.

        Parameters
        ----------
        body
            With `Content-Length` in `headers` where it is an iterable.
        most : int
            Octets that an answer may have.
        follow : bool
            Whether to follow a redirection.

        Raises
        ------
        httpx.HTTPError
            If there is no answer, none in time, or one that is too long.
        OSError
            If `body` cannot be read.
        """
        asked = {"Accept-Encoding": "identity"} | dict(headers or {})
        octets = int(asked.get("Content-Length", 0)) or (
            len(body) if isinstance(body, bytes) else 0
        )
        self._clock.start(CONNECT_S + self._answer_s + octets / LEAST_PACE)
        try:
            with self._client.stream(
                method,
                url,
                content=body or None,
                headers=asked,
                follow_redirects=follow,
                extensions={"trace": self._trace},
            ) as response:
                content = _body(response, most)
        except httpx.HTTPError as error:
            if self._clock.over:
                raise httpx.ReadTimeout("it took too long") from error
            raise
        finally:
            self._clock.stop()
        if self._clock.over:  # an answer without a length ends where the connection does
            raise httpx.ReadTimeout("it took too long")
        kept = {"Content-Type": response.headers.get("Content-Type", "")}
        return httpx.Response(response.status_code, headers=kept, content=content)

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Know the connection that is used, and when a request is all out (httpcore's events)."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._stream = info["return_value"]
        elif event.endswith("send_request_body.complete"):
            self._clock.start(self._answer_s)

    def _cut(self) -> None:
        wire = self._stream.get_extra_info("socket") if self._stream is not None else None
        with suppress(OSError):  # it has ended by itself
            if wire is not None:
                socket.socket.shutdown(wire, socket.SHUT_RDWR)


class _Clock:
    """Does something when a time is over, unless it is stopped or started anew before."""

    def __init__(self, end: Callable[[], None]) -> None:
        self._end = end
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self.over = False

    def start(self, seconds: float) -> None:
        timer = threading.Timer(seconds, lambda: self._ring(timer))
        timer.daemon = True
        with self._lock:
            self._replace(timer)
            self.over = False
        timer.start()

    def stop(self) -> None:
        with self._lock:
            self._replace(None)

    def _replace(self, timer: threading.Timer | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = timer

    def _ring(self, timer: threading.Timer) -> None:
        with self._lock:
            if timer is self._timer:  # nobody has stopped it since
                self.over = True
                self._end()


def _body(response: httpx.Response, most: int) -> bytes:
    """Return the body; that of a refusal only where it is usable.

    Raises
    ------
    httpx.HTTPError
        If it is longer than `most`, as it comes or inflated, or in an unknown coding.
    """
    try:
        return _inflated(_raw(response, most), response.headers.get("Content-Encoding", ""), most)
    except UnusableAnswerError:
        if response.is_success:
            raise
        return b""  # what counts is the status


def _raw(response: httpx.Response, most: int) -> bytes:
    raw = bytearray()
    for piece in response.iter_raw():
        raw += piece
        if len(raw) > most:
            raise UnusableAnswerError(f"an answer of over {most} octets")
    return bytes(raw)


def _inflated(raw: bytes, coding: str, most: int) -> bytes:
    if coding.strip().lower() in ("", "identity"):
        return raw
    if coding.strip().lower() not in ("gzip", "x-gzip", "deflate"):
        raise UnusableAnswerError(f"an answer in a coding that was not asked for: {coding[:20]!r}")
    inflated = bytearray()
    try:
        while raw and len(inflated) <= most:
            member = zlib.decompressobj(_AUTOMATIC)
            inflated += member.decompress(raw, most + 1 - len(inflated))
            raw = member.unused_data
    except zlib.error as error:
        raise UnusableAnswerError("an answer that cannot be inflated") from error
    if len(inflated) > most:
        raise UnusableAnswerError(f"an answer of over {most} octets, inflated")
    return bytes(inflated)
