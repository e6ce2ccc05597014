"""Mutation testing of the pure rooms, `make mutants MUTANTS=n MINUTES=m SEED=s`.

Takes n mutants at random, the same for the same seed and sources, and runs on each the unit tests
that reach the changed lines, until the time is up. All happens in a copy of the tree and in
forked children; no mutant is ever written to disk.

mutmut and cosmic-ray do not fit: neither draws by a seed, both run one command for all mutants,
and each start of it imports torch and highdicom for longer than the tests of most rooms take.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from tests.mutants import trial
from tests.mutants.campaign import Campaign, digest
from tests.mutants.known import known_equivalent
from tests.mutants.mutation import Mutant, mutants
from tests.mutants.reach import sources_of, tests_about
from tests.mutants.rooms import pure_files
from tests.mutants.trial import Verdict

ROOT: Final = Path(__file__).resolve().parents[2]
VAR: Final = ROOT / "var" / "mutants"
AIM: Final = 0.95
"""Of those decided, so many should be noticed."""


def copied(root: Path, copy: Path) -> list[str]:
    """Copy the files that git knows or would take; return their names."""
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-co", "--exclude-standard", "-z"],
        check=True,
        capture_output=True,
        text=True,
    )
    names = [name for name in listed.stdout.split("\0") if name and (root / name).is_file()]
    for name in names:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, copy / name)
    return names


def every(copy: Path, pure: list[str]) -> list[Mutant]:
    """Return all mutants of some files."""
    return [
        mutant
        for path in pure
        for mutant in mutants(path, (copy / path).read_text(encoding="utf-8"))
    ]


def chosen(copy: Path, pure: list[str], seed: int, count: int) -> list[Mutant]:
    """Return mutants at random, the same for the same seed and sources."""
    there = every(copy, pure)
    print(f"{len(there)} mutants in {len(pure)} files, seed {seed}")
    return random.Random(seed).sample(there, min(count, len(there)))  # noqa: S311  no secret


def survived(copy: Path, pure: list[str], seeds: list[int]) -> list[Mutant]:
    """Return the mutants that survived, or were not decided, when these seeds were tried."""
    kept = [
        json.loads(line)
        for seed in seeds
        for line in (VAR / f"verdicts-{seed}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    again = {
        one["diff"] for one in kept if one["verdict"] in (Verdict.SURVIVED, Verdict.UNDECIDED)
    }
    return [mutant for mutant in every(copy, pure) if mutant.change() in again]


def where_kept(copy: Path, names: list[str], pure: list[str]) -> dict[str, Path]:
    """Return where it is kept what the tests of a file reach; it holds for what they import."""
    VAR.mkdir(parents=True, exist_ok=True)
    return {
        name: VAR
        / f"{Path(name).stem}-{digest(copy, [name, *sources_of(copy, name, names)])}.json"
        for name in tests_about(copy, names, pure)
    }


def report(found: dict[Mutant, Verdict], asked: int) -> int:
    """Print the survivors and the figures; return the exit code."""
    known = known_equivalent()
    counts = Counter(found.values())
    survivors = [mutant for mutant, verdict in found.items() if verdict is Verdict.SURVIVED]
    left = [mutant for mutant in survivors if mutant.change() not in known]
    for mutant in sorted(left, key=lambda mutant: (mutant.path, mutant.line)):
        print(f"\n# line {mutant.line}\n{mutant.change()}")
    noticed = counts[Verdict.NOTICED] + counts[Verdict.ENDLESS]
    decided = noticed + len(left)
    print(
        f"\n{asked} asked for, {decided} decided: {noticed} noticed ({counts[Verdict.ENDLESS]} "
        f"by never ending), {len(left)} survived. Besides, {len(survivors) - len(left)} known to "
        f"change nothing that can be seen, {counts[Verdict.UNDECIDED]} undecided, "
        f"{asked - len(found)} not tried for want of time."
    )
    share = noticed / decided if decided else 0.0
    print(f"noticed: {100 * share:.1f} % of those decided; aim: {100 * AIM:.0f} %")
    return 0 if share >= AIM else 1


def _note(text: str) -> None:
    if sys.stderr.isatty() or "RADNET_PROGRESS" in os.environ:
        print(f"\r{text}   ", end="", file=sys.stderr, flush=True)


def _keep(found: dict[Mutant, Verdict], seed: int) -> None:
    """Write what became of every mutant, for whoever wants to look closer."""
    lines = [
        json.dumps(
            {"seed": seed, "verdict": verdict, "line": mutant.line, "diff": mutant.change()}
        )
        for mutant, verdict in found.items()
    ]
    (VAR / f"verdicts-{seed}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> int:
    """Run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=10000)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", default="", help="part of the path of the files")
    parser.add_argument(
        "--again", type=int, nargs="+", help="seeds that were tried: only what survived of them"
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="radmutants") as folder:
        copy = Path(folder) / "tree"
        copy.mkdir()
        names = copied(ROOT, copy)
        pure = pure_files(copy)
        of = [path for path in pure if asked.only in path]
        wanted = (
            survived(copy, of, asked.again)
            if asked.again
            else chosen(copy, of, asked.seed, asked.mutants)
        )
        kept = where_kept(copy, names, sorted({mutant.path for mutant in wanted}))
        campaign = Campaign(copy, pure, wanted, kept, asked.jobs, asked.minutes, _note)
        trial.enter(copy)
        status = pytest.main([*trial.OPTIONS, *kept], plugins=[campaign])
        if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            return int(status)
    _keep(campaign.found, asked.seed)
    return report(campaign.found, len(wanted))


if __name__ == "__main__":
    sys.exit(main())
