"""What a training says at its end: sentences and a table that fit a terminal."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from radnet.cli.train import TrainingDisplay
from radnet.cli.trained import WARM_UP, tell_classifier, tell_liver
from radnet.network.weights import load_weights
from radnet.network.weights_file import shipped
from radnet.training import loop
from radnet.training.report import Began, Preparing, SeriesCounted, Stage, Stepped, Unheard

OUT = Path("w.safetensors")
COMPUTED = {"precision": "f32", "because": "no bf16 here", "f32_s": None, "bf16_s": None}
CAME: dict[str, Any] = {"steps": 1200, "skipped": 0, "loss": 1.5, "arithmetic": COMPUTED}
NEVER = {"above": 1.0, "answered": 0.0, "right": 0.0, "at_least": 0.0, "of": 0}


def printed(tell: Any, record: dict[str, Any], width: int = 80) -> list[str]:
    """Return the lines that a training prints in a terminal of a width."""
    text = StringIO()
    tell(Console(file=text, width=width), OUT, record)
    return text.getvalue().splitlines()


def classifier() -> dict[str, Any]:
    """Return the record of the shipped classifier."""
    return load_weights(shipped("classifier"), "classifier").record


@pytest.mark.parametrize("width", [80, 120])
def test_a_classifier_tells_what_its_answers_are_worth(width: int) -> None:
    """A row for each head and region, on one line."""
    lines = printed(tell_classifier, classifier() | CAME, width)

    rows = [line.split() for line in lines]
    assert ["plane", "99.0%", "98%", "100.0%", "of", "147", "98.0%"] in rows
    assert ["liver", "98.5%", "99%", "98.5%", "of", "135", "95.4%"] in rows
    assert lines[0] == "w.safetensors: 1,200 steps in f32 (no bf16 here); loss 1.500 at the end."
    assert not any("{" in line or len(line.rstrip()) > width for line in lines)


def test_a_training_that_hardly_began_says_so() -> None:
    """Two steps looked like any other training; the bound is where the learning rate is full."""
    few = classifier() | CAME | {"steps": 50, "skipped": 3, "first_loss": 2.25}
    told = " ".join(printed(tell_classifier, few))
    enough = " ".join(printed(tell_classifier, classifier() | CAME | {"steps": 50}))

    assert WARM_UP == loop.WARM_UP
    assert "loss 2.250 at first, 1.500 at the end. Next to nothing was learned" in told
    assert "Next to nothing" not in enough


def test_a_head_that_never_answers_says_so() -> None:
    """`right 0.0 % (n = 0)` read as if every answer had been wrong."""
    record = classifier() | CAME
    record["abstention"]["contrast"] = NEVER

    lines = printed(tell_classifier, record)

    assert ["contrast", "82.3%", "never", "-", "-"] in [line.split() for line in lines]


def test_a_head_without_truth_says_so() -> None:
    """There is no score in the record, and nothing that could be said of its answers."""
    record = classifier() | CAME
    record["abstention"]["contrast"] = NEVER
    del record["held_out"]["contrast"]

    rows = [line.split() for line in printed(tell_classifier, record)]

    assert ["contrast", "-", "truth", "unknown", "-", "-"] in rows


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (
            {"livers": 2, "dice": 0.85, "least_dice": 0.8, "without_liver": 1, "false_ml": 3.0},
            [
                "On phantoms: 2 livers, mean Dice 0.850, the least 0.800.",
                "In 1 scan without a liver: 3.0 mL called liver.",
            ],
        ),
        (
            {"livers": 0, "without_liver": 1, "false_ml": 0.0},
            [
                "On phantoms: no liver to find, so no Dice.",
                "In 1 scan without a liver: 0.0 mL called liver.",
            ],
        ),
    ],
    ids=["livers", "none"],
)
def test_a_liver_network_tells_its_dice(found: dict[str, Any], told: list[str]) -> None:
    """And how much it calls liver where there is none."""
    record = CAME | {"judged_on": "phantoms", "held_out": found}

    assert printed(tell_liver, record)[1:] == told


def test_skipped_steps_and_a_loss_that_is_none_are_told() -> None:
    """A training that diverged must not look like one that went well."""
    record = CAME | {"steps": 1, "skipped": 1, "loss": None, "judged_on": "phantoms"}
    record |= {"held_out": {"livers": 0, "without_liver": 0}}

    (first, _) = printed(tell_liver, record)

    assert first == (
        "w.safetensors: 1 step, 1 of them skipped (a gradient was no number) in f32 (no bf16 "
        "here); no finite loss. Next to nothing was learned: the learning rate rises until step "
        "50; give more --minutes or --steps."
    )


def test_a_training_is_shown_while_it_runs() -> None:
    """Every event leaves its line; of many reasons the first ten."""
    text = StringIO()

    with TrainingDisplay(
        Console(file=text, width=100, force_terminal=True, color_system=None)
    ) as display:
        display(Preparing(13, 15))
        display(SeriesCounted(3, 1, tuple(f"[1.2.{number}] no volume" for number in range(11))))
        display(Began(Stage.READING))
        display(Stepped(0.5, 0.25))
        display(Stepped(0.75, None))
        display(Began(Stage.SCORING))
        display(Unheard(2, "gone"))

    shown = text.getvalue()
    for told in (
        "preparing series",
        "13/15",
        "left out: [1.2.9] no volume",
        "... and 1 more",
        "3 series to learn from, 1 to validate on",
        "Drawing phantoms",
        "no finite loss",
        "75%",
        "Scoring held-out scans",
        "MLflow did not hear 2 calls: gone",
    ):
        assert told in shown
    assert "1.2.10" not in shown
