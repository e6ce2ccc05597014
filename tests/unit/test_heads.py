"""Computed heads look as MR does, lie as patients do, and have the labels of their headers."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from radnet.datasets.heads import head_sample, head_samples, head_scan, sample_of
from radnet.datasets.samples import Sample
from radnet.datasets.seen_by_eye import UNKNOWN
from radnet.errors import DataError, UsageError
from radnet.labels.judge import judge
from radnet.labels.rules import Rules, load_rules
from radnet.labels.vocabulary import MR_SEQUENCES, Contrast, Plane, Region, Sequence
from radnet.synthesis import weighting
from radnet.synthesis.matter import Matter, relaxation
from radnet.synthesis.scan import HeadOrder, random_order, take_head
from radnet.synthesis.tissue_map import TissueMap, read_maps
from radnet.synthesis.weighting import Weighting, random_weighting, signal
from radnet.training import classify
from radnet.training.request import TrainingRequest, TrainingTask
from tests.made_head import MARKED_MM, made_head, write_heads

M = Matter
Kind = Callable[[np.random.Generator], Weighting]
SEEDS = range(12)
MAPS = (made_head(), made_head(whole=False))


def signals(
    kind: Kind, seed: int, *, flow: float = 0.5, agent_mm: float = 0.0, b_value: float = 0.0
) -> dict[Matter, float]:
    """Return the signal of each tissue of one patient under one protocol."""
    rng = np.random.default_rng(seed)
    asked = weighting.at_field(kind(rng), float(rng.choice([1.0, 1.5, 3.0])))
    asked = replace(asked, fat=1.0, flow=flow, agent_mm=agent_mm, b_value=b_value)
    found = signal(asked, relaxation(asked.field_t, asked.agent_mm, rng))
    return {matter: float(found[matter]) for matter in Matter}


@pytest.mark.parametrize(
    "kind", [weighting.t1_spin_echo, weighting.t1_prepared, weighting.t1_flair]
)
@pytest.mark.parametrize("seed", SEEDS)
def test_t1_shows_fat_white_grey_fluid(kind: Kind, seed: int) -> None:
    """The brightest first, as a radiologist knows it."""
    found = signals(kind, seed)

    assert found[M.FAT] > found[M.WHITE] > found[M.GREY] > found[M.FLUID]


@pytest.mark.parametrize("seed", SEEDS)
def test_t2_shows_fluid_oedema_grey_white_muscle(seed: int) -> None:
    """Water shines."""
    found = signals(weighting.t2_spin_echo, seed)

    assert found[M.FLUID] > found[M.GREY] > found[M.WHITE] > found[M.MUSCLE]
    assert found[M.OEDEMA] > found[M.GREY]


@pytest.mark.parametrize("seed", SEEDS)
def test_t2_flair_leaves_oedema_and_no_fluid(seed: int) -> None:
    """That is what it is made for."""
    found = signals(weighting.t2_flair, seed)

    assert found[M.OEDEMA] > found[M.GREY] > found[M.WHITE]
    assert found[M.FLUID] < 0.5 * found[M.WHITE]


@pytest.mark.parametrize("seed", SEEDS)
def test_stir_leaves_no_fat(seed: int) -> None:
    """Fluid, grey, white: all brighter than fat."""
    found = signals(weighting.stir, seed)

    assert found[M.FLUID] > found[M.WHITE]
    assert found[M.GREY] > found[M.WHITE] > 2 * found[M.FAT]


@pytest.mark.parametrize("seed", SEEDS)
def test_diffusion_weighting_leaves_no_fluid(seed: int) -> None:
    """What moves freely is gone; without a gradient it shines."""
    assert (
        signals(weighting.echo_planar, seed, b_value=1000)[M.FLUID]
        < (signals(weighting.echo_planar, seed, b_value=1000)[M.GREY])
    )
    without = signals(weighting.echo_planar, seed, b_value=0)
    assert without[M.FLUID] > without[M.GREY] > without[M.WHITE]


@pytest.mark.parametrize("kind", [weighting.t1_spin_echo, weighting.t1_flair])
@pytest.mark.parametrize("seed", SEEDS)
def test_an_agent_is_seen_in_vessels_and_lesions_and_not_in_the_brain(
    kind: Kind, seed: int
) -> None:
    """A brighter brain would teach the wrong thing."""
    without = signals(kind, seed, flow=1.0)
    given = signals(kind, seed, flow=1.0, agent_mm=1.0)
    white = without[M.WHITE] / without[M.FAT]
    gain = {m: (given[m] / given[M.FAT] - without[m] / without[M.FAT]) / white for m in Matter}

    assert all(gain[matter] > 0.25 for matter in (M.VEIN, M.PLEXUS, M.LESION, M.MUCOSA))
    assert all(abs(gain[matter]) < 0.1 for matter in (M.GREY, M.WHITE, M.FLUID, M.OEDEMA))


@pytest.fixture(scope="module")
def rules() -> Rules:
    """Return radnet's own rules."""
    return load_rules()


@pytest.mark.parametrize("seed", range(120))
def test_a_header_of_it_would_be_labelled_as_it_is(rules: Rules, seed: int) -> None:
    """One truth: the label by parameters is the label by the rules, where those speak."""
    rng = np.random.default_rng(seed)
    asked = random_weighting(rng)
    order = random_order(rng, asked)
    normal = order.affine[:3, 0] / order.spacing_mm[0]

    labels = judge(asked.facts(tuple(normal), order.spacing_mm[0], order.shape[0]), rules)

    assert labels.sequence.value == asked.sequence.value
    assert labels.plane.value in ("", order.plane.value)
    assert labels.contrast.value == ("contrast" if asked.agent_mm else "")
    assert (asked.contrast is Contrast.CONTRAST) == (asked.agent_mm > 0)


def test_every_weighting_and_both_contrasts_are_drawn() -> None:
    """T1-FLAIR, STIR and an agent are what real scans at hand do not show."""
    drawn = [random_weighting(np.random.default_rng(seed)) for seed in range(300)]

    assert {one.sequence for one in drawn} == set(Sequence) - {Sequence.CT}
    assert {one.sequence for one in drawn if one.agent_mm} == {Sequence.T1, Sequence.T1_FLAIR}


def order(plane: Plane, turned: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> HeadOrder:
    """Return a coarse stack through the whole head."""
    return HeadOrder(plane, (38, 44, 44), (6.0, 6.0, 6.0), 5.0, (0.0, 0.0, 10.0), turned)


@pytest.mark.parametrize("plane", list(Plane))
@pytest.mark.parametrize("turned", [(0.0, 0.0, 0.0), (0.2, -0.15, 0.1)])
def test_left_stays_left(plane: Plane, turned: tuple[float, float, float]) -> None:
    """What lies in the left half of the atlas lies at positive x of the patient, at its place."""
    rng = np.random.default_rng(3)
    asked = weighting.t2_spin_echo(rng)

    scan = take_head(MAPS[0], asked, order(plane, turned), rng)

    slices, rows, columns = scan.affine[:3, :3].T
    assert float(np.dot(slices, np.cross(columns, rows))) > 0
    assert float(np.linalg.det(scan.to_atlas[:3, :3])) > 0
    middle = np.argwhere(scan.matter == Matter.MUCOSA).mean(axis=0)
    there = scan.to_atlas @ scan.affine @ [*middle, 1]
    assert np.abs(there[:3] - MARKED_MM).max() < 8
    assert (scan.affine @ [*middle, 1])[0] > 20


def test_an_echo_planar_picture_loses_signal_above_the_sinuses() -> None:
    """And is stretched there; a spin echo is not."""
    rng = np.random.default_rng(5)
    stack = order(Plane.AXIAL)
    made = {
        kind: take_head(MAPS[0], replace(kind(rng), b_value=0.0), stack, np.random.default_rng(5))
        for kind in (weighting.echo_planar, weighting.t2_spin_echo)
    }

    ratio = {}
    for kind, scan in made.items():
        index = np.indices(scan.image.shape).reshape(3, -1)
        place = (scan.to_atlas @ scan.affine)[:3, :3] @ index
        place += (scan.to_atlas @ scan.affine)[:3, 3:]
        near = np.linalg.norm(place - [[0], [-45], [-22]], axis=0).reshape(scan.image.shape) < 14
        far = place[2].reshape(scan.image.shape) > 25
        white = scan.matter == Matter.WHITE
        ratio[kind] = np.median(scan.image[white & near]) / np.median(scan.image[white & far])
    assert ratio[weighting.echo_planar] < 0.85 * ratio[weighting.t2_spin_echo]


@pytest.mark.parametrize("seed", range(6))
def test_a_sample_says_what_it_was_made_by(seed: int) -> None:
    """Brain, nothing below the neck; of the face, which the map ends in, no claim."""
    scan = head_scan(MAPS, seed)
    found, again = sample_of(scan, MAPS), head_sample(MAPS, seed)

    assert np.array_equal(found.image, again.image)
    assert found.sequence == MR_SEQUENCES.index(scan.asked.sequence)
    assert found.plane == list(Plane).index(scan.order.plane)
    assert found.contrast == list(Contrast).index(scan.asked.contrast)
    assert 0 <= found.image.min() <= found.image.max() <= 1
    regions = dict(zip(Region, found.scan, strict=True))
    assert regions[Region.BRAIN] in (0, 1, UNKNOWN)
    assert regions[Region.UPPER_HEAD_NECK] in (0, UNKNOWN)
    assert all(found.scan[2:] == 0)
    assert found.slices.shape == (found.image.shape[0], len(Region))


def test_a_slice_shows_the_brain_where_it_is() -> None:
    """Of an axial stack from foot to head the neck comes first, whatever the order stored."""
    scan = take_head(
        MAPS[0], weighting.t2_spin_echo(np.random.default_rng(0)),
        HeadOrder(Plane.AXIAL, (60, 44, 44), (4.0, 6.0, 6.0), 4.0, (0.0, 0.0, 5.0)),
        np.random.default_rng(0),
    )  # fmt: skip

    found = sample_of(scan, MAPS)

    brain = found.slices[:, list(Region).index(Region.BRAIN)]
    face = found.slices[:, list(Region).index(Region.UPPER_HEAD_NECK)]
    assert brain[len(brain) // 2] == 1
    assert brain[0] == brain[-1] == 0
    assert face[5] == UNKNOWN
    assert face[-1] == 0


@pytest.mark.parametrize("to_left", [False, True])
def test_maps_are_read_as_they_lie(tmp_path: Path, to_left: bool) -> None:
    """Files whose voxels run to the right, and to the left, are the same head."""
    write_heads(tmp_path, mirrored_axis=to_left)

    head, brain = read_maps(tmp_path)

    assert (head.whole, brain.whole) == (True, False)
    for found, made in ((head, made_head()), (brain, made_head(whole=False))):
        assert found.matter.shape == made.matter.shape
        assert np.allclose(found.affine, made.affine)
    marked = np.isin(made_head(whole=False).matter, (M.WHITE, M.MUCOSA))
    assert np.mean(np.isin(brain.matter, (M.WHITE, M.VEIN, M.ARTERY, M.MUCOSA))[marked]) > 0.95
    white = made_head().matter == M.WHITE
    assert np.mean(head.matter[white] == M.WHITE) > 0.9
    assert np.mean(head.matter[made_head().matter == M.FAT] == M.FAT) > 0.8
    assert (head.matter == M.VEIN).any()


def test_a_folder_without_maps_is_told(tmp_path: Path) -> None:
    """With what was expected in it."""
    with pytest.raises(DataError, match=r"0 files \*_t1.nii.gz; expected one"):
        read_maps(tmp_path)


def test_a_map_that_lies_otherwise_is_none() -> None:
    """A mirrored map would teach mirrored heads."""
    made = made_head()
    affine = made.affine.copy()
    affine[0, 2] *= -1

    with pytest.raises(DataError, match="columns to the left"):
        TissueMap(made.matter, affine, whole=True)


def test_heads_stand_beside_the_phantoms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A third as many, of the same seed, made of the folder that was given."""
    write_heads(tmp_path)
    two = head_samples(tmp_path, 2, seed=7)
    asked: list[tuple[Path, int, int]] = []

    def heads(folder: Path, count: int, seed: int) -> list[Sample]:
        asked.append((folder, count, seed))
        return two

    monkeypatch.setattr(classify, "head_samples", heads)
    monkeypatch.setattr(classify, "phantom_samples", lambda _count, **_seed: [])
    plan = classify.ClassifierPlan("radnet10-tiny", 1, seed=0, phantoms=20, batch=2)
    _, batches = classify.start(plan, anatomy=tmp_path)
    data = batches(0)
    batch = next(data)
    data.close()  # type: ignore[attr-defined]

    assert asked == [(tmp_path, 7, classify.LEARNED_SEED)]
    assert set(batch.sequence.tolist()) <= {sample.sequence for sample in two}


def request(task: TrainingTask, anatomy: Path | None, out: Path) -> TrainingRequest:
    """Return a request for a training with heads."""
    return TrainingRequest(
        task, "p", 1, 0, 0, (), None, None, out, every_scan=False, anatomy=anatomy
    )


def test_a_liver_is_not_learned_from_heads(tmp_path: Path) -> None:
    """They show none."""
    with pytest.raises(UsageError, match="--anatomy is for the classifier"):
        request(TrainingTask.LIVER, tmp_path, tmp_path / "w").refuse_wrong()
    with pytest.raises(UsageError, match="no such file or folder"):
        request(TrainingTask.CLASSIFIER, tmp_path / "none", tmp_path / "w").refuse_wrong()


def test_weights_name_the_atlas_and_a_checkpoint_knows_it(tmp_path: Path) -> None:
    """Its notice goes with what is computed from it; another folder is another training."""
    maps, out = tmp_path / "maps", tmp_path / "w"
    maps.mkdir()
    write_heads(maps)
    without, given = (request(TrainingTask.CLASSIFIER, one, out) for one in (None, maps))

    assert "notices" not in without.record()
    assert "McConnell Brain Imaging Centre" in given.record()["notices"][0]
    assert "--anatomy DIR" in given.record()["command"]
    assert "--anatomy" not in without.sources()
    before = given.sources()["--anatomy"]
    assert before.startswith("4 files")
    (maps / "another.nii.gz").write_bytes(b"one head more")
    assert given.sources()["--anatomy"] != before
