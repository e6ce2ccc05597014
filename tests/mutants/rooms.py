"""The pure rooms: decisions apart from effects, where a test can notice every change."""

from pathlib import Path
from typing import Final

PURE: Final = (
    "node/classify/fuse.py",
    "node/commitment/messages.py",
    "node/deliver/attempts.py",
    "node/deliver/breaker.py",
    "node/deliver/stow_answer.py",
    "node/deliver/turns.py",
    "node/model/*.py",
    "node/receive/gate.py",
    "node/receive/gatekeeper.py",
    "node/route/*.py",
    "node/series/completeness.py",
    "radnet/**/arithmetic.py",
    "radnet/**/balance.py",
    "radnet/**/calibration.py",
    "radnet/**/fluid.py",
    "radnet/**/fusion.py",
    "radnet/**/liver_score.py",
    "radnet/**/manifest.py",
    "radnet/**/mask.py",
    "radnet/**/noise.py",
    "radnet/**/preparation.py",
    "radnet/**/scorecard.py",
    "radnet/**/seen_by_eye.py",
    "radnet/**/strangeness.py",
    "radnet/**/support.py",
    "radnet/labels/*.py",
    "radnet/volume/agreement.py",
    "radnet/volume/axes.py",
    "radnet/volume/condition.py",
    "radnet/volume/frames.py",
    "radnet/volume/geometry.py",
    "radnet/volume/quantity.py",
    "radnet/volume/selection.py",
    "radnet/volume/series.py",
    "radnet/volume/stacks.py",
)
"""Patterns of files below the root."""


def pure_files(root: Path) -> list[str]:
    """Return the files of the pure rooms that have code, sorted; commands are none of them."""
    found = {
        str(path.relative_to(root))
        for pattern in PURE
        for path in root.glob(pattern)
        if path.name != "__init__.py" and "cli" not in path.parts
    }
    return sorted(found)
