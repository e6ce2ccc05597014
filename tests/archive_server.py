"""An HTTP server that stands in for a public archive, and fails where it is told to."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from tests.http_peer import serving


@dataclass
class Archive:
    """What the server holds, what it does wrong, and what it was asked.

    Attributes
    ----------
    cut
        Path to the bytes after which each of the next answers breaks off.
    busy
        Path to how many of the next answers are 503.
    etags
        Path to a digest that is told in the listing instead of the true one.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    series: list[dict[str, Any]] = field(default_factory=list)
    cut: dict[str, list[int]] = field(default_factory=dict)
    busy: dict[str, int] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    ranges: list[tuple[str, str]] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    page: int = 2  # objects in one listing
    takes_ranges: bool = True

    def listing(self, prefix: str, after: str) -> bytes:
        """Return a page of ListObjectsV2."""
        keys = sorted(key for key in self.files if key.startswith(prefix) and key > after)
        shown, rest = keys[: self.page], keys[self.page :]
        contents = "".join(
            f"<Contents><Key>{key}</Key><Size>{len(self.files[key])}</Size>"
            f"<ETag>&quot;{self.etags.get(key, digest(self.files[key]))}&quot;</ETag></Contents>"
            for key in shown
        )
        more = f"<NextContinuationToken>{shown[-1]}</NextContinuationToken>" if rest else ""
        return (
            '<?xml version="1.0"?><ListBucketResult '
            f'xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{contents}{more}</ListBucketResult>'
        ).encode()


def digest(content: bytes) -> str:
    """Return the MD5 of some bytes."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Answers for one archive; `running_archive` makes a subclass that knows which."""

    protocol_version = "HTTP/1.1"
    archive: ClassVar[Archive]

    def do_GET(self) -> None:
        """Answer a listing, a search or a file."""
        split = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(split.query).items()}
        path = split.path.strip("/")
        self.archive.asked[path] += 1
        if self.archive.busy.get(path, 0) > 0:
            self.archive.busy[path] -= 1
            self.reply(503, b"")
        elif "list-type" in query:
            after = query.get("continuation-token", "")
            self.reply(200, self.archive.listing(query.get("prefix", ""), after))
        elif path.endswith("getSeries"):
            wanted = query["Collection"]
            rows = [row for row in self.archive.series if row["Collection"] == wanted]
            self.reply(200, json.dumps(rows).encode() if rows else b"")
        else:
            self.file(query.get("SeriesInstanceUID", path))

    def file(self, path: str) -> None:
        """Answer a file, from the byte on that is asked for."""
        if path not in self.archive.files:
            self.reply(404, b"")
            return
        content = self.archive.files[path]
        told = self.headers.get("Range", "")
        if told and self.archive.takes_ranges:
            self.archive.ranges.append((path, told))
            begin = int(told.removeprefix("bytes=").rstrip("-"))
            span = f"bytes {begin}-{len(content) - 1}/{len(content)}"
            self.reply(206, content[begin:], path, {"Content-Range": span})
        else:
            self.reply(200, content, path)

    def reply(
        self, status: int, body: bytes, path: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Send an answer, or the begin of it."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.archive.cut.get(path):
            body = body[: self.archive.cut[path].pop(0)]
            self.close_connection = True
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def running_archive() -> Iterator[Archive]:
    """Serve an archive on the loopback for a ``with`` block."""
    made = Archive()
    with serving(type("ArchiveHandler", (Handler,), {"archive": made})) as made.url:
        yield made
