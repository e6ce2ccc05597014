"""`radnet`'s commands end to end, on phantoms and on sets that are made up.

Most run in this process, for to import torch and MONAI takes longer than what is asked of a
command; the training on an archive is a process of its own, as an operator's.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from pydicom import dcmread

from radnet.cli import main
from radnet.datasets.liver_cases import Case, phantom_case
from radnet.datasets.manifest import read_table
from radnet.network.build import classifier_network, liver_network
from radnet.network.heads import RadNet
from radnet.network.presets import PRESETS
from radnet.network.weights import fill, load_weights, save_weights
from radnet.network.weights_file import shipped
from radnet.phantom.study import write_phantom_study
from radnet.training.arms import POSTER
from tests.small_training import REGISTER, SMALL, lits

COMMAND = [sys.executable, "-c", f"{REGISTER}from radnet.cli import main; main()"]
SIZE = ("--preset", SMALL.name)


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it printed."""

    exit_code: int
    output: str
    stdout: str


Command = Callable[..., Ran]


def in_a_process(*arguments: str) -> Ran:
    """Run the command in a process of its own, as an operator does."""
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    return Ran(done.returncode, done.stdout + done.stderr, done.stdout)


@pytest.fixture
def radnet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return the command, run in this process; it knows the small network."""
    monkeypatch.setitem(PRESETS, SMALL.name, SMALL)

    def run(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["radnet", *arguments])
        exit_code = 0
        try:
            main()
        except SystemExit as ended:
            exit_code = int(ended.code or 0)
        out, err = capsys.readouterr()
        return Ran(exit_code, out + err, out)

    return run


@pytest.mark.slow
@pytest.mark.parametrize("task", ["classifier", "liver"])
def test_train_writes_weights_that_tell_how_they_were_made(
    task: str, tmp_path: Path, radnet: Command
) -> None:
    """Two steps on two folders, a record, and no checkpoint left behind."""
    out = tmp_path / "w.safetensors"
    folders = [phantom_set(tmp_path / name, seed, "train") for name, seed in (("a", 2), ("b", 8))]
    data = [argument for folder in folders for argument in ("--data", str(folder))]

    result = radnet(
        "train", task, "--steps", "2", "--phantoms", "2", *SIZE, "--out", str(out), *data
    )

    assert result.exit_code == 0, result.output
    record = load_weights(out, task).record
    assert record["steps"] == 2
    assert "--steps 2 --seed 0 --data DIR --data DIR" in record["command"]
    manifests = b"".join((folder / "MANIFEST.csv").read_bytes() for folder in folders)
    assert record["manifest_sha256"] == hashlib.sha256(manifests).hexdigest()
    assert not list(tmp_path.glob("*.checkpoint"))
    assert (tmp_path / "w.png").is_file()
    figures = (tmp_path / "w.metrics.jsonl").read_text()
    assert "loss" in figures
    assert "scores" in figures
    assert record["held_out"]
    assert "phantoms" in result.output
    assert "{" not in result.output
    assert "2 steps" in result.output


def archive(folder: Path, patients: int) -> Path:
    """Write a study of three series for each patient, the localizer among them."""
    for seed in range(patients):
        for path in write_phantom_study(folder / f"p{seed}", seed):
            image = dcmread(path)
            image.PatientID = f"P{seed}"
            image.save_as(path)
    return folder


@pytest.mark.slow
def test_an_archive_is_labelled_split_learned_from_and_judged(
    tmp_path: Path, radnet: Command
) -> None:
    """From headers to a table of figures: scan, manifest, train, evaluate."""
    images, labels = archive(tmp_path / "images", 3), tmp_path / "labels.parquet"
    manifest, out, page = tmp_path / "m.parquet", tmp_path / "w.safetensors", tmp_path / "r.html"

    scanned = radnet("labels", "scan", str(images), "--out", str(labels))
    chosen = radnet(
        "labels", "manifest", str(labels), "--data", str(images), "--out", str(manifest),
        "--test", "0.5", "--validation", "0",
    )  # fmt: skip
    trained = in_a_process(
        "train", "classifier", "--manifest", str(manifest), "--steps", "2", "--phantoms", "2",
        *SIZE, "--out", str(out), "--mlflow", str(tmp_path / "runs.db"),
    )  # fmt: skip
    judged = radnet(
        "evaluate", "--manifest", str(manifest), "--classifier", str(out), "--html", str(page)
    )

    for done in (scanned, chosen, trained, judged):
        assert done.exit_code == 0, done.output
    rows = read_table(manifest)
    assert len(rows) == 6  # the localizers are left out
    learned = {row.patient for row in rows if row.split == "train"}
    assert learned
    assert not learned & {row.patient for row in rows if row.split == "test"}
    record = load_weights(out, "classifier").record
    assert record["manifest_sha256"] == hashlib.sha256(manifest.read_bytes()).hexdigest()
    assert "series to learn from" in trained.output
    assert not (tmp_path / "w.mlflow").exists()
    assert (tmp_path / "runs.db").is_file()
    assert "coverage exact" in judged.output
    assert "99.4" in judged.output
    assert "By manufacturer" in page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_experiment_prints_the_posters_table(tmp_path: Path, radnet: Command) -> None:
    """A pair of arms, with the poster's figures beside ours, and what the poster does not tell.

    One that learns with a frozen encoder and one without transfer; the others differ by what
    `tests/unit/test_experiments.py` and the tests of freezing hold.
    """
    pair = ("all", "none (no transfer)")
    encoder = tmp_path / "classifier.safetensors"
    record = {"task": "classifier", "preset": SMALL.name}
    save_weights(encoder, RadNet(SMALL), record)

    result = radnet(
        "experiment", "freeze", "--quick", "--arm", pair[0], "--arm", pair[1], *SIZE,
        "--classifier", str(encoder), "--data", str(lits(tmp_path / "set", 4)),
        "--out", str(tmp_path / "experiment"),
    )  # fmt: skip

    assert result.exit_code == 0, result.output
    rows = [line.split("│")[1:-1] for line in result.stdout.splitlines() if "│" in line]
    table = [[cell.strip() for cell in row] for row in rows if row[1].strip().isdigit()]
    told = [list(vars(POSTER[arm]).values()) for arm in pair]
    assert [[float(cell) for cell in row[3::2]] for row in table] == told
    assert "HD95 mm" in result.stdout
    assert "volume error mL" in result.stdout
    assert "each in f32" in result.stdout or "each in bf16" in result.stdout
    assert "Paired differences; all 1 intervals hold together" in result.stdout
    assert "encoder: classifier.safetensors" in result.stdout
    assert (tmp_path / "experiment" / "runs.parquet").is_file()
    assert (tmp_path / "experiment" / "page.html").is_file()


@cache
def drawn(seed: int) -> Case:
    """Return a phantom's case: it takes seconds to draw."""
    case = phantom_case(seed)
    assert (case.liver > 0.5).any(), f"phantom {seed} shows no liver"
    return case


def phantom_set(folder: Path, seed: int, use: str) -> Path:
    """Write a CT phantom with its liver as a data folder."""
    (folder / "liver").mkdir(parents=True)
    rows = ["id,kind,files,modality,sequence,plane,contrast,coverage,note,source,licence,use"]
    case = drawn(seed)
    affine = np.diag([-2.5, -2.5, 4.0, 1.0])
    for part, array in (("ct", case.hounsfield), ("liver", (case.liver > 0.5) * 1.0)):
        image = nib.Nifti1Image(array.transpose(2, 1, 0).astype(np.int16), affine)
        nib.save(image, folder / "liver" / f"p{seed}_{part}.nii.gz")
    rows.append(f"p{seed},liver pair,2,CT,CT,axial,,liver,,phantom,none,{use}")
    (folder / "MANIFEST.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.mark.slow
def test_evaluate_prints_the_table_and_writes_a_page(tmp_path: Path, radnet: Command) -> None:
    """The poster's first table with intervals, livers with Dice, a page that stands alone."""
    page, card = tmp_path / "report.html", tmp_path / "card.md"
    split = tmp_path / "split.json"
    first = phantom_set(tmp_path / "a", 2, "test only")
    second = phantom_set(tmp_path / "b", 8, "test only")

    result = radnet(
        "evaluate", "--data", str(first), "--data", str(second), "--html", str(page),
        "--card", str(card), "--split", str(split),
    )  # fmt: skip

    assert result.exit_code == 0, result.output
    for told in ("95 % interval", "axial", "99.4", "Dice", "calibration error"):
        assert told in result.output
    html = page.read_text(encoding="utf-8")
    assert "data:image/png;base64," in html
    assert "<script" not in html
    tables = card.read_text(encoding="utf-8")
    assert "| axial | 2 | 2 | 100.0 |" in tables
    assert "| CT |" not in tables  # what is given is not counted as seen
    assert "Dice: mean" in tables
    assert "2 scans of a and b" in tables
    digests = [one["sha256"] for one in json.loads(split.read_text(encoding="utf-8"))]
    assert len(set(digests)) == 2


@pytest.mark.slow
def test_segment_and_classify_work_on_a_nifti_file(tmp_path: Path, radnet: Command) -> None:
    """A mask on the same grid; a recognition as JSON."""
    folder = phantom_set(tmp_path, 2, "test only")
    scan, mask = folder / "liver" / "p2_ct.nii.gz", tmp_path / "mask.nii.gz"

    segmented = radnet("segment", str(scan), "--out", str(mask))
    classified = radnet("classify", str(scan), "--json")

    assert segmented.exit_code == 0, segmented.output
    source, found = nib.Nifti1Image.from_filename(scan), nib.Nifti1Image.from_filename(mask)
    assert found.shape == source.shape
    assert np.allclose(found.affine, source.affine)
    assert classified.exit_code == 0, classified.output
    told = json.loads(classified.stdout)
    assert told["labels"]["sequence"] == "CT"
    assert told["labels"]["plane"] == "axial"


@pytest.mark.slow
def test_ones_own_weights_answer_for_a_file(tmp_path: Path, radnet: Command) -> None:
    """What `radnet train` wrote is used, and the answer tells whose it is."""
    folder = phantom_set(tmp_path, 2, "test only")
    scan, mask = folder / "liver" / "p2_ct.nii.gz", tmp_path / "mask.nii.gz"
    mine, liver = tmp_path / "mine.safetensors", tmp_path / "liver.safetensors"
    torch.manual_seed(0)  # the model of another run of this test serves
    record = load_weights(shipped("classifier"), "classifier").record
    save_weights(mine, classifier_network("radnet10-tiny"), record)
    digest = hashlib.sha256(mine.read_bytes()).hexdigest()
    # The model is of the tensors alone, and that of the shipped ones is made: a minute less.
    known = load_weights(shipped("liver"), "liver")
    same = liver_network(str(known.record["preset"]))
    fill(same, known, "liver")
    save_weights(liver, same, known.record | {"note": "mine"})
    own = hashlib.sha256(liver.read_bytes()).hexdigest()

    classified = radnet("classify", str(scan), "--classifier", str(mine), "--json")
    segmented = radnet("segment", str(scan), "--out", str(mask), "--liver", str(liver))

    assert json.loads(classified.stdout)["weights"] == digest
    assert own != hashlib.sha256(shipped("liver").read_bytes()).hexdigest()
    assert own[:12] in segmented.output
    for arguments in (
        ("classify", str(scan), "--classifier", str(liver)),
        ("segment", str(scan), "--out", str(mask), "--liver", str(mine)),
    ):
        refused = radnet(*arguments)
        assert refused.exit_code == 2
        assert "made for" in refused.output
