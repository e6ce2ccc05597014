"""What a series covers is true of all its slices: training shows them all, and pools as serving.

A long scan of an archive was once cut to 256 mm; each positive of its label became unknown, and
each negative stayed: it taught nothing but absence.
"""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
import torch

from radnet.datasets import prepared
from radnet.datasets.augment import augmented
from radnet.datasets.batches import HeldSamples, batch_size, batches
from radnet.datasets.manifest import Row
from radnet.datasets.prepared import Archive, prepare
from radnet.datasets.samples import LONGEST, WHOLE, Sample, collate
from radnet.datasets.seen_by_eye import UNKNOWN
from radnet.labels.vocabulary import Region, Sequence
from radnet.network.heads import RadNet, scan_coverage, split
from radnet.network.presets import preset
from radnet.training import classify
from tests.made_volume import made_volume

LIVER = list(Region).index(Region.LIVER)
KIDNEY = list(Region).index(Region.KIDNEY)


def series(depth: int) -> Sample:
    """Return a stack of an archive: liver and kidney somewhere in it, nothing else."""
    scan = np.zeros(len(Region), np.float32)
    scan[[LIVER, KIDNEY]] = 1
    slices = np.zeros((depth, len(Region)), np.float32)
    slices[:, scan == 1] = UNKNOWN
    image = np.zeros((depth, 96, 96), np.float16)
    return Sample(image, -1.0, 0, 0, UNKNOWN, 4.0, scan, slices)


@pytest.mark.parametrize("depth", [20, 66, 106, 125])
def test_no_positive_of_a_series_is_lost(depth: int) -> None:
    """Scans of 80 to 500 mm keep every label that their series has, whatever is done to them."""
    whole = series(depth)

    for seed in range(12):
        seen = augmented(whole, np.random.default_rng(seed))

        assert seen.image.shape[0] == depth
        assert np.array_equal(seen.scan, whole.scan)


def test_a_stack_is_cut_where_its_slices_say_where_the_organs_lie() -> None:
    """A phantom, or a scan that a person looked at, has a truth of each part of it."""
    whole = series(120)
    whole.slices[:60, LIVER], whole.slices[60:, LIVER] = 1, 0
    whole.slices[:60, KIDNEY], whole.slices[60:, KIDNEY] = 1, 0

    seen = [augmented(whole, np.random.default_rng(seed)) for seed in range(12)]

    assert whole.longest == LONGEST
    assert all(part.image.shape[0] <= LONGEST for part in seen)
    assert any(part.scan[LIVER] == 1 for part in seen)


def test_a_stack_of_over_a_metre_is_cut_and_claims_less() -> None:
    """Memory has an end; what may have been cut off is not claimed."""
    seen = augmented(series(WHOLE + 40), np.random.default_rng(0))

    assert seen.image.shape[0] == WHOLE
    assert seen.scan[LIVER] == UNKNOWN
    assert seen.scan[list(Region).index(Region.BRAIN)] == 0


@pytest.mark.parametrize(("length", "stacks"), [(24, 6), (64, 6), (128, 3), (256, 1), (512, 1)])
def test_a_batch_of_long_stacks_holds_fewer(length: int, stacks: int) -> None:
    """A step takes no longer, and no more memory, for showing whole stacks."""
    assert batch_size(6, length) == stacks


def test_batches_show_long_stacks_whole() -> None:
    """Beside short ones, which are drawn as before."""
    real = HeldSamples([series(24), series(125)])

    found = list(islice(batches(HeldSamples([]), real, 6, seed=0), 8))

    assert {tuple(batch.stack.shape[:3]) for batch in found} == {(6, 1, 24), (3, 1, 128)}
    assert all((batch.scan[:, LIVER] == 1).all() for batch in found)


def test_the_table_of_an_archive_knows_how_long_its_stacks_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches are put together by lengths before a stack is read: both must agree."""
    affine = np.diag([4.0, 5.0, 5.0, 1.0])[[2, 1, 0, 3]]
    image = np.random.default_rng(0).normal(0, 50, (100, 24, 24)).astype(np.float32)
    volume: hd.Volume = made_volume(image, affine)
    monkeypatch.setattr(prepared, "read_row", lambda _row: volume)
    row = Row(
        "1.2", "p", "c", "CT", "", "train", (), None, Sequence.CT, None, None,
        frozenset({Region.LIVER}),
    )  # fmt: skip
    covers = (row.coverage, None, frozenset[Region]())
    rows = [replace(row, series_instance_uid=f"1.2.{n}", coverage=c) for n, c in enumerate(covers)]

    archive = Archive(prepare(rows, tmp_path, lambda *_: None)[0])

    assert archive.lengths.tolist() == [104, LONGEST, LONGEST]
    assert [archive[index].longest for index in range(3)] == [WHOLE, LONGEST, LONGEST]
    assert HeldSamples([archive[index] for index in range(3)]).lengths.tolist() == [
        *archive.lengths
    ]


def test_padding_beside_a_longer_stack_says_nothing_of_a_scan() -> None:
    """Serving takes the maximum over the cells that show the scan; so does training."""
    cells = torch.tensor([[[-3.0], [-2.0], [5.0]], [[-3.0], [-2.0], [5.0]]]).expand(2, 3, 9)

    found = scan_coverage(cells, torch.tensor([2, 3]))

    assert found[:, 0].tolist() == [-2.0, 5.0]


def test_what_is_trained_is_what_is_served() -> None:
    """The coverage of a short scan in a batch is that of the scan alone, at its own cells."""
    torch.manual_seed(0)
    net = RadNet(preset("radnet10-tiny")).eval()
    rng = np.random.default_rng(0)
    short, long = (
        replace(series(depth), image=rng.random((depth, 96, 96)).astype(np.float16))
        for depth in (20, 40)
    )
    batch = collate([short, long])

    assert batch.shown.tolist() == [3, 5]
    with torch.inference_mode():
        alone = collate([short])
        cells = split(*net(alone.stack)).cells
    heads, _ = classify.predict(net, [short])
    assert torch.equal(heads.cells[:, 0], cells[:, :3].amax(dim=1))


def test_a_series_teaches_the_cell_that_shows_most() -> None:
    """Multiple-instance learning: a positive label pulls at the highest cell, and at no other."""
    batch = collate([series(32)])
    cells = torch.zeros(1, 4, 9)
    cells[0, 2, LIVER] = 1.0
    cells.requires_grad_()

    classify.masked_loss(split(torch.zeros(1, 13), cells), batch).backward()

    assert cells.grad is not None
    pulled = cells.grad[0, :, LIVER]
    assert pulled[2] < 0
    assert torch.count_nonzero(pulled) == 1
