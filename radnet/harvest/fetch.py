"""Files over HTTP: whole, checked and resumed where a connection broke.

One of the two files of radnet that speak to a network (the other is `radnet.harvest.sources`). A
file has its name only when its size and its digest are what its source said; until then it is
``NAME.part``, and the next attempt, of this or of another day, asks for the rest of it alone.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from xml.etree import ElementTree

import httpx

from radnet.errors import FetchError
from radnet.harvest.durable import publish

TIMEOUT: Final = httpx.Timeout(60.0, connect=20.0)
TRIES: Final = 6  # attempts in a row that bring nothing
LONGEST_WAIT_S: Final = 60.0
MISMATCHES: Final = 2  # downloads whose digest is wrong before we stop believing the source
AT_ONCE: Final = 6  # files of a series
LATER: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
S3: Final = "{http://s3.amazonaws.com/doc/2006-03-01/}"

Wait = Callable[[float], None]
Tick = Callable[[int], None]  # bytes that came


@dataclass(frozen=True)
class WantedFile:
    """One file, and what its source says of it; size 0 and digest '' where it does not."""

    url: str
    path: Path
    size: int = 0
    md5: str = ""


@dataclass(frozen=True)
class Stored:
    """One object of a bucket."""

    key: str
    size: int
    md5: str


class Fetcher:
    """Gets files; use it in a ``with`` block.

    Parameters
    ----------
    wait
        Sleeps so many seconds between two attempts.
    tick
        Called with the number of bytes that came, from several threads.
    """

    def __init__(self, wait: Wait, tick: Tick = lambda _: None) -> None:
        self._client = httpx.Client(timeout=TIMEOUT, follow_redirects=True)
        self._wait = wait
        self._tick = tick

    def __enter__(self) -> Self:
        """Return the fetcher."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close its connections."""
        self._client.close()

    def files(self, wanted: Sequence[WantedFile]) -> None:
        """Get several files, some at once; the first that fails ends it.

        Parameters
        ----------
        wanted : sequence of WantedFile
            Address, path, size and digest of each.

        Raises
        ------
        FetchError
            As `file` does.
        """
        with ThreadPoolExecutor(AT_ONCE) as pool:
            waiting = [pool.submit(self.file, one) for one in wanted]
            try:
                for future in waiting:
                    future.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def file(self, wanted: WantedFile) -> None:
        """Get one file, unless it is there already.

        Parameters
        ----------
        wanted : WantedFile
            Address, path, size and digest.

        Raises
        ------
        FetchError
            If it cannot be had after several attempts, or has another digest than promised.
        """
        if wanted.path.is_file() and wanted.size in (0, wanted.path.stat().st_size):
            return
        wanted.path.parent.mkdir(parents=True, exist_ok=True)
        part = wanted.path.with_name(f"{wanted.path.name}.part")
        vain, wrong = 0, 0
        while True:
            before = part.stat().st_size if part.is_file() else 0
            trouble = self._more(wanted, part)
            if not trouble:
                found = md5(part) if wanted.md5 else ""
                if found == wanted.md5:
                    publish(part, wanted.path)
                    return
                part.unlink()
                wrong += 1
                trouble = f"MD5 {found}, expected {wanted.md5}"
                if wrong >= MISMATCHES:
                    raise FetchError(f"{wanted.url}: {trouble}, twice; nothing was kept")
            gained = part.is_file() and part.stat().st_size > before
            vain = 0 if gained else vain + 1
            if vain >= TRIES:
                raise FetchError(
                    f"{wanted.url}: {trouble}, {TRIES} times; the same command goes on later"
                )
            self._wait(min(LONGEST_WAIT_S, 2.0**vain))

    def _more(self, wanted: WantedFile, part: Path) -> str:
        """Append what is missing to `part`; return what went wrong, '' when it is whole."""
        have = part.stat().st_size if part.is_file() else 0
        if wanted.size and have == wanted.size:
            return ""
        if have > wanted.size > 0 or not wanted.md5:  # without a digest a seam cannot be checked
            part.unlink(missing_ok=True)
            have = 0
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        try:
            with self._client.stream("GET", wanted.url, headers=headers) as answer:
                if trouble := _refused(wanted.url, answer):
                    return trouble
                self._write(answer, part, _resumed(answer, have))
                promised = wanted.size or _whole_size(answer)
        except httpx.HTTPError as error:
            return _told(error)
        size = part.stat().st_size
        if size > promised > 0:
            part.unlink()
        return "" if size == promised or not promised else f"{size} bytes, expected {promised}"

    def _write(self, answer: httpx.Response, part: Path, resumed: bool) -> None:
        """Write what comes as it comes, in no larger pieces: they are lost when it breaks off."""
        with part.open("ab" if resumed else "wb") as file:
            for chunk in answer.iter_raw():
                file.write(chunk)
                self._tick(len(chunk))
            file.flush()
            os.fsync(file.fileno())

    def json(self, url: str, parameters: dict[str, str]) -> list[dict[str, object]]:
        """Return the objects of a JSON list.

        Parameters
        ----------
        url : str
            Without its query.
        parameters : dict of str to str
            Its query.

        Returns
        -------
        list of dict

        Raises
        ------
        FetchError
            If the address cannot be reached or answers something else.
        """
        answer = self._page(url, parameters)
        try:
            found = answer.json() if answer.content.strip() else []
        except ValueError as error:
            raise FetchError(f"{answer.url}: no JSON in the answer") from error
        if not isinstance(found, list):
            raise FetchError(f"{answer.url}: {type(found).__name__}, expected a list")
        return found

    def listing(self, endpoint: str, prefix: str) -> Iterator[Stored]:
        """Yield the objects of a public S3 bucket below a prefix (ListObjectsV2).

        The ETag of an object that was stored in one piece is its MD5.

        Parameters
        ----------
        endpoint : str
            Of the bucket.
        prefix : str
            Keys that begin with it.

        Yields
        ------
        Stored

        Raises
        ------
        FetchError
            If the bucket cannot be reached or answers something else.
        """
        parameters = {"list-type": "2", "prefix": prefix}
        while True:
            answer = self._page(f"{endpoint.rstrip('/')}/", parameters)
            try:
                tree = ElementTree.fromstring(answer.content)  # noqa: S314 (expat >= 2.4.1)
            except ElementTree.ParseError as error:
                raise FetchError(f"{answer.url}: no listing of a bucket") from error
            for one in tree.iter(f"{S3}Contents"):
                tag = one.findtext(f"{S3}ETag", "").strip('"')
                yield Stored(
                    one.findtext(f"{S3}Key", ""),
                    int(one.findtext(f"{S3}Size", "0")),
                    tag if len(tag) == 32 else "",
                )
            following = tree.findtext(f"{S3}NextContinuationToken")
            if not following:
                return
            parameters["continuation-token"] = following

    def _page(self, url: str, parameters: dict[str, str]) -> httpx.Response:
        """Return a whole answer, after several attempts where the source asks for patience."""
        trouble = ""
        for attempt in range(TRIES):
            try:
                answer = self._client.get(url, params=parameters)
            except httpx.HTTPError as error:
                trouble = _told(error)
            else:
                if not (trouble := _refused(str(answer.url), answer)):
                    return answer
            self._wait(min(LONGEST_WAIT_S, 2.0**attempt))
        raise FetchError(f"{url}: {trouble}, {TRIES} times; is there a way to it from here?")


def _refused(url: str, answer: httpx.Response) -> str:
    """Return why to try again later, '' where there is an answer; raise where that is no use."""
    if answer.status_code in LATER or answer.status_code == 416:
        return f"HTTP {answer.status_code}"
    if answer.status_code >= 400:
        raise FetchError(f"{url}: HTTP {answer.status_code} {answer.reason_phrase}")
    return ""


def _resumed(answer: httpx.Response, have: int) -> bool:
    """Tell whether the answer goes on where we stand; one that does not begins anew."""
    begins = answer.headers.get("Content-Range", "").removeprefix("bytes ").split("-")[0]
    return answer.status_code == 206 and begins == str(have)


def _whole_size(answer: httpx.Response) -> int:
    """Return the size of the whole file, 0 where the answer does not tell."""
    whole = answer.headers.get("Content-Range", "").rpartition("/")[2]
    if answer.status_code != 206:
        whole = answer.headers.get("Content-Length", "")
    return int(whole) if whole.isdigit() else 0


def _told(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip()


def md5(path: Path) -> str:
    """Return the MD5 of a file, as archives publish it: against accidents, not against malice."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()
