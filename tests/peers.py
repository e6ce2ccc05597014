"""The real peers the tests talk to: where they are, and how to start one for a test."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import httpx
import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
NO_NAGLE: Final = {"TCP_NODELAY": "1"}
"""dcmtk and Orthanc stall about 50 ms per instance on loopback without it."""

DCMTK_TOOLS: Final = ("storescu", "storescp", "echoscu", "dciodvfy", "dsrdump")


def missing(what: str) -> NoReturn:
    """Skip the test for want of a peer, or fail it where ``REQUIRE_PEERS=1`` forbids that."""
    if os.environ.get("REQUIRE_PEERS") == "1":
        pytest.fail(f"{what} is not here, and REQUIRE_PEERS=1: run `make peers`")
    pytest.skip(f"{what} is not here: run `make peers`")


def tool(name: str) -> str:
    """Return the path of a program of dcmtk or dicom3tools; skip or fail without it."""
    # pynetdicom installs programs of the same names in an activated environment.
    ours = str(Path(sys.prefix) / "bin")
    elsewhere = [folder for folder in os.get_exec_path() if folder != ours]
    path = shutil.which(name, path=os.pathsep.join(elsewhere))
    if path is None:
        missing(name)
    return str(path)


def orthanc_launcher() -> Path:
    """Return what starts Orthanc 1.12: ``$RADNET_ORTHANC``, or the one of `make peers`."""
    launcher = Path(os.environ.get("RADNET_ORTHANC", ROOT / ".peers/orthanc/orthanc"))
    if not os.access(launcher, os.X_OK):
        missing("Orthanc 1.12")
    return launcher


def free_port() -> int:
    """Return a TCP port nothing listens on, and that nobody else is given while we run.

    It stays bound and not listened on: the kernel gives it to no other socket that asks for any
    port, neither a server nor a client, while whoever says SO_REUSEADDR, as all our peers do,
    can listen on it.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    port = int(held.getsockname()[1])
    held.detach()  # open until this process ends
    return port


@contextmanager
def running_storescp(
    program: str, folder: Path, port: int, *options: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run dcmtk's storescp on a port, writing what it gets to `folder`."""
    folder.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [program, "-od", str(folder), *options, str(port)],
        env=os.environ | NO_NAGLE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_listening(port, process)
        yield process
    finally:
        process.kill()
        process.wait()


def _wait_until_listening(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("storescp did not come up")


class RunningPostgresql:
    """A PostgreSQL of our own, on a socket in its folder and on no network.

    It refuses to run as root: then its programs run as the user ``postgres`` that apt made.
    """

    def __init__(self, folder: Path) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not found:
            missing("PostgreSQL")
        self._bin = found[-1].parent
        self.folder = folder
        self._data = folder / "data"
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        self._do("initdb", "-D", str(self._data), "-A", "trust", "-U", "node", "-E", "UTF8")
        self.start()

    @property
    def url(self) -> str:
        """SQLAlchemy URL of its only database."""
        return f"postgresql+psycopg://node@/postgres?host={self.folder}&port=5432"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = f"-k {self.folder} -c listen_addresses= -c fsync=off"
        log = str(self.folder / "log")
        self._do("pg_ctl", "-D", str(self._data), "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        """Stop it at once, as a crash would: open transactions are lost."""
        self._do("pg_ctl", "-D", str(self._data), "-w", "-m", "immediate", "stop")

    def _do(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/")
        if done.returncode:
            pytest.fail(f"{program}: {done.stderr.decode(errors='replace')[-1000:]}")


@contextmanager
def running_postgresql() -> Iterator[RunningPostgresql]:
    """Run an empty PostgreSQL; its folder is short, for a socket's path may have 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="radpg"))
    try:
        server = RunningPostgresql(folder)
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class RunningOrthanc:
    """An Orthanc of our own, empty at the start.

    Attributes
    ----------
    url : str
        REST API, without a slash at the end.
    dicomweb_url : str
        DICOMweb root.
    dicom_port : int
        Where its Storage SCP listens, on 127.0.0.1.
    ae_title : str
    folder : Path
        Its storage, configuration and log.
    pid : int
        Its process.
    """

    url: str
    dicomweb_url: str
    dicom_port: int
    ae_title: str
    folder: Path
    pid: int

    def get(self, path: str) -> Any:
        """Return the JSON at a path of the REST API."""
        response = httpx.get(f"{self.url}{path}", timeout=30)
        response.raise_for_status()
        return response.json()

    def post(self, path: str, content: Any) -> Any:
        """Post JSON to a path of the REST API; return the JSON of the answer."""
        response = httpx.post(f"{self.url}{path}", json=content, timeout=60)
        response.raise_for_status()
        return response.json()

    def store(self, *instances: bytes) -> None:
        """Give it DICOM files, one after the other."""
        with httpx.Client(timeout=60) as client:
            for instance in instances:
                client.post(f"{self.url}/instances", content=instance).raise_for_status()

    def text(self, path: str) -> str:
        """Return the text at a path of the REST API."""
        response = httpx.get(f"{self.url}{path}", timeout=30)
        response.raise_for_status()
        return response.text

    def file(self, sop_instance_uid: str) -> bytes:
        """Return the Part 10 file it holds under a SOP Instance UID."""
        (found,) = httpx.post(
            f"{self.url}/tools/lookup", content=sop_instance_uid, timeout=30
        ).json()
        return httpx.get(f"{self.url}{found['Path']}/file", timeout=60).content

    def sop_instance_uids(self) -> set[str]:
        """Return the UIDs of all instances it holds."""
        expanded = self.get("/instances?expand")
        return {str(item["MainDicomTags"]["SOPInstanceUID"]) for item in expanded}


@contextmanager
def running_orthanc(folder: Path, **overrides: Any) -> Iterator[RunningOrthanc]:
    """Start an Orthanc with the configuration of ``orthanc/``; stop it at the end.

    Parameters
    ----------
    folder : Path
        Empty; gets its storage, configuration and log.
    **overrides : Any
        Keys of the configuration to set otherwise.
    """
    launcher = orthanc_launcher()
    template = json.loads((ROOT / "orthanc/orthanc.json").read_text(encoding="utf-8"))
    http_port, dicom_port = free_port(), free_port()
    plugins = launcher.resolve().parent / "root/usr/share/orthanc/plugins"
    configuration: Mapping[str, Any] = template | {
        "HttpPort": http_port,
        "DicomPort": dicom_port,
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "Plugins": [str(plugins / Path(plugin).name) for plugin in template["Plugins"]],
        "SyncStorageArea": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        **overrides,
    }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(configuration), encoding="utf-8")
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(
            [str(launcher), str(path)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | NO_NAGLE,
        )
    orthanc = RunningOrthanc(
        f"http://127.0.0.1:{http_port}",
        f"http://127.0.0.1:{http_port}/dicom-web",
        int(configuration["DicomPort"]),
        str(configuration["DicomAet"]),
        folder,
        process.pid,
    )
    try:
        _wait_until_up(orthanc, process)
        yield orthanc
    finally:
        process.kill()  # it takes 3 s to end in good order, and its storage is thrown away
        process.wait()


def _wait_until_up(orthanc: RunningOrthanc, process: "subprocess.Popen[bytes]") -> None:
    """Poll both of its ports: HTTP answers before the Storage SCP listens."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(f"{orthanc.url}/system", timeout=5)  # 401 is an answer too
            socket.create_connection(("127.0.0.1", orthanc.dicom_port), timeout=5).close()
        except (httpx.TransportError, OSError):
            time.sleep(0.05)
        else:
            return
    log = (orthanc.folder / "orthanc.log").read_text(errors="replace")
    pytest.fail(f"Orthanc did not come up:\n{log[-2000:]}")
