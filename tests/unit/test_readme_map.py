"""The map in the README is the tree as it is."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_map_names_every_room_of_the_node() -> None:
    """Whoever looks for a room finds it, and none that is gone."""
    (shown,) = re.findall(r"^node/  .*?(?=^radnet/  )", README, re.DOTALL | re.MULTILINE)

    rooms = {file.parent.name for file in (ROOT / "node").glob("*/__init__.py")}

    assert set(re.findall(r"(?:^  |  )([a-z]+)/ ", shown, re.MULTILINE)) == rooms


def test_every_file_that_papers_name_is_there() -> None:
    """A move takes the papers along."""
    papers = [ROOT / "README.md", *(ROOT / "deploy").glob("*.md")]
    named = {
        path
        for paper in papers
        for path in re.findall(r"`((?:node|radnet|tests)/[\w/]+\.py)`", paper.read_text("utf-8"))
    }

    assert named
    assert {path for path in named if not (ROOT / path).is_file()} == set()
