"""A process that decodes for another one, until that one is gone: ``-m ... SOCKET PARENT``.

It is handed a path and an open file, writes what it decoded into that, and answers in one line of
JSON. A crash, a panic, an endless loop and a memory bomb end here, and cost one image. It imports
no more than it needs to decode.
"""

import contextlib
import ctypes
import json
import math
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydicom import dcmread
from pydicom.uid import UID

from radnet.errors import UndecodableError
from radnet.volume import jpeg_extended
from radnet.volume.headers import quiet_headers
from radnet.volume.pixels import stored_values
from radnet.volume.plain import write_plain

LONGEST_LINE: Final = 1 << 16
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)
_KILLED_FIRST: Final = "500"  # of 1000: where memory runs out, the kernel ends us before a node


def stay_with_parent(parent: int) -> None:
    """End by SIGKILL as soon as `parent` does, even within a decoder that never returns."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(_KILLED_FIRST)
    if os.getppid() != parent:
        sys.exit(0)


def limit(cpu_s: int, memory: int) -> None:
    """Let the kernel end this process after `cpu_s` more seconds of processor time.

    Parameters
    ----------
    memory
        Octets of address space beyond what is in use now.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    until = math.ceil(used.ru_utime + used.ru_stime) + cpu_s
    resource.setrlimit(resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        size = pages * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))


def serve(channel: socket.socket) -> None:
    """Answer requests until the other end of `channel` is closed."""
    while True:
        line, descriptors, _, _ = socket.recv_fds(channel, LONGEST_LINE, 1)
        while line and not line.endswith(b"\n"):
            line += channel.recv(LONGEST_LINE)
        if not line:
            return
        answer = _answered(line, descriptors[0])
        for descriptor in descriptors:
            os.close(descriptor)
        channel.sendall(json.dumps(answer).encode() + b"\n")
        if answer.get("last"):
            return


def _answered(line: bytes, descriptor: int) -> dict[str, Any]:
    """Return the answer to a request; ``last`` where this process is not fit for another one."""
    try:
        return _done(json.loads(line), descriptor)
    except UndecodableError as error:
        return {"error": str(error)}
    except OSError as error:
        return {"error": type(error).__name__, "errno": error.errno}
    except Exception as error:  # noqa: BLE001 - whatever a decoder raises is the answer
        return {"error": type(error).__name__}
    except BaseException as error:  # noqa: BLE001 - a panic: nobody knows what it left behind
        return {"error": type(error).__name__, "last": True}


def _done(request: dict[str, Any], descriptor: int) -> dict[str, Any]:
    limit(request["cpu_s"], request["memory"])
    if request["syntax"]:
        with os.fdopen(os.dup(descriptor), "wb") as out:
            return {"decoded": write_plain(Path(request["path"]), out, UID(request["syntax"]))}
    at, images = 0, []
    for path, octets in zip(request["paths"], request["octets"], strict=True):
        images.append(_decoded(Path(path), descriptor, at, octets))
        at += octets
    return {"images": images}


def _decoded(path: Path, descriptor: int, at: int, octets: int) -> dict[str, Any]:
    """Decode one file into its place; written, for each page that is mapped is a fault first."""
    with quiet_headers():
        array = np.ascontiguousarray(stored_values(dcmread(path)))
    if array.nbytes > octets:
        raise UndecodableError("more pixels than the header promised")
    values = array.reshape(-1).view(np.uint8).data
    while values:
        written = os.pwrite(descriptor, values, at)
        values, at = values[written:], at + written
    return {"shape": array.shape, "dtype": array.dtype.str}


def main() -> None:
    """Serve the process that started this one."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent; it closes the socket
    stay_with_parent(int(sys.argv[2]))
    jpeg_extended.teach()
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        serve(channel)


if __name__ == "__main__":
    main()
