"""The papers are true of the tree as it is: map, names of files, pictures, links."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAPERS = sorted(
    path
    for pattern in ("*.md", "deploy/*.md", "radnet/*.md", "tests/*.md", "orthanc/*.md")
    for path in ROOT.glob(pattern)
)
LARGEST_PICTURE = 200_000


def test_the_map_names_every_room_of_the_node() -> None:
    """Whoever looks for a room finds it, and none that is gone."""
    (shown,) = re.findall(r"^node/  .*?(?=^radnet/  )", README, re.DOTALL | re.MULTILINE)

    rooms = {file.parent.name for file in (ROOT / "node").glob("*/__init__.py")}

    assert set(re.findall(r"(?:^  |  )([a-z]+)/ ", shown, re.MULTILINE)) == rooms


def test_every_file_that_papers_name_is_there() -> None:
    """A move takes the papers along; the changelog alone tells of what was."""
    told = [paper for paper in PAPERS if paper.name != "CHANGELOG.md"]
    named = {
        path
        for paper in told
        for path in re.findall(
            r"`((?:node|radnet|tests|deploy|orthanc)/[\w./]+\.(?:py|md|toml|sh|png))`",
            paper.read_text("utf-8"),
        )
    } - {"deploy/site.toml"}  # the reader makes it

    assert {"deploy/RUNBOOK.md", "node/pipeline/workflows.py"} <= named
    assert {path for path in named if not (ROOT / path).is_file()} == set()


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: str(paper.relative_to(ROOT)))
def test_every_picture_that_a_paper_shows_is_there_and_small(paper: Path) -> None:
    """A clone is not made large by pictures."""
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", paper.read_text("utf-8"))

    assert [path for path in shown if not (paper.parent / path).is_file()] == []
    assert all((paper.parent / path).stat().st_size < LARGEST_PICTURE for path in shown)


def test_the_readme_is_short_and_shows_what_comes_out() -> None:
    """A newcomer reads two pages; everything else has a paper of its own."""
    assert len(README.splitlines()) <= 130
    assert "](deploy/pictures/viewer.png)" in README


def test_every_paper_is_reached_from_the_readme() -> None:
    """What nobody points at is not read."""
    papers = {str(paper.relative_to(ROOT)) for paper in PAPERS} - {"README.md"}

    assert {paper for paper in papers if f"`{paper}`" not in README} == set()
