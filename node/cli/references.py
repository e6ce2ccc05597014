"""Write the references from the code: `python -m node.cli.references FOLDER` (`make references`).

No command of the node imports this file: it needs every command of both programs.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from rich.console import Console

from node.cli import command_reference
from node.route import reference as rule_reference
from node.settings import reference as setting_reference

PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "COMMANDS.md": command_reference.reference,
    "RULES.md": rule_reference.reference,
    "SETTINGS.md": setting_reference.reference,
}
"""Name of a file in `deploy/`; what makes it."""


def write(folder: Path) -> Iterator[Path]:
    """Write every page into a folder; yield each as it is written."""
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")
        yield folder / name


if __name__ == "__main__":
    for written in write(Path(sys.argv[1])):
        Console().print(str(written), soft_wrap=True)
