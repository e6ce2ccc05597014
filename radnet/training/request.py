"""What a training is asked for, and what of it stands in the record of its weights."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any

from radnet.datasets.fingerprint import fingerprint
from radnet.datasets.lits import lits_volumes
from radnet.errors import DataError, UsageError
from radnet.synthesis.notices import NOTICES


class TrainingTask(StrEnum):
    """What to train."""

    CLASSIFIER = "classifier"
    LIVER = "liver"


@dataclass(frozen=True)
class TrainingRequest:
    """One training; the same request goes on where it was cut off.

    Attributes
    ----------
    minutes, steps
        How long: by the clock, or by `steps` where they are not 0.
    data
        Folders of real scans, for the liver also in LiTS layout; not beside a `manifest`.
    manifest
        The Parquet file of `radnet labels manifest`.
    start
        Weights to go on from, or whose encoder to transfer; or MedicalNet's ``.pth``.
    out
        The weights file; checkpoint, journal and picture are written beside it.
    every_scan
        Whether the scans that are left out are learned from, too.
    phantoms
        How many to draw; 0: as planned.
    mlflow
        A server's URL or a SQLite file; '': none.
    rate
        The highest learning rate; 0: as planned.
    header_labels
        Whether a classifier learns from what a header tells of a series alone: no slices, no
        masks, of phantoms neither.
    anatomy
        Folder of tissue maps to compute heads from; see `radnet.synthesis`. None: no heads.
    """

    task: TrainingTask
    preset: str
    minutes: float
    steps: int
    seed: int
    data: tuple[Path, ...]
    manifest: Path | None
    start: Path | None
    out: Path
    every_scan: bool
    phantoms: int = 0
    mlflow: str = ""
    rate: float = 0.0
    header_labels: bool = False
    anatomy: Path | None = None

    @property
    def checkpoint(self) -> Path:
        """Return where the training stands between two calls of the same request."""
        return self.out.with_suffix(".checkpoint")

    @property
    def unfinished(self) -> Path:
        """Return where the weights stand until the training is through."""
        return self.out.with_suffix(".unfinished")

    def refuse_wrong(self) -> None:
        """Refuse before the work what could not be read in it or written after it.

        Raises
        ------
        UsageError
            If what excludes each other is given, a path is missing or `out` cannot be a file.
        DataError
            If a folder for the classifier has no manifest, or one for the liver no layout.
        """
        self._refuse_other_options()
        for path in (*self.data, self.manifest, self.start, self.anatomy):
            if path is not None and not path.exists():
                raise UsageError(f"{path}: no such file or folder")
        if self.out.is_dir() or not self.out.parent.is_dir():
            raise UsageError(f"{self.out}: expected the name of a file in a folder that is there")
        for folder in self.data:
            if not (folder / "MANIFEST.csv").is_file():
                self._refuse_other_layouts(folder)

    def _refuse_other_options(self) -> None:
        if self.data and self.manifest is not None:
            raise UsageError("--data and --manifest exclude each other")
        if self.every_scan and self.task is TrainingTask.CLASSIFIER:
            raise UsageError(
                "--every-scan is for the liver; the classifier leaves scans out always"
            )
        if self.header_labels and (self.task is TrainingTask.LIVER or self.data):
            raise UsageError(
                "--header-labels is for the classifier, with --manifest or phantoms: what a "
                "MANIFEST.csv tells came from people and masks"
            )
        if self.anatomy and self.task is not TrainingTask.CLASSIFIER:
            raise UsageError("--anatomy is for the classifier: heads show no liver")

    def _refuse_other_layouts(self, folder: Path) -> None:
        if self.task is TrainingTask.CLASSIFIER:
            raise DataError(f"{folder} holds no MANIFEST.csv; see radnet/datasets/scans.py")
        if not self.every_scan:
            lits_volumes(folder)  # its sides are kept from here on

    def sources(self) -> dict[str, str]:
        """Return what tells this training's data and first weights from others', by option."""
        from radnet.inference.preparation import PREPARATION, PREPARED  # slow to import

        given = {"--manifest": self.manifest, "--start": self.start}
        found = {option: fingerprint(path) for option, path in given.items() if path}
        if self.start and self.out.is_file() and self.out.samefile(self.start):
            found["--start"] = "--out itself"  # it is written again and again in the training
        if self.anatomy:
            found["--anatomy"] = fingerprint(self.anatomy)
        return found | {
            PREPARED: str(PREPARATION),
            "--preset": self.preset,
            "--data": ", ".join(fingerprint(folder) for folder in self.data),
            "--phantoms": str(self.phantoms or ""),
            "--every-scan": "given" if self.every_scan else "",
            "--header-labels": "given" if self.header_labels else "",
        }

    def record(self) -> dict[str, Any]:
        """Return the part of the weights' record that is known before training."""
        from radnet.inference.preparation import PREPARATION  # slow to import

        length = f"--steps {self.steps}" if self.steps else f"--minutes {self.minutes:g}"
        command = (
            f"radnet train {self.task} --preset {self.preset} {length} "
            f"--seed {self.seed}{' --data DIR' * len(self.data)}"
            f"{' --manifest FILE' if self.manifest else ''}"
            f"{' --start WEIGHTS' if self.start else ''}"
            f"{' --anatomy DIR' if self.anatomy else ''}"
            f"{' --every-scan' if self.every_scan else ''}"
            f"{f' --rate {self.rate:g}' if self.rate else ''}"
            f"{' --header-labels' if self.header_labels else ''}"
        )
        listed = [self.manifest] if self.manifest else [one / "MANIFEST.csv" for one in self.data]
        return {
            "task": self.task.value,
            "preset": self.preset,
            "seed": self.seed,
            "minutes": 0 if self.steps else self.minutes,
            "version": version("radnet-node"),
            "preparation": PREPARATION,
            "left_out": not self.every_scan,
            "header_labels": self.header_labels,
            "command": command,
            "start_sha256": _digest([self.start] if self.start else []),
            "manifest_sha256": _digest(listed),
        } | ({"notices": NOTICES} if self.anatomy else {})


def _digest(paths: Sequence[Path]) -> str:
    """Return the SHA-256 of those of the files that are there, one behind the other."""
    there = [path for path in paths if path.is_file()]
    content = b"".join(path.read_bytes() for path in there)
    return hashlib.sha256(content).hexdigest() if there else ""
