"""A bad image costs itself: its decoder runs elsewhere, within limits, and is replaced."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import get_frame
from pydicom.pixels.utils import as_pixel_options
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from radnet.errors import UndecodableError, UnusableVolumeError
from radnet.volume import decoder_pool
from radnet.volume.decoder_pool import Children, Limits
from radnet.volume.decoding import DESCRIBED_BY, decoded, plain_file
from radnet.volume.headers import read_file
from radnet.volume.pixels import stored_values
from radnet.volume.series import read_volume
from tests.hostile_pixels import HOSTILE, put, rle_panic
from tests.made_ct import SHAPE, made_slice, write_ct
from tests.node_process import wait_for

STUB = (sys.executable, "-P", str(Path(__file__).parents[1] / "decoder_stub.py"))
LIMITS = Limits(cpu_s=1, memory=200 << 20)


@pytest.fixture
def stubs() -> Iterator[Children]:
    """Return two processes that do as they are told."""
    pool = Children(2, STUB)
    yield pool
    pool.close()


def _ask(pool: Children, act: str, limits: Limits = LIMITS) -> int:
    with Path(os.devnull).open() as file:
        return int(pool.ask({"act": act}, file.fileno(), limits)["pid"])


def _rle(ds: Dataset, _index: int) -> None:
    ds.compress(RLELossless, generate_instance_uid=False)


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_one_bad_slice_is_named_and_the_next_series_is_read(
    tmp_path: Path, hostile: Callable[[Dataset], None]
) -> None:
    """Whatever its decoder does, this process goes on, and so do the decoders."""

    def third(ds: Dataset, index: int) -> None:
        if index == 2:
            hostile(ds)
        else:
            _rle(ds, index)

    paths = write_ct(tmp_path / "bad", third)
    uid = read_file(paths[2], pixels=False).SOPInstanceUID

    with pytest.raises(UnusableVolumeError) as refused:
        read_volume(paths)

    assert uid in str(refused.value) or "different values of Rows" in str(refused.value)
    assert read_volume(write_ct(tmp_path / "good", _rle)).shape == SHAPE


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_spoiled_frames_are_an_image_or_a_reason(tmp_path: Path, syntax: UID) -> None:
    """Whatever stands in a code stream: what is decoded is of the promised shape, or refused."""
    rng = np.random.default_rng(12)
    ds = made_slice(1)
    ds.Rows, ds.Columns = 64, 64
    ds.PixelData = rng.bytes(2 * 64 * 64)
    ds["PixelData"].VR = "OW"
    ds.BitsStored, ds.HighBit = 16, 15
    ds.compress(syntax, generate_instance_uid=False)
    whole = get_frame(ds.PixelData, 0, number_of_frames=1)
    path = tmp_path / "spoiled.dcm"
    for _ in range(12):
        frame = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            frame[rng.integers(min(len(frame), 200))] = int(rng.integers(256))
        put(ds, bytes(frame), syntax)
        ds.save_as(path, enforce_file_format=True)
        with suppress(UndecodableError):
            assert decoded(path, read_file(path, pixels=False)).shape == (64, 64)


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_bad_image_is_written_in_a_plain_syntax(
    tmp_path: Path, hostile: Callable[[Dataset], None]
) -> None:
    """Transcoding for a destination has the same decoders, and the same limits."""
    path = write_ct(tmp_path, lambda ds, _: hostile(ds))[0]

    with (
        pytest.raises(UndecodableError),
        plain_file(path, read_file(path, pixels=False), ExplicitVRLittleEndian),
    ):
        pass


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_plain_copy_is_a_whole_file_until_it_is_let_go(tmp_path: Path, syntax: UID) -> None:
    """It is read like any file, and leaves nothing behind."""
    path = write_ct(tmp_path, _rle)[0]
    native = dcmread(write_ct(tmp_path / "native")[0])

    with plain_file(path, read_file(path, pixels=False), syntax) as copy:
        ds = dcmread(copy.path)

    assert ds.file_meta.TransferSyntaxUID == syntax
    assert ds.PixelData == native.PixelData
    assert ds.SOPInstanceUID == native.SOPInstanceUID
    assert not copy.path.exists()


@pytest.mark.parametrize(
    ("act", "told"),
    [
        ("loop", "not decoded within 1 s of processor time"),
        ("crash", "ended its process by SIGSEGV"),
        ("fill", "MemoryError"),
        ("leave", "ended with status 3"),
    ],
)
def test_what_a_decoder_does_to_its_process_is_the_reason(
    stubs: Children, act: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Endless loops, crashes, floods and exits are told apart; the next request is served."""
    monkeypatch.setattr(decoder_pool, "WALL_PER_CPU", 200)  # whoever else computes here

    with pytest.raises(UndecodableError, match=told):
        _ask(stubs, act)

    assert _ask(stubs, "answer")


def test_a_child_that_waits_for_nothing_is_given_up(
    stubs: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes no processor time, so that the kernel lets it be."""
    monkeypatch.setattr("radnet.volume.decoder_pool.WALL_PER_CPU", 0.2)

    with pytest.raises(UndecodableError, match=r"no answer within 0\.2 s"):
        _ask(stubs, "wait")


def test_a_child_killed_from_outside_is_no_fault_of_the_image(
    stubs: Children, tmp_path: Path
) -> None:
    """The kernel may have needed memory for another process: once more, then later."""
    assert _ask(stubs, f"once {tmp_path / 'killed'}")

    with pytest.raises(OSError, match="ended from outside"):
        _ask(stubs, "kill")


def test_children_serve_many_requests_and_wait_for_nobody(stubs: Children) -> None:
    """They are long-lived: to start one takes as long as to decode a dozen slices."""
    assert len({_ask(stubs, "answer") for _ in range(5)}) == 1


def test_a_native_file_far_larger_than_its_image_is_not_read_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pixel Data of gigabytes under a header of a few pixels would be read whole."""
    monkeypatch.setattr("radnet.volume.decoding.ADDRESS_SPACE", 1 << 20)

    def swollen(ds: Dataset, index: int) -> None:
        if index == 0:
            ds.PixelData = ds.PixelData + bytes(20 << 20)

    def here(*_arguments: object, **_named: object) -> Dataset:
        raise AssertionError("read in this process")

    path = write_ct(tmp_path, swollen)[0]
    header = read_file(path, pixels=False)
    monkeypatch.setattr("radnet.volume.decoding.read_file", here)

    with pytest.raises(UndecodableError, match="more pixels than the header promised"):
        decoded(path, header)


def test_native_pixels_are_read_by_what_describes_them_alone(tmp_path: Path) -> None:
    """Parsing the rest of the header anew took longer than all else; a decoder lacks nothing."""
    path = write_ct(tmp_path)[0]
    whole = read_file(path, pixels=True)

    part = read_file(path, pixels=True, only=DESCRIBED_BY)

    assert as_pixel_options(part) == as_pixel_options(whole)
    assert part.HighBit == whole.HighBit
    assert "PatientName" not in part
    assert np.array_equal(decoded(path, read_file(path, pixels=False)), stored_values(whole))


def test_native_pixels_are_read_without_the_rest_of_the_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What pydicom may ask for is among it, whatever this image has."""
    asked: list[object] = []

    def seen(path: Path, *, pixels: bool, only: Sequence[str] | None = None) -> Dataset:
        asked.append(only)
        return read_file(path, pixels=pixels, only=only)

    path = write_ct(tmp_path)[0]
    header = read_file(path, pixels=False)
    monkeypatch.setattr("radnet.volume.decoding.read_file", seen)
    decoded(path, header)

    assert asked == [DESCRIBED_BY]
    others = {"PlanarConfiguration", "NumberOfFrames", "FloatPixelData", "DoubleFloatPixelData"}
    assert others <= {*DESCRIBED_BY}


def test_a_panic_ends_its_process(tmp_path: Path) -> None:
    """Nobody knows what a panic left behind; pylibjpeg-rle raises it as a BaseException."""
    pool = Children(1)
    good, bad = write_ct(tmp_path / "good", _rle)[0], write_ct(tmp_path / "bad", _panic)[0]
    header, bad_header = read_file(good, pixels=False), read_file(bad, pixels=False)
    decoded(good, header, pool)
    before = pool.pids()

    with pytest.raises(UndecodableError, match="PanicException"):
        decoded(bad, bad_header, pool)

    assert decoded(good, header, pool).shape == SHAPE[1:]
    assert pool.pids() != before
    pool.close()


def _panic(ds: Dataset, _index: int) -> None:
    rle_panic(ds)


SCRIPT = """
import sys, time
from pathlib import Path
from radnet.volume.decoding import children
from radnet.volume.series import read_volume
print(read_volume(sorted(Path(sys.argv[1]).glob("*.dcm"))).shape, flush=True)
print(*children().pids(), flush=True)
{end}
"""


def _script(end: str, folder: Path) -> subprocess.Popen[str]:
    """Start a script without a guard of ``__main__``, in a folder full of shadows."""
    for name in ("pydicom", "numpy", "json", "radnet"):
        (folder / f"{name}.py").write_text("raise SystemExit('imported from the folder')")
    (folder / "script.py").write_text(SCRIPT.format(end=end))
    temporary = folder / "temporary"
    temporary.mkdir()
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(temporary)}
    return subprocess.Popen(
        [sys.executable, "-P", "script.py", str(folder)],
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("end", ["time.sleep(600)", "pass"], ids=["kill -9", "its own end"])
def test_children_end_with_their_parent_and_leave_nothing(tmp_path: Path, end: str) -> None:
    """Killed or done: no process stays, and no temporary file; the memory has no name at all."""
    write_ct(tmp_path, _rle)
    script = _script(end, tmp_path)
    assert script.stdout is not None
    shape, pids = script.stdout.readline(), script.stdout.readline()
    assert shape.strip() == str(SHAPE)
    assert pids.split()
    if end != "pass":
        script.send_signal(signal.SIGKILL)
    script.wait(60)
    script.stdout.close()

    wait_for(lambda: all(_gone(int(pid)) for pid in pids.split()), "the children's end", 30)

    assert not list((tmp_path / "temporary").iterdir())


def test_a_child_that_works_ends_with_its_parent(tmp_path: Path) -> None:
    """Even one that would loop for minutes, and would not look whether anybody listens."""
    (tmp_path / "script.py").write_text(
        "import os, sys\n"
        "from radnet.volume.decoder_pool import Children, Limits\n"
        "pool = Children(1, sys.argv[1:])\n"
        "read, write = os.pipe()\n"
        "pid = pool.ask({'act': 'answer'}, read, Limits(600, 1 << 30))['pid']\n"
        "print(pid, flush=True)\n"
        "pool.ask({'act': 'loop'}, read, Limits(600, 1 << 30))\n"
    )
    script = subprocess.Popen(
        [sys.executable, "-P", str(tmp_path / "script.py"), *STUB],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert script.stdout is not None
    pid = int(script.stdout.readline())
    script.stdout.close()
    wait_for(lambda: _cpu_ticks(pid) > 40, "the loop", 60)

    script.kill()
    script.wait(30)

    wait_for(lambda: _gone(pid), "its end", 30)


def _cpu_ticks(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().split()[13])


def test_a_child_imports_no_network_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is small, starts fast, and has nothing that a hostile image could ask it for."""
    monkeypatch.setenv("RADNODE_PASSWORD", "secret")
    pool = Children(1)
    path = write_ct(tmp_path, _rle)[0]
    decoded(path, read_file(path, pixels=False), pool)
    (pid,) = pool.pids()

    maps = Path(f"/proc/{pid}/maps").read_text()
    environment = Path(f"/proc/{pid}/environ").read_bytes()
    pool.close()

    assert not [name for name in ("libtorch", "openvino", "SimpleITK", "/scipy/") if name in maps]
    assert b"secret" not in environment
    assert _gone(pid)


def test_what_comes_back_is_mapped_and_writable_nowhere_else(tmp_path: Path) -> None:
    """The values outlive the file they came through, and their child."""
    pool = Children(1)
    path = write_ct(tmp_path, _rle)[1]
    first = decoded(path, read_file(path, pixels=False), pool)
    second = decoded(path, read_file(path, pixels=False), pool)
    pool.close()

    first[:] = 0

    assert np.array_equal(second, dcmread(path).pixel_array)
