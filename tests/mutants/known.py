"""Mutants that a person has read and found to change nothing that can be seen from outside."""

from pathlib import Path
from typing import Final

LIST: Final = Path(__file__).with_name("equivalent.txt")


def known_equivalent() -> set[str]:
    """Return the changes of the list: each a path, the old and the new text, then the reason."""
    found = set()
    for block in LIST.read_text(encoding="utf-8").split("\n\n"):
        lines = [line for line in block.strip().split("\n") if not line.startswith("#")]
        if lines and lines[0]:
            found.add("\n".join(line.rstrip() for line in lines))
    return found
