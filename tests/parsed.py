"""The source files of this project, parsed once for all the tests that read the whole tree."""

import ast
from functools import cache
from pathlib import Path


@cache
def parsed(path: Path) -> ast.Module:
    """Return what stands in a file; nobody may change it, for others read it, too."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Return everything that stands in a file, as `ast.walk` gives it."""
    return tuple(ast.walk(parsed(path)))
