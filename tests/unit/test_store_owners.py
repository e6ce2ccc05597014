"""Each table is written by its owner alone, and no state is written but by a move."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import node
from node.store.tables import metadata
from tests.parsed import parsed

NODE: Final = Path(node.__file__).parent
OWNERS: Final = {  # a file, or a room
    "association": "store/access.py",
    "rejection": "store/access.py",
    "instance": "store/studies/instances.py",
    "conflict": "store/studies/instances.py",
    "deletion": "store/studies/instances.py",
    "series": "store/studies/series.py",
    "series_header": "store/studies/snapshots.py",
    "revision": "store/studies/revisions.py",
    "finding": "store/studies/findings.py",
    "derived": "store/studies/results.py",
    "result": "store/studies/results.py",
    "summary": "store/studies/summaries.py",
    "ledger": "store/ledger.py",
    "delivery": "store/deliveries/deliveries.py",
    "outlet": "store/deliveries/outlets.py",
    "commitment_request": "store/commitments/requests.py",
    "commitment_part": "store/commitments/requests.py",
    "commitment_promise": "store/commitments/promises.py",
    "work": "store/work/",
    "due_clock": "store/work/due_clock.py",
    "quarantine": "store/holds.py",
    "audit_event": "store/outbox.py",
    "audit_cursor": "store/outbox.py",
}
ALSO: Final = {"delivery": {"store/deliveries/commitment.py"}}
"""A table with many columns has a second file, in the room of its owner."""

WRITES: Final = {"insert", "update", "delete"}


def _files() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(NODE.rglob("*.py")):
        name = path.relative_to(NODE).as_posix()
        if "migrations" not in path.parts:
            yield name, parsed(path)


def _writers(module: ast.Module) -> Iterator[str]:
    """Yield the tables that a file writes: ``sa.update(table)``, ``database.insert(table)``."""
    named = {
        alias.asname or alias.name: alias.name
        for one in ast.walk(module)
        if isinstance(one, ast.ImportFrom) and one.module == "node.store.tables"
        for alias in one.names
    }
    aliased = {
        one.targets[0].id: named[one.value.id]
        for one in ast.walk(module)
        if isinstance(one, ast.Assign)
        and isinstance(one.targets[0], ast.Name)
        and isinstance(one.value, ast.Name)
        and one.value.id in named
    }
    tables = named | aliased
    for one in ast.walk(module):
        if isinstance(one, ast.Call) and one.args and isinstance(one.args[0], ast.Name):
            function = one.func
            called = (
                function.attr
                if isinstance(function, ast.Attribute)
                else function.id
                if isinstance(function, ast.Name)
                else ""
            )
            if called in WRITES and one.args[0].id in tables:
                yield tables[one.args[0].id]


def test_every_table_has_an_owner() -> None:
    """And nothing is owned that is no table."""
    assert set(OWNERS) == set(metadata.tables)


def test_a_table_is_written_by_its_owner_alone() -> None:
    """Whoever asks who changes a delivery looks into one room."""
    found: dict[str, set[str]] = {}
    for name, module in _files():
        for table in _writers(module):
            found.setdefault(table, set()).add(name)

    for table, writers in found.items():
        owner = OWNERS[table]
        own = {w for w in writers if w == owner or (owner.endswith("/") and w.startswith(owner))}
        assert writers <= own | ALSO.get(table, set()), table
    assert {table for table in OWNERS if table not in found} <= set()


@pytest.mark.parametrize("text", ["sa.update(delivery)", "database.insert(delivery)"])
def test_a_foreign_writer_is_seen(text: str) -> None:
    """The test above would notice."""
    module = ast.parse(f"from node.store.tables import delivery\n{text}\n")

    assert list(_writers(module)) == ["delivery"]


def test_no_state_is_written_as_bare_text() -> None:
    """``state="done"`` is a move that no table lists."""
    bare = []
    for name, module in _files():
        if not name.startswith("store/"):
            continue
        for one in ast.walk(module):
            pairs: list[tuple[str | None, ast.expr]] = []
            if isinstance(one, ast.Call):
                pairs = [(keyword.arg, keyword.value) for keyword in one.keywords]
            elif isinstance(one, ast.Dict):
                pairs = [
                    (str(key.value), value)
                    for key, value in zip(one.keys, one.values, strict=True)
                    if isinstance(key, ast.Constant)
                ]
            bare += [
                f"{name}:{value.lineno}"
                for key, value in pairs
                if key in ("state", "commitment", "circuit")
                and isinstance(value, ast.Constant)
                and value.value is not None
            ]
    assert bare == []
