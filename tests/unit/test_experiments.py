"""The poster's Tables 2 and 3: its own figures beside ours, and what a mean would hide."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import typer
from rich.console import Console

from radnet.cli.experiment import PRESET, chosen, further_table, poster_table
from radnet.datasets.liver_cases import LEAST_ML, VOXEL_ML, Case
from radnet.errors import DataError
from radnet.evaluation.liver_score import Score
from radnet.training import experiments, transfer, trials
from radnet.training.arms import FRACTION, FREEZE, POSTER, Arm, ArmScores, Poster, Trial
from radnet.training.trials import Plans


def row(name: str, scores: Sequence[Score], seeds: int = 1) -> ArmScores:
    """Return the row of a table."""
    (arm,) = (one for one in (*FREEZE, *FRACTION) if one.name == name)
    many = len(scores) // seeds
    names = tuple(f"case {number}" for number in range(many))
    told = {"steps": 9, "skipped": 0, "first_loss": 1.5, "loss": None, "seconds": 2.0}
    return ArmScores(
        arm,
        tuple(
            Trial(name, at, 3, names, names, tuple(scores[at * many : (at + 1) * many]), told)
            for at in range(seeds)
        ),
    )


def printed(rows: list[ArmScores]) -> str:
    """Return both tables as they are printed where the output is no terminal."""
    console = Console(width=130)
    with console.capture() as shown:
        console.print(poster_table("Table 2: frozen part", rows))
        console.print(further_table("Table 2: frozen part", rows))
    return shown.get()


def last_cells(told: str) -> list[str]:
    """Return the cells of the last row."""
    return [cell.strip() for cell in told.splitlines()[-2].split("│")][1:-1]


@pytest.mark.parametrize("arm", [*FREEZE, *FRACTION], ids=lambda arm: arm.name)
def test_every_row_has_the_posters_figures(arm: Arm) -> None:
    """All eleven rows of the poster can be read (field/poster-ocr.txt)."""
    figures = POSTER[arm.name]

    assert all(0 < figure < 100 for figure in vars(figures).values())
    assert figures.mean_dice >= figures.mean_iou
    assert figures.median_dice >= figures.median_iou


def test_figures_of_the_poster_stand_beside_ours() -> None:
    """The row that shows that the poster's order is not the expected one."""
    assert POSTER["block 2"] == Poster(84.3, 76.8, 90.3, 82.3)
    assert POSTER["40%"] == Poster(87.0, 77.9, 90.9, 83.4)

    told = printed([row("block 2", [Score(0.5, 0.25, 10.0, 30.0)])])

    for figure in ("50.0", "84.3", "25.0", "76.8", "90.3", "82.3"):
        assert figure in told


def test_a_liver_that_was_not_found_is_counted() -> None:
    """It has no surface distance: a mean over the others alone would flatter."""
    missed = Score(0.0, 0.0, math.nan, -900.0)

    told = printed([row("all", [Score(0.9, 0.8, 12.0, 50.0), missed])])

    assert last_cells(told)[2:4] == ["12.0", "1 of 2"]
    nothing = printed([row("all", [missed])])
    assert last_cells(nothing)[2:4] == ["-", "1 of 1"]
    assert "nan" not in nothing


def test_a_scan_without_a_liver_is_none_that_was_missed() -> None:
    """Its empty mask has no surface either, and to find nothing in it is right."""
    scores = [Score(1.0, 1.0, math.nan, 0.0, liver=False), Score(0.0, 0.0, math.nan, -900.0)]

    told = printed([row("all", scores)])

    assert last_cells(told)[3] == "1 of 1"


def test_errors_of_opposite_sign_do_not_cancel() -> None:
    """A liver 100 mL too large and one 100 mL too small are no volume error of 0."""
    told = printed([row("all", [Score(0.9, 0.8, 1.0, 100.0), Score(0.9, 0.8, 1.0, -100.0)])])

    assert last_cells(told)[-2:] == ["+0", "100"]


def test_seeds_are_told_apart() -> None:
    """A difference of arms smaller than that of seeds is none."""
    scores = [Score(dice, dice, 1.0, 0.0) for dice in (0.8, 0.9, 0.6, 0.7)]

    found = row("all", scores, seeds=2)

    assert found.over_seeds("dice") == pytest.approx((0.65, 0.85))
    assert "65.0-85.0" in printed([found])


def test_phantoms_to_measure_on_show_a_liver() -> None:
    """A held-out phantom with 12 mL of liver at its edge measures nothing."""
    learn, held_out = experiments.sides(None, experiments.TrainingBudget(phantoms=2))

    assert (len(learn), len(held_out)) == (1, 1)
    for case in (*learn, *held_out):
        assert float(case.liver.sum()) * VOXEL_ML >= LEAST_ML


def test_the_preset_that_the_help_names_is_the_budgets() -> None:
    """The help does not import torch to ask for it."""
    assert experiments.TrainingBudget().preset == PRESET


def a_case(name: str) -> Case:
    """Return a case of which only the name matters."""
    empty = np.zeros((1, 1, 1), np.float32)
    return Case(name, empty, empty, empty > 0, empty.astype(np.int32), math.nan, phantom=True)


def test_an_experiment_keeps_to_the_roles_of_a_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every fourth pair was held out, whatever its role: the encoder had learned from some."""
    head = "id,kind,files,modality,sequence,plane,contrast,coverage,note,source,licence,use,liver"
    uses = ("train", "train", "test", "train", "test only", "train")
    rows = [f"p{n},liver pair,2,CT,CT,axial,,liver,,S,CC0,{use}," for n, use in enumerate(uses)]
    unfit = "thin,liver pair,2,CT,CT,axial,,liver,,S,CC0,train,unfit"
    (tmp_path / "MANIFEST.csv").write_text("\n".join([head, *rows, unfit]) + "\n")
    monkeypatch.setattr(experiments, "pair_case", lambda _folder, scan: a_case(scan.name))

    learn, held_out = experiments.sides(tmp_path, experiments.TrainingBudget())

    assert [case.name for case in learn] == ["p0", "p1", "p3", "p5"]
    assert [case.name for case in held_out] == ["p2", "p4"]
    (tmp_path / "MANIFEST.csv").write_text("\n".join([head, *rows[:2]]) + "\n")
    with pytest.raises(DataError, match="2 cases to learn from, 0 held out"):
        experiments.sides(tmp_path, experiments.TrainingBudget())


def test_arms_are_run_by_name_in_the_tables_order() -> None:
    """A single row can be repeated, with more seeds or steps; a misspelt one trains nothing."""
    assert chosen(FREEZE, []) == list(FREEZE)
    assert [one.name for one in chosen(FRACTION, ["20%", "100%"])] == ["100%", "20%"]
    with pytest.raises(typer.BadParameter, match="'all', 'block 3'"):
        chosen(FREEZE, ["block 4"])


@pytest.mark.parametrize("arm", FRACTION, ids=lambda arm: arm.name)
def test_an_arm_learns_from_its_share_of_the_cases(
    arm: Arm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The cases of one arm are among those of the larger ones: shares differ by nothing else."""
    seen: list[list[str]] = []

    def watch(chosen: list[Case], plan: transfer.LiverPlan) -> transfer.Batches:
        seen.append([case.name for case in chosen])
        return lambda first: iter(())

    monkeypatch.setattr(trials, "batches_of", watch)
    monkeypatch.setattr(trials, "transfer_encoder", lambda net, weights: None)
    monkeypatch.setattr(transfer, "train", lambda net, batches, plan, checkpoint: iter(()))
    cases = [a_case(str(number)) for number in range(10)]
    budget = experiments.TrainingBudget(steps=1, seeds=2)

    plans = Plans(budget, tmp_path / "none", tmp_path, {})

    found = trials.run_arm(arm, (cases, []), plans, lambda _: None)

    assert found.trained_on == round(10 * arm.share)
    whole = [[str(i) for i in np.random.default_rng(seed).permutation(10)] for seed in range(2)]
    assert seen == [names[: found.trained_on] for names in whole]


@pytest.mark.parametrize(
    ("liver", "left"),
    [((20, 30), (15, 35)), ((0, 4), (0, 20)), ((38, 40), (20, 40)), (None, (10, 30))],
)
def test_a_quick_trial_looks_at_the_slices_about_the_liver(
    liver: tuple[int, int] | None, left: tuple[int, int]
) -> None:
    """All parts of a case are cut alike; at either end of the scan as many slices are left."""
    places = np.broadcast_to(np.arange(40)[:, None, None], (40, 2, 2))
    mask = np.zeros((40, 2, 2), np.float32)
    if liver:
        mask[slice(*liver), 0, 0] = 1
    whole = Case(
        "c", places.astype(np.float32), mask, places % 2 > 0, places.astype(np.int32), 60.0, True
    )

    cut = experiments.about_its_liver(whole, 20)

    expected = list(range(*left))
    assert cut.hounsfield[:, 0, 0].tolist() == cut.gas[:, 1, 1].tolist() == expected
    assert cut.known[:, 0, 0].tolist() == [place % 2 > 0 for place in expected]
    assert cut.liver.sum() == mask.sum()
    assert experiments.about_its_liver(whole, 40) is whole


def test_only_a_quick_trial_cuts_its_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tables tell is of whole scans."""
    array = np.zeros((60, 2, 2), np.float32)
    case = Case("c", array, array, array > 0, array.astype(np.int32), 0.0, True)
    monkeypatch.setattr(experiments, "liver_phantoms", lambda count, _seed: [case] * count)

    for budget, depth in ((experiments.QUICK, 48), (experiments.TrainingBudget(phantoms=4), 60)):
        learn, held_out = experiments.sides(None, budget)
        assert {len(one.liver) for one in (*learn, *held_out)} == {depth}
        assert len(learn) + len(held_out) == budget.phantoms
