"""States and their moves: complete, and told in one table each."""

from collections.abc import Collection
from enum import StrEnum

import pytest

from node.model import states
from node.model.failures import HELD_AS, WORDS, Failure, FailureKind, failure
from node.model.keys import Batch, BatchKind
from node.model.states import Move

TABLES = {name: table for name, table in vars(states).items() if name.endswith("_MOVES")}


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_state_is_reached_and_every_move_is_listed(name: str) -> None:
    """A state that no move leads to is dead; a move outside of its table is hidden."""
    table: Collection[Move[StrEnum]] = TABLES[name]
    vocabulary = {type(move.to) for move in table}
    prefix = name.removesuffix("_MOVES") + "_"
    defined = [one for key, one in vars(states).items() if key.startswith(prefix) and key != name]

    assert len(vocabulary) == 1
    (members,) = vocabulary
    begins = {"COMPLETE", "PENDING", "NEW", "OWED", "HELD", "WAITING"}
    assert {one for one in members if one.name not in begins} <= {move.to for move in table}
    assert all(isinstance(state, members) for move in table for state in move.of)
    assert defined == list(table)


def test_a_failure_is_kept_by_a_step_and_read_again() -> None:
    """Kind and reason pass through JSON."""
    why = failure(FailureKind.MIXED, "two patients")

    assert Failure.from_json(why.as_json()) == why
    assert Failure.from_json(Failure("a localizer").as_json()) == Failure("a localizer")
    assert not Failure.from_json(Failure().as_json())


@pytest.mark.parametrize("kind", FailureKind)
def test_each_kind_of_failure_has_words_and_is_held(kind: FailureKind) -> None:
    """Nothing that went wrong is without a place in the quarantine."""
    assert failure(kind, "why") == Failure(f"{WORDS[kind]}why", kind)
    assert HELD_AS[kind]


@pytest.mark.parametrize("kind", BatchKind)
def test_a_batch_is_read_as_it_was_written(kind: BatchKind) -> None:
    """Its key in a column says all of it."""
    batch = Batch(kind, "1.2.3", 4)

    assert Batch.parse(str(batch)) == batch


@pytest.mark.parametrize("text", ["", "source/1.2", "other/1.2/3", "source/1.2/x"])
def test_what_is_no_batch_is_refused(text: str) -> None:
    """A key that was put together elsewhere is a defect."""
    with pytest.raises(ValueError, match=r".+"):
        Batch.parse(text)
