"""Thousands of short associations with a receiver process, and what they leave behind in it."""

import itertools
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from tests.node_process import MIB, ReceiverProcess, wait_for
from tests.outbound import ct_slice
from tests.receiver import encoded
from tests.wire import ABORT, P_DATA_TF, Wire, pdu, pdv, store_rq

SETTINGS: Final = "maximum_associations = 50"

_WARM: Final = 100  # associations before anything is measured: caches and pools fill up
_EVERY: Final = 100  # associations between two looks
_AT_ONCE: Final = 4
_SYNCS: Final = 2 * _AT_ONCE  # threads that sync files; each begins when it is first needed


@dataclass
class Figures:
    """What was seen; memory in octets, times in seconds."""

    kinds: Counter[str] = field(default_factory=Counter)
    stored: list[str] = field(default_factory=list)
    longest_s: float = 0.0
    resident: list[tuple[int, int]] = field(default_factory=list)
    threads: tuple[int, int] = (0, 0)
    most_threads: int = 0
    descriptors: tuple[int, int] = (0, 0)
    peak: int = 0

    @property
    def slope(self) -> float:
        """Octets that memory grew by for each association: a line through the second half."""
        half = self.resident[len(self.resident) // 2 :]
        if len(half) < 2:
            return 0.0
        mean_x = sum(x for x, _ in half) / len(half)
        mean_y = sum(y for _, y in half) / len(half)
        spread = sum((x - mean_x) ** 2 for x, _ in half)
        return sum((x - mean_x) * (y - mean_y) for x, y in half) / spread

    def told(self) -> str:
        """Return the figures in one paragraph."""
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.kinds.items()))
        first, last = self.resident[0][1], self.resident[-1][1]
        return (
            f"soak: {self.kinds.total()} associations ({kinds}), {len(self.stored)} stored\n"
            f"RSS {first / MIB:.1f} -> {last / MIB:.1f} MiB, peak {self.peak / MIB:.1f} MiB, "
            f"slope {self.slope * 1000 / 1024:.1f} KiB for 1000 associations\n"
            f"threads {self.threads[0]} -> {self.threads[1]}, at most {self.most_threads}, "
            f"descriptors {self.descriptors[0]} -> {self.descriptors[1]}; "
            f"longest wait for an answer {self.longest_s:.2f} s"
        )


class _Peer:
    """One association with the receiver, whose answers are timed."""

    def __init__(self, port: int, rng: random.Random) -> None:
        self.wire = Wire(port)
        self.rng = rng
        self.longest_s = 0.0
        self.stored: list[str] = []

    def timed(self, ask: Callable[[], object]) -> None:
        """Note how long an answer takes."""
        started = time.monotonic()
        ask()
        self.longest_s = max(self.longest_s, time.monotonic() - started)

    def echoes(self) -> None:
        """Ask for a C-ECHO or a few."""
        self.timed(self.wire.associate)
        for _ in range(self.rng.randrange(1, 4)):
            self.timed(self.wire.echo)
        self.timed(self.wire.release)

    def stores(self) -> None:
        """Send an instance or a few."""
        self.timed(self.wire.associate)
        for _ in range(self.rng.randrange(1, 4)):
            self._store()
        self.timed(self.wire.release)

    def stores_and_aborts(self) -> None:
        """Send an instance, and then an abort."""
        self.timed(self.wire.associate)
        self._store()
        self.wire.send(pdu(ABORT, bytes(4)))

    def breaks_off(self) -> None:
        """Send half an instance, large enough for a file of its own, and then nothing."""
        self.timed(self.wire.associate)
        size = self.rng.choice((1000, 1_500_000))
        self.wire.send(pdu(P_DATA_TF, pdv(1, 3, store_rq("1.2.840.10008.5.1.4.1.1.2", "1.2.3"))))
        for _ in range(0, size, 50_000):
            self.wire.send(pdu(P_DATA_TF, pdv(1, 0, bytes(50_000))))

    def connects(self) -> None:
        """Connect and leave, as a load balancer does."""

    def resets(self) -> None:
        """Connect and leave rudely."""
        linger = struct.pack("ii", 1, 0)
        self.wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    def _store(self) -> None:
        ds = ct_slice(self.rng.randrange(4))
        ds.SOPInstanceUID = f"2.25.{self.rng.getrandbits(100)}"
        ds.SeriesInstanceUID = f"1.2.826.0.1.3680043.9.9999.8.{self.rng.randrange(100)}"
        started = time.monotonic()
        assert self.wire.store(ds.SOPInstanceUID, [encoded(ds)]) == 0
        self.longest_s = max(self.longest_s, time.monotonic() - started)
        self.stored.append(str(ds.SOPInstanceUID))


_KINDS: Final[dict[Callable[[_Peer], None], int]] = {
    _Peer.echoes: 40,
    _Peer.stores: 25,
    _Peer.stores_and_aborts: 10,
    _Peer.breaks_off: 5,
    _Peer.connects: 15,
    _Peer.resets: 5,
}


def _one(port: int, number: int, figures: Figures, lock: threading.Lock) -> None:
    rng = random.Random(number)  # noqa: S311 - associations to be had again, not secrets
    kind = rng.choices(list(_KINDS), list(_KINDS.values()))[0]
    peer = _Peer(port, rng)
    with peer.wire:
        kind(peer)
    with lock:
        figures.kinds[kind.__name__] += 1
        figures.stored += peer.stored
        figures.longest_s = max(figures.longest_s, peer.longest_s)


def _round(port: int, numbers: Iterator[int], figures: Figures) -> None:
    lock = threading.Lock()
    failed: list[BaseException] = []

    def several() -> None:
        try:
            for _ in range(_EVERY // _AT_ONCE):
                with lock:
                    number = next(numbers)
                _one(port, number, figures, lock)
        except (OSError, AssertionError) as error:
            failed.append(error)

    workers = [threading.Thread(target=several) for _ in range(_AT_ONCE)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failed:
        raise failed[0]


def _quiet(receiver: ReceiverProcess) -> tuple[int, int]:
    """Return threads and descriptors once no connection is left."""
    wait_for(lambda: receiver.connections() == 0, "the last connection to end")
    return receiver.threads, receiver.descriptors


def run(
    receiver: ReceiverProcess, associations: int, each: Callable[[Figures], None] = lambda _: None
) -> Figures:
    """Open so many associations after a warm-up; return what was seen."""
    figures, numbers = Figures(), itertools.count()
    for _ in range(_WARM // _EVERY):
        _round(receiver.port, numbers, Figures())
    before = _quiet(receiver)
    receiver.forget_peak()
    figures.resident.append((0, receiver.resident))
    while figures.kinds.total() < associations:
        _round(receiver.port, numbers, figures)
        figures.most_threads = max(figures.most_threads, receiver.threads)
        figures.resident.append((figures.kinds.total(), receiver.resident))
        each(figures)
    after = _quiet(receiver)
    figures.threads = before[0], after[0]
    figures.descriptors = before[1], after[1]
    figures.peak = receiver.peak
    return figures


def judged(receiver: ReceiverProcess, figures: Figures, growth: int) -> None:
    """Check that nothing has grown, and that what was acknowledged is there."""
    assert figures.threads[1] <= figures.threads[0] + _SYNCS, figures.told()
    # Three threads an association, and some of the last round may be on their way out.
    assert figures.most_threads <= figures.threads[0] + _SYNCS + 6 * _AT_ONCE, figures.told()
    assert figures.descriptors[1] <= figures.descriptors[0], figures.told()
    assert figures.peak - figures.resident[0][1] < growth, figures.told()
    missing = [uid for uid in figures.stored if receiver.catalog.instances.get(uid) is None]
    assert not missing
    assert not list((receiver.data / "incoming").glob("*"))
    assert "Traceback" not in receiver.log()
