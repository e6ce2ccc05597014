"""What the record of a classifier says of its own answers, from held-out scans."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from safetensors import safe_open
from safetensors.torch import save_file

from radnet.datasets.samples import Sample, real_samples
from radnet.errors import WeightsError
from radnet.evaluation import calibration
from radnet.network.build import classifier_network
from radnet.network.heads import RadNet
from radnet.network.layout2020 import RadNet2020
from radnet.network.weights import fill, load_weights
from radnet.network.weights_file import KEY
from radnet.training import classify

ENOUGH: Final = 100  # validation series of a manifest from which calibration needs no phantoms


def calibrated(
    net: RadNet | RadNet2020,
    phantoms: Sequence[Sample],
    validation: Sequence[Sample],
    learned: Sequence[Sample] = (),
) -> dict[str, Any]:
    """Return temperatures, thresholds, scores and what is usual, for the weights' record.

    Parameters
    ----------
    phantoms
        Held out; used where there are less than `ENOUGH` of `validation`.
    validation
        Real series that were not learned from.
    learned
        Real series that were: known to the network, and no measure of anything.
    """
    enough = len(validation) >= ENOUGH
    held_out = validation if enough else phantoms
    heads, truth, features = classify.look(net, held_out)
    patients = [one.patient for one in held_out]
    chosen, _ = calibration.halves(heads, truth, patients)
    heat = calibration.temperatures(chosen.heads, chosen.truth)
    found = calibration.scores(heads, truth)
    real = [*learned, *(() if enough else validation)]
    known = classify.look(net, real)[2] if real else features[:0]
    kind = "validation series" if enough else "held-out phantoms"
    return {
        "temperature": heat,
        "abstention": calibration.abstention(heads, truth, heat, patients),
        "coverage": calibration.coverage(heads, truth, heat, patients),
        "usual": calibration.usual(features, known, patients),
        "held_out": {name: round(value, 4) for name, value in found.items()},
        "calibrated_on": f"{len(held_out)} {kind}; chosen on one half, stated on the other",
    }


def recalibrate(weights: Path, out: Path, data: Sequence[Path] = ()) -> dict[str, Any]:
    """Write the tensors of `weights`, unchanged, to `out` with a record calibrated anew.

    Parameters
    ----------
    data
        Folders of the real scans that the classifier learned from.

    Raises
    ------
    WeightsError
        If `weights` are not a classifier's.
    """
    trained = load_weights(weights, "classifier")
    if out.exists() and out.samefile(weights):
        raise WeightsError(f"{out}: is the weights file itself; expected another name")
    plan = classify.ClassifierPlan(trained.record["preset"], 0, int(trained.record.get("seed", 0)))
    net = classifier_network(plan.preset)
    fill(net, trained, weights.name)
    phantoms = classify.held_out_phantoms(plan)
    record = {key: value for key, value in trained.record.items() if key != "usual_energy"}
    record |= calibrated(net, phantoms, [], real_samples(data))
    with_record(weights, out, record)
    return record


def with_record(weights: Path, out: Path, record: dict[str, Any]) -> None:
    """Write the tensors of `weights`, unchanged, to `out` under another record."""
    with safe_open(str(weights), framework="pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    fresh = out.with_suffix(".partial")
    save_file(state, str(fresh), metadata={KEY: json.dumps(record, sort_keys=True)})
    fresh.chmod(0o644)
    fresh.replace(out)
