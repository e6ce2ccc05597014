"""Make the next batches in another process while this one learns."""

from collections.abc import Iterator
from typing import TypeVar

from torch.utils.data import DataLoader, IterableDataset

Item = TypeVar("Item")


class _Endless(IterableDataset[Item]):
    """An iterator, seen as a data set."""

    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items

    def __iter__(self) -> Iterator[Item]:
        return self._items


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yield `items`, of which a process forked from this one keeps six ready."""
    loader: DataLoader[Item] = DataLoader(
        _Endless(items),
        batch_size=None,
        num_workers=1,
        prefetch_factor=6,
        multiprocessing_context="fork",
    )
    return iter(loader)
