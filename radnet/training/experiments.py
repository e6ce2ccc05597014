"""The poster's transfer experiments on any set of livers: what to freeze, how much data.

A set is a folder in the layout of LiTS (``volume-N.nii[.gz]``, ``segmentation-N.nii[.gz]``, in
which 1 is liver and 2 tumour, which lies in the liver), or one with a ``MANIFEST.csv``, or the
Parquet file of a manifest with masks, or none: then phantoms. Held out of every arm are the scans
of the role or side ``test``; of phantoms every fourth.

An experiment lives in a folder: the encoder it starts from, every trial and where it stands. The
same command goes on where it was cut off, run by run and within a run.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from radnet.datasets.fingerprint import fingerprint
from radnet.datasets.learned import Learned
from radnet.datasets.lits import lits_volumes
from radnet.datasets.liver_cases import Case, liver_phantoms, pair_case
from radnet.datasets.liver_patches import PATCH
from radnet.datasets.liver_sets import PARQUET, lits_sides, table_cases
from radnet.datasets.scans import read_manifest
from radnet.errors import DataError, UsageError
from radnet.network.build import liver_network
from radnet.network.weights_file import read_weights_file, task_of
from radnet.training import runs
from radnet.training.arithmetic import of_this_machine
from radnet.training.arms import Arm, ArmScores
from radnet.training.jobs import begun_from
from radnet.training.report import Stepped, TrainingEvent
from radnet.training.request import TrainingRequest, TrainingTask
from radnet.training.trials import Plans, run_arm, transfer_encoder

PHANTOM_SEED: Final = 40_000_000
HELD_OUT: Final = 4  # every fourth phantom
ENCODER: Final = "encoder"  # how its training is called where progress is told
KEPT: Final = 12  # characters of a digest

Report = Callable[[str, float], None]


@dataclass(frozen=True)
class TrainingBudget:
    """How long each arm is trained, how often, and on what.

    Attributes
    ----------
    steps, seeds
        Of every arm.
    phantoms
        How many are drawn where there is no set.
    preset
        Of the network.
    slices
        Of every case about the middle of its liver, to learn from and to be scored on; 0: all.
    encoder_steps, encoder_phantoms
        Of the encoder's training; 0 phantoms: as planned.
    """

    steps: int = 1500
    seeds: int = 3
    phantoms: int = 40
    preset: str = "radnet10-tiny"
    slices: int = 0
    encoder_steps: int = 1500
    encoder_phantoms: int = 0


QUICK: Final = TrainingBudget(
    steps=1, seeds=1, phantoms=2, slices=PATCH[0], encoder_steps=2, encoder_phantoms=2
)


@dataclass(frozen=True)
class ExperimentRequest:
    """One table on one set.

    Attributes
    ----------
    name
        Of the table: ``freeze`` or ``fraction``.
    out
        The experiment's folder; made.
    data
        A set in one of the layouts above; None: phantoms.
    classifier
        Whose encoder is transferred, or MedicalNet's ``.pth``; None: one that is trained first,
        on header labels alone.
    headers
        The Parquet manifest whose header labels that one learns from; None: phantoms, of which
        it is told what a header tells.
    """

    name: str
    arms: Sequence[Arm]
    budget: TrainingBudget
    out: Path
    data: Path | None = None
    classifier: Path | None = None
    headers: Path | None = None

    def identity(self) -> dict[str, Any]:
        """Return what tells the experiment from others; arms and seeds may be added to it."""
        budget = {key: value for key, value in asdict(self.budget).items() if key != "seeds"}
        given = {"--data": self.data, "--classifier": self.classifier, "--headers": self.headers}
        told = {option: fingerprint(path) if path else "" for option, path in given.items()}
        return {"experiment": self.name} | told | {f"its {key}": v for key, v in budget.items()}


@dataclass(frozen=True)
class Experiment:
    """The rows of a table, and what they were measured on.

    Attributes
    ----------
    held_out, patients
        Cases, and whose they are.
    precision
        That the networks were trained in.
    encoder
        A sentence: which it is, and what it saw.
    """

    rows: tuple[ArmScores, ...]
    held_out: int
    patients: int
    precision: str
    encoder: str


def run(request: ExperimentRequest, report: Report) -> Experiment:
    """Train and score every arm of a table, or go on where that was cut off.

    Parameters
    ----------
    report
        Called with the name of an arm and the share of its steps that are made.

    Raises
    ------
    UsageError
        If there are no weights to transfer, or the folder holds another experiment; before the
        cases are read.
    WeightsError
        If they will not do; so, too.
    DataError
        If the set holds no cases, or the encoder saw those that are held out.
    """
    net = liver_network(request.budget.preset)  # refused before the cases are read, if none
    if request.classifier is not None:
        if not request.classifier.is_file():
            raise UsageError(f"{request.classifier}: no such file; expected weights to transfer")
        transfer_encoder(net, request.classifier)  # so are weights that will not do
    _freeze_sides(request.data)
    identity = request.identity()
    _begin(request.out, identity)
    learn, held_out = sides(request.data, request.budget)
    start = request.classifier or _own_encoder(request, report)
    learned = begun_from(start, "classifier")
    if any(arm.transferred for arm in request.arms):
        _refuse_seen(start, learned, held_out)
    plans = Plans(request.budget, start, request.out, {k: str(v) for k, v in identity.items()})
    rows = [
        run_arm(arm, (learn, held_out), plans, partial(report, arm.name)) for arm in request.arms
    ]
    people = len({one.patient or one.name for one in held_out})
    precision = of_this_machine().precision
    return Experiment(tuple(rows), len(held_out), people, precision, told_of(start, learned))


def _freeze_sides(data: Path | None) -> None:
    """Keep the sides of a LiTS folder before it is told from others: they are part of it."""
    if data is not None and data.is_dir() and not (data / "MANIFEST.csv").is_file():
        lits_volumes(data)


def _begin(out: Path, identity: dict[str, Any]) -> None:
    """Make the folder of an experiment, or refuse that of another one."""
    path = out / "experiment.json"
    if not path.is_file():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UsageError(f"{out}: expected a new folder, or that of this experiment")
        out.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(identity, indent=1) + "\n", encoding="utf-8")
        return
    found = json.loads(path.read_text(encoding="utf-8"))
    other = [
        f"{key} was {found.get(key) or 'not given'}, now it is {identity.get(key) or 'not given'}"
        for key in dict.fromkeys([*identity, *found])
        if found.get(key) != identity.get(key)
    ]
    if other:
        raise UsageError(
            f"{out}: holds another experiment ({'; '.join(other)}); give another --out"
        )


def _own_encoder(request: ExperimentRequest, report: Report) -> Path:
    """Train the encoder of an experiment on header labels alone, if that is not done yet."""
    out = request.out / "encoder.safetensors"
    if out.is_file():
        report(ENCODER, 1.0)
        return out
    budget = request.budget
    wanted = TrainingRequest(
        TrainingTask.CLASSIFIER, budget.preset, 0, budget.encoder_steps, 0, (), request.headers,
        None, out, every_scan=False, phantoms=budget.encoder_phantoms, header_labels=True,
    )  # fmt: skip

    def tell(event: TrainingEvent) -> None:
        if isinstance(event, Stepped):
            report(ENCODER, event.share)

    runs.train(wanted, tell)
    report(ENCODER, 1.0)
    return out


def _refuse_seen(start: Path, learned: Learned, held_out: Sequence[Case]) -> None:
    seen = [(case.name, learned.why(case.content, case.patient)) for case in held_out]
    told = ", ".join(f"{name} ({why})" for name, why in seen if why)
    if told:
        raise DataError(
            f"{start.name}: its encoder is no stranger to held-out cases: {told}. "
            "Without --classifier one is trained that saw none"
        )


def told_of(start: Path, learned: Learned) -> str:
    """Return which encoder is transferred, and what it saw, in a sentence.

    Parameters
    ----------
    start
        Its file.
    learned : Learned
        What the list beside it says.
    """
    task = task_of(start)
    if not task:
        return f"{start.name}: MedicalNet's, which saw scans that nobody lists"
    weights = read_weights_file(start, task)
    labels = "header labels alone" if weights.record.get("header_labels") else "any labels"
    scans = f"{len(learned.scans)} real scans of {len(learned.patients)} known patients"
    beside = ", phantoms" if not learned.untold else f", phantoms, and {learned.untold[0]} untold"
    steps = weights.record.get("steps", "?")
    return f"{start.name} {weights.digest[:KEPT]}: {steps} steps on {labels}; saw {scans}{beside}"


def sides(data: Path | None, budget: TrainingBudget) -> tuple[list[Case], list[Case]]:
    """Return the cases to train on and those held out, each patient on one side.

    Raises
    ------
    DataError
        If the folder holds neither layout, a volume has no segmentation, or a side is empty.
    UnusableVolumeError
        If a scan cannot be read.
    """
    learn, held_out = _sides(data, budget)
    if not (learn and held_out):
        raise DataError(
            f"{data or 'phantoms'}: {len(learn)} cases to learn from, {len(held_out)} held out; "
            "expected one of each at the least"
        )
    if not budget.slices:
        return learn, held_out
    return (
        [about_its_liver(case, budget.slices) for case in learn],
        [about_its_liver(case, budget.slices) for case in held_out],
    )


def _sides(data: Path | None, budget: TrainingBudget) -> tuple[list[Case], list[Case]]:
    if data is None:
        drawn = liver_phantoms(budget.phantoms, PHANTOM_SEED)
        last = range(HELD_OUT - 1, len(drawn), HELD_OUT) or range(len(drawn) - 1, len(drawn))
        return (
            [case for number, case in enumerate(drawn) if number not in last],
            [drawn[number] for number in last],
        )
    if data.suffix == PARQUET:
        return table_cases(data, "train"), table_cases(data, "test")
    if (data / "MANIFEST.csv").is_file():
        pairs = [
            scan
            for scan in read_manifest(data)
            if scan.kind == "liver pair" and scan.liver != "unfit"
        ]
        return (
            [pair_case(data, scan) for scan in pairs if scan.role == "train"],
            [pair_case(data, scan) for scan in pairs if scan.role == "test"],
        )
    return lits_sides(data)


def about_its_liver(case: Case, slices: int) -> Case:
    """Return so many slices of a case about the middle of its liver, or of the scan without one.

    Parameters
    ----------
    case
        Of any length.
    slices
        How many are left, at most.
    """
    depth = len(case.hounsfield)
    if depth <= slices:
        return case
    where = np.flatnonzero(case.liver.any(axis=(1, 2)))
    middle = (where[0] + where[-1] + 1) // 2 if where.size else depth // 2
    first = int(np.clip(middle - slices // 2, 0, depth - slices))
    left = slice(first, first + slices)
    return replace(
        case,
        hounsfield=case.hounsfield[left],
        liver=case.liver[left],
        known=case.known[left],
        gas=case.gas[left],
    )


def shortened(budget: TrainingBudget, steps: int, seeds: int, preset: str) -> TrainingBudget:
    """Return `budget` with what the caller gave; 0 leaves a figure as it is."""
    return replace(budget, steps=steps or budget.steps, seeds=seeds or budget.seeds, preset=preset)
