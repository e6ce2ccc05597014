"""Fuzzed conversations held with a receiver process, and what must be true of it all the time."""

import itertools
import socket
import sqlite3
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

from pydicom.filereader import read_file_meta_info

from node.model.records import StoredInstance
from node.store.digests import data_set_sha256
from tests.acceptance.fuzz.cases import Case, made
from tests.node_process import MIB, ReceiverProcess, wait_for
from tests.outbound import ct_slice
from tests.receiver import encoded
from tests.wire import ABORT, ASSOCIATE_RJ, P_DATA_TF, ClosedError, Wire

SETTINGS: Final = "negotiation_timeout_s = 3\nnetwork_timeout_s = 5\nmaximum_associations = 50"
GROWTH: Final = 160 * MIB
"""Memory the receiver may take beyond what it has when idle."""

_PATIENCE_S: Final = 60.0
_EVERY: Final = 50  # cases between two looks
_AT_ONCE: Final = 4
_ANSWERED: Final = (1, 5)  # PDU types that are answered at once


@dataclass
class Score:
    """What came of the cases."""

    cases: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    acknowledged: set[str] = field(default_factory=set)
    longest_s: float = 0.0
    faults: list[str] = field(default_factory=list)

    def told(self, receiver: ReceiverProcess, base: int) -> str:
        """Return the figures in one paragraph."""
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.cases.items()))
        ends = ", ".join(f"{end} {count}" for end, count in sorted(self.ends.items()))
        return (
            f"fuzz: {self.cases.total()} cases ({kinds})\n"
            f"answers: {ends}; {len(self.acknowledged)} instances acknowledged\n"
            f"peak RSS {receiver.peak // MIB} MiB, idle {base // MIB} MiB; "
            f"longest case {self.longest_s:.1f} s; {len(self.faults)} faults; threads that "
            f"failed and were caught: {receiver.log().count('association failed')}"
        )


def _sent(wire: Wire, case: Case) -> bytes:
    """Hold the conversation; return all that was answered."""
    answers = bytearray()
    try:
        for step in case.steps:
            wire.send(step)
            if len(step) >= 6 and step[0] in _ANSWERED:
                (length,) = struct.unpack_from(">I", step, 2)
                if length == len(step) - 6:
                    kind, body = wire.read()
                    answers += struct.pack(">BBI", kind, 0, len(body)) + body
        if case.reset:
            linger = struct.pack("ii", 1, 0)
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            return bytes(answers)
        wire.socket.shutdown(socket.SHUT_WR)
        while piece := wire.socket.recv(1 << 16):
            answers += piece
    except TimeoutError:
        raise
    except (ClosedError, OSError):  # the receiver has hung up
        pass
    return bytes(answers)


def _pdus(answers: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 6 <= len(answers):
        kind, _, length = struct.unpack_from(">BBI", answers, at)
        yield kind, answers[at + 6 : at + 6 + length]
        at += 6 + length


def _responses(answers: bytes) -> Iterator[dict[int, bytes]]:
    """Yield the elements of each response; a peer that takes small PDUs gets it in fragments."""
    whole = b""
    for kind, body in _pdus(answers):
        at = 0
        while kind == P_DATA_TF and at + 6 <= len(body):
            length, _, control = struct.unpack_from(">IBB", body, at)
            whole += body[at + 6 : at + 4 + length]
            at += 4 + length
            if control & 2:
                yield _elements(whole)
                whole = b""


def _elements(response: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at + 8 <= len(response):
        _, number, length = struct.unpack_from("<HHI", response, at)
        found[number] = response[at + 8 : at + 8 + length]
        at += 8 + length
    return found


def _judged(score: Score, answers: bytes) -> None:
    for said in _responses(answers):
        if said.get(0x0100) == b"\x01\x80":
            taken = said.get(0x0900) == b"\0\0"
            score.ends["stored" if taken else "refused"] += 1
            if taken:
                score.acknowledged.add(said[0x1000].rstrip(b"\0").decode())
    for kind, _ in _pdus(answers):
        if kind in (ABORT, ASSOCIATE_RJ):
            score.ends["aborted" if kind == ABORT else "rejected"] += 1
    if not answers:
        score.ends["closed without a word"] += 1


def hold(receiver: ReceiverProcess, seed: int, score: Score, lock: threading.Lock) -> None:
    """Hold the conversation of one seed."""
    case = made(seed)
    started = time.monotonic()
    fault = ""
    answers = b""
    try:
        with Wire(receiver.port) as wire:
            wire.socket.settimeout(_PATIENCE_S)
            answers = _sent(wire, case)
    except TimeoutError:
        fault = f"seed {seed} ({case.kind}): no end within {_PATIENCE_S:g} s"
    with lock:
        score.cases[case.kind] += 1
        score.longest_s = max(score.longest_s, time.monotonic() - started)
        _judged(score, answers)
        if fault:
            score.faults.append(fault)


def _serves(receiver: ReceiverProcess, number: int) -> bool:
    """Tell whether a proper instance is taken."""
    ds = ct_slice(number)
    ds.SOPInstanceUID = f"1.2.826.0.1.3680043.9.9999.7.{number}"
    with Wire(receiver.port) as wire:
        try:
            taken = wire.associate().store(ds.SOPInstanceUID, [encoded(ds)]) == 0
            wire.release()
        except ClosedError:  # too many associations still open
            return False
    return taken


def look(receiver: ReceiverProcess, number: int, base: int) -> None:
    """Check that the receiver serves, is small, and has not stumbled."""
    wait_for(lambda: _serves(receiver, number), "a proper instance to be taken")
    grown = receiver.peak - base
    assert grown < GROWTH, f"grown by {grown // MIB} MiB"
    log = receiver.log()
    assert "Traceback" not in log, log[log.index("Traceback") - 200 :][:3000]


def rows(receiver: ReceiverProcess) -> list[StoredInstance]:
    """Return every instance the receiver has recorded."""
    uids = [uid for (uid,) in asked(receiver, "SELECT sop_instance_uid FROM instance")]
    found = [receiver.catalog.instances.get(uid) for uid in uids]
    return [one for one in found if one is not None]


def asked(receiver: ReceiverProcess, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query to the receiver's database."""
    with closing(sqlite3.connect(receiver.data / "catalog.sqlite")) as database:
        return database.execute(query).fetchall()


def settled(receiver: ReceiverProcess, score: Score, threads: int, descriptors: int) -> None:
    """Check what is left when all have gone: rows and files agree, nothing else remains."""
    wait_for(lambda: receiver.threads <= threads + 40, "threads to end")  # 32 of them sync files
    wait_for(lambda: receiver.descriptors <= descriptors, "connections to end")
    wait_for(lambda: not list((receiver.data / "incoming").glob("*")), "unfinished files to go")
    recorded = rows(receiver)
    for row in recorded:
        with (receiver.data / row.path).open("rb") as file:
            assert data_set_sha256(file) == row.sha256, f"{row.path} has other bytes"
        meta = read_file_meta_info(receiver.data / row.path)
        assert meta.TransferSyntaxUID == row.transfer_syntax_uid, f"{row.path} is labelled else"
    uids = {row.sop_instance_uid for row in recorded}
    assert score.acknowledged <= uids, f"lost: {score.acknowledged - uids}"
    apart = {path for (path,) in asked(receiver, "SELECT path FROM conflict")}
    files = {str(path.relative_to(receiver.data)) for path in receiver.data.rglob("*.dcm")}
    assert files == {str(row.path) for row in recorded} | apart
    still_open = "SELECT id FROM association WHERE closed_at IS NULL"
    wait_for(lambda: not asked(receiver, still_open), "every association to be recorded as ended")
    assert not score.faults, "\n".join(score.faults)


def run(
    receiver: ReceiverProcess,
    first: int,
    more: Callable[[int], bool],
    each: Callable[[Score], None] = lambda _: None,
) -> tuple[Score, int]:
    """Hold conversations from seed `first` on while `more` of them are wanted.

    Returns
    -------
    Score, int
        What came of them, and the receiver's memory before, in octets.
    """
    score, lock = Score(), threading.Lock()
    assert _serves(receiver, 0)
    threads, descriptors = receiver.threads, receiver.descriptors
    receiver.forget_peak()
    base = receiver.peak
    seeds = itertools.count(first)
    number = 0
    while more(score.cases.total()):
        workers = [
            threading.Thread(target=_several, args=(receiver, seeds, score, lock))
            for _ in range(_AT_ONCE)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        number += 1
        look(receiver, number, base)
        each(score)
    settled(receiver, score, threads, descriptors)
    return score, base


def _several(
    receiver: ReceiverProcess, seeds: Iterator[int], score: Score, lock: threading.Lock
) -> None:
    for _ in range(_EVERY // _AT_ONCE):
        with lock:
            seed = next(seeds)
        hold(receiver, seed, score, lock)
