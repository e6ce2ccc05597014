"""Make the next batches in a thread while this one learns.

No process is forked: one that has threads, as those of OpenVINO and of BLAS, may not survive it.
What makes a batch spends its time in numpy, scipy and torch, which let other threads run.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

Item = TypeVar("Item")
READY: Final = 6  # items made ahead


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yield `items`, of which a thread keeps six ready; what it raises is raised here."""
    end = object()
    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
    try:
        made: deque[Future[Any]] = deque(pool.submit(next, items, end) for _ in range(READY))
        while True:
            item = made.popleft().result()
            if item is end:
                return
            made.append(pool.submit(next, items, end))
            yield item
    finally:
        pool.shutdown(cancel_futures=True)
