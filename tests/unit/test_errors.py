"""What may be kept and shown of an error."""

import ast
import re
from pathlib import Path

import pytest

import node.errors
from node.errors import StoreError, frames_of, reason_of
from node.store.files import InstanceFiles
from radnet.errors import UnusableVolumeError
from tests.parsed import nodes


def _raised(by: object) -> BaseException:
    assert callable(by)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - any kind
        by()
    return caught.value


@pytest.mark.parametrize("kind", [StoreError, UnusableVolumeError])
def test_our_own_texts_are_told(kind: type[Exception]) -> None:
    """They were written to be read."""
    assert reason_of(kind("no slices")) == "no slices"


def test_of_any_other_error_its_kind_and_the_last_place_of_ours_is_told() -> None:
    """The text may quote a header value; where it was raised finds the defect."""
    error = _raised(lambda: InstanceFiles(Path("/nowhere")).remove(Path("\0DOE^JOHN")))

    told = reason_of(error)

    assert told.startswith("ValueError at node.store.files:")
    assert "DOE" not in told
    assert told.endswith(next(f for f in reversed(frames_of(error)) if f.startswith("node.")))


def test_of_an_error_of_the_system_its_number_is_told() -> None:
    """A full disk is told, without the path."""
    error = _raised(Path("/nowhere/DOE^JOHN.dcm").read_bytes)

    assert reason_of(error) == "FileNotFoundError (No such file or directory)"


def test_the_tree_at_the_top_names_every_error() -> None:
    """Whoever raises or catches one looks there first; it would be wrong soon after."""
    bases: dict[str, set[str]] = {}
    for file in Path(node.errors.__file__).parent.rglob("*.py"):
        for found in nodes(file):
            if isinstance(found, ast.ClassDef):
                bases[found.name] = {ast.unparse(base) for base in found.bases}
    ours = {"NodeError"}
    while more := {name for name, of in bases.items() if of & ours} - ours:
        ours |= more

    drawn = re.findall(r"^(?:[├└│].*)?\b(\w+Error)\b", node.errors.__doc__ or "", flags=re.M)

    assert sorted(drawn) == sorted(ours)


def test_what_a_class_leaves_open_is_abstract() -> None:
    """One that lacks it cannot be made; it must not fail when the first such image comes."""
    left = [
        f"{file.stem}:{found.lineno}"
        for file in Path(node.errors.__file__).parent.rglob("*.py")
        for found in nodes(file)
        if isinstance(found, ast.Raise)
        and found.exc is not None
        and "NotImplemented" in ast.unparse(found.exc)
    ]

    assert left == []
