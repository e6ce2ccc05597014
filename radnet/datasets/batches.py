"""Which samples stand in which batch: phantoms and real scans, mixed so that none dominates."""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from radnet.datasets.augment import augmented
from radnet.datasets.samples import LONGEST, Sample, SampleBatch, collate
from radnet.inference.preparation import padded_slices

REAL_SHARE: Final = 0.3  # of a batch, where the real scans are a handful
ALIKE: Final = 16  # slices by which stacks of one batch may differ


class Pool(Protocol):
    """Samples to draw from, on disk or in memory.

    Attributes
    ----------
    lengths
        Slices of each stack once it is cut and padded.
    weights
        How often each is drawn, relative to the others.
    """

    lengths: NDArray[np.int64]
    weights: NDArray[np.float64]

    def __getitem__(self, index: int) -> Sample:
        """Return one sample."""
        ...


class HeldSamples:
    """Samples in memory, each drawn as often as the others."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples
        self.lengths = np.array(
            [batch_length(sample.image.shape[0], sample.longest) for sample in samples], np.int64
        )
        self.weights = np.ones(len(samples))

    def __getitem__(self, index: int) -> Sample:
        """Return one sample."""
        return self._samples[index]


def batch_length(slices: int, longest: int = LONGEST) -> int:
    """Return how long a stack of `slices` is once it is cut to `longest` and padded."""
    return padded_slices(min(slices, longest))


def batch_size(size: int, length: int) -> int:
    """Return how many stacks of `length` slices cost no more than `size` of the usual length."""
    return max(1, min(size, size * LONGEST // length))


def batches(
    phantoms: Pool,
    real: Pool,
    size: int,
    seed: int,
    *,
    first: int = 0,
    real_share: float = REAL_SHARE,
) -> Iterator[SampleBatch]:
    """Yield batches for ever, of samples of like length; about `real_share` are real.

    Batch number i depends on `seed` and i alone; `first` is the number to begin with. Stacks that
    stay whole are long: fewer of them make a batch, so that a step takes no longer.
    """
    for number in count(first):
        rng = np.random.default_rng([seed, number])
        use_real = len(real.lengths) > 0 and (
            len(phantoms.lengths) == 0 or rng.random() < real_share
        )
        lead = _drawn(real if use_real else phantoms, None, 1, rng)
        length = int((real if use_real else phantoms).lengths[lead[0]])
        from_real = rng.random(batch_size(size, length)) < real_share
        chosen = [
            *_near(phantoms, real, length, int((~from_real).sum()), rng),
            *_near(real, phantoms, length, int(from_real.sum()), rng),
        ]
        yield collate([augmented(sample, rng) for sample in chosen])


def _near(
    pool: Pool, other: Pool, length: int, wanted: int, rng: np.random.Generator
) -> list[Sample]:
    """Return samples of `pool` of about `length` slices; of the other where it has none."""
    for source in (pool, other):
        near = np.flatnonzero(np.abs(source.lengths - length) <= ALIKE)
        if wanted and len(near):
            return [source[int(index)] for index in _drawn(source, near, wanted, rng)]
    return []


def _drawn(
    pool: Pool, among: NDArray[np.int64] | None, wanted: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    indices = np.arange(len(pool.lengths)) if among is None else among
    weights = pool.weights[indices]
    return rng.choice(indices, wanted, p=weights / weights.sum())
