"""Models are made once of weights, kept, checked by their digests, and loaded without torch."""

import json
import os
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from radnet.errors import RadnetError, WeightsError
from radnet.inference import conversion, kept, making, models
from radnet.inference.gates import ExportGate, Tick
from radnet.inference.model_folders import INSTALLED, making_folder, model_folders
from radnet.inference.runtime import Array, Hardware, Precision
from radnet.inference.served import GateRefusedError, Task
from radnet.network.build import classifier_network
from radnet.network.heads import RadNet
from radnet.network.presets import PRESETS
from radnet.network.weights import load_weights, save_weights
from radnet.network.weights_file import read_weights_file
from tests.small_training import SMALL


def small_weights(path: Path, seed: int = 0, **record: object) -> Path:
    """Write a small classifier with random weights."""
    torch.manual_seed(seed)
    described = {"task": "classifier", "preset": SMALL.name, **record}
    save_weights(path, RadNet(SMALL), described)
    return path


def noise(task: Task, count: int, tick: Tick) -> list[Array]:
    """Stand in for the gates' phantoms, which take seconds to draw."""
    del task, count
    tick()
    drawn = np.random.default_rng(1).standard_normal((1, 1, 24, 96, 96))
    return [drawn.astype(np.float32)]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Have models made in this process, which knows the small network; list in what precisions."""
    found: list[tuple[str, ...]] = []
    compare = making.compare

    def counted(
        task: Task, trained: Any, name: str, precisions: tuple[Hardware, ...], place: Path
    ) -> list[ExportGate]:
        found.append(precisions)
        return compare(task, trained, name, precisions, place)

    def make(
        folder: Path, path: Path, model: kept.Wanted, precision: Hardware, _: models.Making
    ) -> None:
        making.make(folder, path, model, precision)

    monkeypatch.setitem(PRESETS, SMALL.name, SMALL)
    monkeypatch.setattr(making, "stacks", noise)
    monkeypatch.setattr(making, "best_precision", lambda: "f32")
    monkeypatch.setattr(making, "compare", counted)
    monkeypatch.setattr(making, "say", lambda _: None)
    monkeypatch.setattr(models, "make", make)
    monkeypatch.setattr(models, "NVIDIA", ())
    return found


def test_a_model_is_made_once_and_says_bit_by_bit_what_one_made_in_memory_says(
    tmp_path: Path, made: list[tuple[str, ...]]
) -> None:
    """Nothing changes for a scan by where the model comes from."""
    weights, serve = (
        small_weights(tmp_path / "w.safetensors"),
        models.server([tmp_path / "models"]),
    )

    first, again = (serve("classifier", weights, "f32") for _ in range(2))

    assert made == [("f32",)]
    plain = conversion.unkept("classifier", weights, "f32")
    (stack,) = noise("classifier", 1, lambda: None)
    for kept_says, other, truth in zip(
        first.run(stack), again.run(stack), plain.run(stack), strict=True
    ):
        assert np.array_equal(kept_says, truth)
        assert np.array_equal(other, truth)
    assert first.digest == plain.digest
    assert first.record == plain.record
    assert first.remarks == ()


def test_a_record_alone_needs_no_new_model_and_other_tensors_do(
    tmp_path: Path, made: list[tuple[str, ...]]
) -> None:
    """Thresholds may be chosen anew without the network."""
    serve = models.server([tmp_path / "models"])
    path = small_weights(tmp_path / "a.safetensors")
    serve("classifier", path, "f32")
    recorded = small_weights(tmp_path / "b.safetensors", version="2")

    served = serve("classifier", recorded, "f32")

    assert len(made) == 1
    assert served.record["version"] == "2"
    assert served.digest != read_weights_file(path, "classifier").digest
    serve("classifier", small_weights(tmp_path / "c.safetensors", seed=1), "f32")
    assert len(made) == 2


@pytest.mark.parametrize("field", ["preset", "openvino", "torch", "monai", "code_sha256",
                                   "tensors_sha256", "task"])  # fmt: skip
def test_a_model_goes_by_another_name_when_anything_it_is_made_of_changes(field: str) -> None:
    """One of an older OpenVINO, or of other code, is never loaded."""
    model = kept.wanted("classifier", "small", "0" * 64)
    other = kept.Wanted(**{**vars(model), field: "other"})

    assert model.name != other.name
    assert model.openvino
    assert len(model.code_sha256) == 64


def damaged_constants(place: Path) -> None:
    """Flip one bit in the middle."""
    content = bytearray((place / "model.bin").read_bytes())
    content[len(content) // 2] ^= 1
    (place / "model.bin").write_bytes(content)


def cut_description(place: Path) -> None:
    """Lose the end."""
    content = (place / "model.xml").read_bytes()
    (place / "model.xml").write_bytes(content[:-100])


def of_other_weights(place: Path) -> None:
    """Hold what is whole, and another's."""
    made = json.loads((place / "made.json").read_text())
    made["made_of"]["tensors_sha256"] = "1" * 64
    (place / "made.json").write_text(json.dumps(made))


def no_json(place: Path) -> None:
    """Hold something else."""
    (place / "made.json").write_bytes(b"\x00" * 100)


def of_another_shape(place: Path) -> None:
    """Hold JSON of another kind."""
    (place / "made.json").write_text("[]")


def lost(place: Path) -> None:
    """Miss a part."""
    (place / "model.bin").unlink()


@pytest.mark.parametrize(
    "damage",
    [damaged_constants, cut_description, of_other_weights, no_json, of_another_shape, lost],
    ids=lambda damage: damage.__name__,
)
def test_what_is_damaged_or_anothers_is_noticed_and_made_anew(
    damage: Callable[[Path], None], tmp_path: Path, made: list[tuple[str, ...]]
) -> None:
    """A bit that fell over must not move the border of a liver."""
    folder = tmp_path / "models"
    weights, serve = small_weights(tmp_path / "w.safetensors"), models.server([folder])
    before = serve("classifier", weights, "f32")
    (place,) = folder.glob("classifier-*")
    damage(place)

    after = serve("classifier", weights, "f32")

    assert len(made) == 2
    (stack,) = noise("classifier", 1, lambda: None)
    for one, other in zip(before.run(stack), after.run(stack), strict=True):
        assert np.array_equal(one, other)
    assert list(folder.glob(f"{kept.DRAFT}*")) == []
    serve("classifier", weights, "f32")
    assert len(made) == 2


def test_what_is_kept_is_read_by_its_owner_alone(
    tmp_path: Path, made: list[tuple[str, ...]]
) -> None:
    """Whatever the umask is; weights of a hospital are its own."""
    folder = tmp_path / "deep" / "models"
    mask = os.umask(0)
    try:
        models.server([folder])("classifier", small_weights(tmp_path / "w.safetensors"), "f32")
    finally:
        os.umask(mask)

    assert made
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_folder_that_others_may_write_to_is_refused(
    tmp_path: Path, made: list[tuple[str, ...]]
) -> None:
    """They could put a model there, and what it is said to be made of."""
    folder = tmp_path / "models"
    folder.mkdir()
    folder.chmod(0o777)

    with pytest.raises(RadnetError, match="others may write"):
        models.server([folder])("classifier", small_weights(tmp_path / "w.safetensors"), "f32")

    assert made == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, made: list[tuple[str, ...]]) -> None:
    """With what to do."""
    (tmp_path / "file").write_text("")

    with pytest.raises(RadnetError, match="name another folder by RADNET_MODELS"):
        models.server([tmp_path / "file" / "models"])(
            "classifier", small_weights(tmp_path / "w.safetensors"), "f32"
        )

    assert made == []


def test_two_that_need_a_model_at_once_make_it_once(
    tmp_path: Path, made: list[tuple[str, ...]]
) -> None:
    """The second waits for the first, and finds what that made."""
    folder, weights = tmp_path / "models", small_weights(tmp_path / "w.safetensors")
    folder.mkdir(mode=0o700)
    tensors = read_weights_file(weights, "classifier").tensors_digest
    model = kept.wanted("classifier", SMALL.name, tensors)
    both = [
        threading.Thread(target=making.make, args=(folder, weights, model, "f32"))
        for _ in range(2)
    ]

    for one in both:
        one.start()
    for one in both:
        one.join()

    assert len(made) == 1
    assert kept.find(folder, model, "f32") is not None


def test_a_making_that_is_cut_short_leaves_nothing_to_be_found(
    tmp_path: Path, made: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed just before the rename; the next one clears up after it."""
    folder, weights = tmp_path / "models", small_weights(tmp_path / "w.safetensors")
    serve = models.server([folder])
    with monkeypatch.context() as broken:
        broken.setattr("shutil.rmtree", lambda *_, **__: None)  # as after a kill -9
        broken.setattr(kept, "synced", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            serve("classifier", weights, "f32")
    assert len(list(folder.glob(f"{kept.DRAFT}*"))) == 1
    assert list(folder.glob("classifier-*")) == []

    serve("classifier", weights, "f32")

    assert len(made) == 2
    assert list(folder.glob(f"{kept.DRAFT}*")) == []


def test_a_model_that_nobody_loads_is_removed_in_the_end(
    tmp_path: Path, made: list[tuple[str, ...]]
) -> None:
    """A network is retrained every night."""
    folder = tmp_path / "models"
    serve = models.server([folder])
    serve("classifier", small_weights(tmp_path / "a.safetensors"), "f32")
    (old,) = folder.glob("classifier-*")
    past = time.time() - kept.UNUSED_S - 1
    os.utime(old / kept.MADE, (past, past))

    serve("classifier", small_weights(tmp_path / "b.safetensors", seed=1), "f32")

    assert len(made) == 2
    assert not old.exists()
    assert len(list(folder.glob("classifier-*"))) == 1


def test_a_model_that_is_loaded_stays(tmp_path: Path, made: list[tuple[str, ...]]) -> None:
    """Each load is noted."""
    folder, weights = tmp_path / "models", small_weights(tmp_path / "a.safetensors")
    serve = models.server([folder])
    serve("classifier", weights, "f32")
    (place,) = folder.glob("classifier-*")
    past = time.time() - kept.UNUSED_S - 1
    os.utime(place / kept.MADE, (past, past))

    serve("classifier", weights, "f32")
    serve("classifier", small_weights(tmp_path / "b.safetensors", seed=1), "f32")

    assert len(made) == 2
    assert place.exists()


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what lets the gates refuse some precisions."""

    def refuse(*precisions: str) -> None:
        def refusal(gate: ExportGate) -> str | None:
            changed = f"{gate.precision}: 9 % of the decisions changed"
            return changed if gate.precision in precisions else None

        monkeypatch.setattr(ExportGate, "refusal", refusal)

    return refuse


def test_weights_that_bf16_changes_are_served_in_f32(
    tmp_path: Path,
    made: list[tuple[str, ...]],
    refusing: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the precision is ours to choose; asked for by name it is refused. Decided once."""
    monkeypatch.setattr(models, "best_precision", lambda: "bf16")
    refusing("bf16")
    weights, serve = (
        small_weights(tmp_path / "w.safetensors"),
        models.server([tmp_path / "models"]),
    )

    served = [serve("classifier", weights, "auto") for _ in range(2)]

    for one in served:
        assert getattr(one.run, "precision", "") == "f32"
        (remark,) = one.remarks
        assert remark == "w.safetensors: served in f32, for bf16: 9 % of the decisions changed"
    with pytest.raises(GateRefusedError, match=r"w\.safetensors: bf16"):
        serve("classifier", weights, "bf16")
    assert made == [("f32", "bf16")]


def test_a_model_is_compared_before_it_runs_in_another_precision(
    tmp_path: Path, made: list[tuple[str, ...]]
) -> None:
    """Made on a machine without bf16, it has not been seen to decide there as in f32."""
    weights, serve = (
        small_weights(tmp_path / "w.safetensors"),
        models.server([tmp_path / "models"]),
    )
    serve("classifier", weights, "f32")

    serve("classifier", weights, "bf16")
    serve("classifier", weights, "f32")

    assert made == [("f32",), ("f32", "bf16")]


@pytest.mark.parametrize("precision", ["auto", "f32"])
def test_weights_that_openvino_does_not_run_as_torch_does_are_run_by_torch(
    precision: Precision,
    tmp_path: Path,
    made: list[tuple[str, ...]],
    refusing: Callable[..., None],
) -> None:
    """A node goes on with them, more slowly, on a processor whose rounding nobody has measured."""
    refusing("f32")
    weights, serve = (
        small_weights(tmp_path / "w.safetensors"),
        models.server([tmp_path / "models"]),
    )

    served = serve("classifier", weights, precision)

    assert len(made) == 1
    assert "served by torch" in served.remarks[-1]
    (stack,) = noise("classifier", 1, lambda: None)
    net = classifier_network(SMALL.name)
    net.load_state_dict(load_weights(weights, "classifier").state)
    with torch.inference_mode():
        truth = net.eval()(torch.from_numpy(stack))
    for found, one in zip(served.run(stack), truth, strict=False):
        np.testing.assert_allclose(found, one.numpy(), atol=1e-5)


def child(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    """Have another program make models."""
    monkeypatch.setattr(models, "COMMAND", (sys.executable, "-c", source))
    monkeypatch.setattr(models, "NVIDIA", ())


@pytest.mark.parametrize(
    ("source", "kind", "told"),
    [
        ("print('{\"error\": \"no fit\", \"kind\": \"WeightsError\"}'); exit(1)",
         WeightsError, "no fit"),
        ("print('a library speaks'); print('{\"error\": \"full\", \"kind\": \"X\"}'); exit(1)",
         RadnetError, "full"),
        ("raise SystemExit('Killed for memory')", RadnetError, "status 1: Killed for memory"),
        ("pass", RadnetError, "was made, yet is not there"),
    ],
    ids=["weights", "disk", "died", "silent"],
)  # fmt: skip
def test_what_kept_a_model_from_being_made_is_told(
    source: str,
    kind: type[RadnetError],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By its kind: weights that are wrong are the operator's input."""
    child(monkeypatch, source)

    with pytest.raises(kind, match=told):
        models.server([tmp_path / "models"])(
            "classifier", small_weights(tmp_path / "w.safetensors"), "f32"
        )


def test_who_stops_waiting_ends_the_process_that_makes_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is to end does not wait for a minute."""
    finished = tmp_path / "finished"
    child(
        monkeypatch,
        f"import time; print('{{\"done\": 0.5}}', flush=True); time.sleep(3); "
        f"open({str(finished)!r}, 'w')",
    )
    seen: list[float] = []

    def told(_task: str, done: float) -> None:
        seen.append(done)
        if done:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        models.server([tmp_path / "models"], told)(
            "classifier", small_weights(tmp_path / "w.safetensors"), "f32"
        )

    assert seen == [0.0, 0.5]
    assert not finished.exists(), "it was waited for"


def test_models_lie_where_the_environment_says_or_among_the_users_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node keeps its own in its data folder."""
    monkeypatch.delenv(kept.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)

    assert model_folders() == (tmp_path / "radnet-node" / "models",)
    assert model_folders(tmp_path / "data") == (tmp_path / "data",)
    monkeypatch.setenv(kept.VARIABLE, str(tmp_path / "named"))
    assert model_folders(tmp_path / "data") == (tmp_path / "named",)


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the root of a virtual environment that seems to be ours."""
    root = tmp_path / "environment"
    root.mkdir()
    monkeypatch.delenv(kept.VARIABLE, raising=False)
    monkeypatch.setattr(sys, "prefix", str(root))
    return root


def test_who_installs_and_runs_makes_models_once_for_all_data_folders(
    environment: Path, tmp_path: Path, made: list[tuple[str, ...]]
) -> None:
    """The second node on a machine starts as fast as the first after its making."""
    weights = small_weights(tmp_path / "w.safetensors")

    for node in ("first", "second"):
        models.server(model_folders(tmp_path / node))("classifier", weights, "f32")

    assert len(made) == 1
    assert list((environment / INSTALLED).glob("classifier-*"))
    assert not (tmp_path / "first").exists()


def test_who_may_not_write_there_takes_what_is_there_and_makes_the_rest_in_the_own_folder(
    environment: Path,
    tmp_path: Path,
    made: list[tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A service beside an environment of root's."""
    weights = small_weights(tmp_path / "w.safetensors")
    models.server([environment / INSTALLED])("classifier", weights, "f32")
    monkeypatch.setattr(os, "access", lambda *_: False)
    own = tmp_path / "node" / "models"
    folders = model_folders(own)
    assert folders == (environment / INSTALLED, own)
    assert making_folder(folders) == own

    models.server(folders)("classifier", weights, "f32")
    assert len(made) == 1
    models.server(folders)("classifier", small_weights(tmp_path / "b.safetensors", seed=1), "f32")

    assert len(made) == 2
    assert len(list(own.glob("classifier-*"))) == 1


def test_what_others_may_have_put_into_the_environment_is_not_run(
    environment: Path, tmp_path: Path, made: list[tuple[str, ...]]
) -> None:
    """As in a folder of one's own."""
    weights = small_weights(tmp_path / "w.safetensors")
    models.server([environment / INSTALLED])("classifier", weights, "f32")
    (environment / INSTALLED).chmod(0o777)

    models.server(model_folders(tmp_path / "own"))("classifier", weights, "f32")

    assert len(made) == 2
    assert list((tmp_path / "own").glob("classifier-*"))


def test_a_named_folder_counts_alone(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the environment's and the caller's."""
    monkeypatch.setenv(kept.VARIABLE, str(tmp_path / "named"))

    assert environment.is_dir()
    assert model_folders(tmp_path / "own") == (tmp_path / "named",)


def test_torch_serves_where_openvino_cannot_run_what_was_made(
    tmp_path: Path, made: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slower, and told: a node that does not start sends nothing."""
    weights, serve = (
        small_weights(tmp_path / "w.safetensors"),
        models.server([tmp_path / "models"]),
    )
    serve("classifier", weights, "f32")

    def broken(*_: object) -> None:
        raise RuntimeError("Exception from core.cpp:\nno primitive for MaxPool\n\n")

    monkeypatch.setattr(models, "OpenVinoRuntime", broken)
    served = serve("classifier", weights, "auto")

    (remark,) = served.remarks
    assert "served by torch" in remark
    assert "no primitive for MaxPool" in remark
    assert made
    (stack,) = noise("classifier", 1, lambda: None)
    assert served.run(stack)
