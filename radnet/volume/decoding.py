"""Pixels of files from outside, decoded where a bad one costs itself and nothing else.

Decoders are C, C++ and Rust. On a bad file they crash, panic, loop or take all memory, and with
them goes whatever else the process was doing. So they run in a few child processes (see
`radnet.volume.decoder_child`), each image with its own limits of time and memory; a child that
ends is replaced, and the image is refused with the reason. Results come back through memory that
both processes map, so they are not copied on their way, and nothing is left of it when either
process dies.

A child is a new interpreter that runs one module, not a fork: forking a process whose libraries
run threads breaks it, and multiprocessing would import the caller's ``__main__`` once more.
"""

import atexit
import mmap
import os
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import UID

from radnet.errors import UndecodableError
from radnet.volume.decoder_pool import Children, Limits
from radnet.volume.elements import UNDECODABLE
from radnet.volume.headers import quiet_headers, read_file
from radnet.volume.pixels import is_native, promised_bytes, stored_values

_FIRST: Final = threading.Lock()

_File = tuple[Path, Dataset]
_Turn = Callable[[], NDArray[Any]]

AT_ONCE: Final = 2
"""Parts of one series that are decoded at a time."""

_MAPPED: Final = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)

FILES_PER_REQUEST: Final = 8
OCTETS_PER_REQUEST: Final = 16 << 20

ADDRESS_SPACE: Final = 256 << 20  # octets a decoder may take for any image, however small
COPIES: Final = 8  # of the decoded pixels: OpenJPEG has 4 octets for each sample, and numpy a few
CPU_S: Final = 10
CPU_S_PER_MPIXEL: Final = 1.0  # eight times what JPEG 2000 takes on a usual machine
LONGEST_CPU_S: Final = 900


DESCRIBED_BY: Final = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "FloatPixelData",
    "DoubleFloatPixelData",
    "PixelData",
)
"""All that native pixels are read by. The rest of the header was parsed before: a second time it
took as long as everything else that reading an image is."""


@dataclass(frozen=True)
class Plain:
    """A copy in a plain transfer syntax, and whether there were pixels to decode for it."""

    path: Path
    decoded: bool


def children() -> Children:
    """Return the decoding processes of this process; none is started before it is needed."""
    with _FIRST:
        return _children()


@cache
def _children() -> Children:
    pool = Children(min(4, max(2, os.cpu_count() or 1)))
    atexit.register(pool.close)
    os.register_at_fork(after_in_child=_children.cache_clear)
    return pool


def limits_for(octets: int, file_octets: int) -> Limits:
    """Return what one image may take, by its decoded size and the size of its file."""
    cpu_s = CPU_S + CPU_S_PER_MPIXEL * octets / 2e6
    memory = ADDRESS_SPACE + COPIES * octets + 3 * file_octets
    return Limits(cpu_s=min(int(cpu_s), LONGEST_CPU_S), memory=memory)


def decoded(path: Path, header: Dataset, pool: Children | None = None) -> NDArray[Any]:
    """Return the stored values of one file; see `radnet.volume.pixels.stored_values`.

    Parameters
    ----------
    header
        That of the same file. What it promises is checked before anything is allocated.

    Raises
    ------
    UndecodableError
        If it cannot be decoded within bounds; says why, and not of which instance.
    OSError
        If it cannot be read, or memory ran out elsewhere: it may be decoded later.
    """
    octets = promised_bytes(header)
    if _is_native(header) and path.stat().st_size <= octets + ADDRESS_SPACE:
        try:
            with quiet_headers():
                return stored_values(read_file(path, pixels=True, only=DESCRIBED_BY))
        except UNDECODABLE as error:
            raise UndecodableError(type(error).__name__) from error
    (array,) = _decoded_together([(path, header)], pool or children())
    return array


def _decoded_together(part: Sequence[_File], pool: Children) -> list[NDArray[Any]]:
    """Return the stored values of several files, decoded one after the other by one child."""
    sizes = [promised_bytes(header) for _, header in part]
    paths = [os.fspath(path.absolute()) for path, _ in part]
    limits = limits_for(sum(sizes), sum(path.stat().st_size for path, _ in part))
    with _shared(sum(sizes)) as file:
        request = {"paths": paths, "octets": sizes, "syntax": ""}
        answer = pool.ask(request, file.fileno(), limits)
        memory = mmap.mmap(file.fileno(), sum(sizes), flags=_MAPPED)
    arrays, at = [], 0
    for image, octets in zip(answer["images"], sizes, strict=True):
        dtype, shape = np.dtype(str(image["dtype"])), tuple(map(int, image["shape"]))
        if dtype.kind not in "iuf" or min(shape) < 1 or prod(shape) * dtype.itemsize > octets:
            raise UndecodableError("the decoder gave an impossible answer")
        arrays.append(np.frombuffer(memory, dtype, prod(shape), at).reshape(shape))
        at += octets
    return arrays


def each_decoded(paths: Sequence[Path], headers: Sequence[Dataset]) -> Iterator[NDArray[Any]]:
    """Yield the stored values of several files in their order, `AT_ONCE` decoded at a time.

    Raises
    ------
    UndecodableError, OSError
        As `decoded` does, when it is the turn of that file.
    """
    waiting = deque(_parts(list(zip(paths, headers, strict=True))))
    begun: deque[Callable[[], list[_Turn]]] = deque()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="decode") as threads:
        try:
            while waiting or begun:
                while waiting and len(begun) < 2 * AT_ONCE:
                    part = waiting.popleft()
                    # native pixels are read here, when it is their turn: to silence pydicom's
                    # warnings is nothing that two threads may do at a time
                    native = _is_native(part[0][1])
                    begin = partial(_alone if native else _begun, part)
                    begun.append(begin if native else threads.submit(begin).result)
                for turn in begun.popleft()():
                    yield turn()
        finally:
            threads.shutdown(cancel_futures=True)


def _parts(files: Sequence[_File]) -> Iterator[list[_File]]:
    """Split files into what a child is asked for at a time, so that it need not be asked often.

    Files of one part have one transfer syntax and are small; native ones are alone.
    """
    part: list[_File] = []
    size = 0
    for path, header in files:
        syntax = header.file_meta.get("TransferSyntaxUID")
        octets = 2 * int(header.get("Rows") or 0) * int(header.get("Columns") or 0)
        fits = len(part) < FILES_PER_REQUEST and size + octets <= OCTETS_PER_REQUEST
        if part and not (
            fits
            and syntax == part[0][1].file_meta.get("TransferSyntaxUID")
            and not _is_native(header)
        ):
            yield part
            part, size = [], 0
        part.append((path, header))
        size += octets
    if part:
        yield part


def _begun(part: Sequence[_File]) -> list[_Turn]:
    """Decode a part; where one of it is bad, each is decoded for itself when it is its turn."""
    try:
        return [partial(_itself, one) for one in _decoded_together(part, children())]
    except (UndecodableError, OSError):
        return _alone(part)


def _alone(part: Sequence[_File]) -> list[_Turn]:
    return [partial(decoded, path, header) for path, header in part]


def _itself(array: NDArray[Any]) -> NDArray[Any]:
    return array


@contextmanager
def plain_file(path: Path, header: Dataset, syntax: UID) -> Iterator[Plain]:
    """Lend a copy of one file in a plain transfer syntax, decoded where it is compressed.

    Everything that parses, decodes or encodes the data set runs in a decoding process: call this
    to send to a peer that refuses the syntax a file is stored in. The copy is on disk, whatever
    its size, has no name there, and is gone after the ``with`` block or the death of the process.

    Parameters
    ----------
    path : Path
        A DICOM Part 10 file.
    header
        That of the same file; only its sizes are looked at.
    syntax
        Implicit or Explicit VR Little Endian.

    Yields
    ------
    Plain

    Raises
    ------
    UndecodableError, OSError
        As `decoded` does.
    """
    size = path.stat().st_size
    octets = promised_bytes(header) if "Rows" in header else 0
    request = {"path": os.fspath(path.absolute()), "octets": octets, "syntax": str(syntax)}
    with tempfile.TemporaryFile(prefix="radnet") as out:
        answer = children().ask(request, out.fileno(), limits_for(octets, size))
        yield Plain(Path(f"/dev/fd/{out.fileno()}"), bool(answer["decoded"]))


def _is_native(header: Dataset) -> bool:
    return is_native(UID(header.file_meta.get("TransferSyntaxUID") or ""))


@contextmanager
def _shared(octets: int) -> Iterator[BinaryIO]:
    """Lend a file in memory of fixed size; a child that shrank it would end us by SIGBUS."""
    if not hasattr(os, "memfd_create"):
        with tempfile.TemporaryFile(prefix="radnet") as file:
            file.truncate(octets)
            yield file
        return
    import fcntl

    descriptor = os.memfd_create("radnet-pixels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with os.fdopen(descriptor, "r+b") as file:
        file.truncate(octets)
        fcntl.fcntl(
            descriptor,
            fcntl.F_ADD_SEALS,
            fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL,
        )
        yield file
