"""The whole node in front of one's eyes: start it, send it a study, watch the result come."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import pydicom
from pydicom.errors import InvalidDicomError
from rich.console import Console

from node.cli.study_tables import described
from node.deliver.destination import Destination
from node.errors import DeliveryError, NodeError
from node.store.catalog import Catalog
from node.supervise import CommandLine, Supervisor
from node.views.study import StudyView, view_of_study

START_LIMIT_S: Final = 120.0
RESULT_LIMIT_S: Final = 1800.0
_LOOK_S: Final = 0.3
_VIEWER_S: Final = 5.0


@contextmanager
def running_node(command: CommandLine, stop: threading.Event) -> Iterator[None]:
    """Run receiver and worker while the block runs."""
    supervisor = Supervisor(command, ("receive", "work"))
    thread = threading.Thread(target=supervisor.run, args=(stop,), name="supervisor")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def wait_until_up(receiver: Destination, stop: threading.Event) -> None:
    """Return when the receiver answers C-ECHO.

    Raises
    ------
    NodeError
        If it does not within `START_LIMIT_S`.
    """
    deadline = time.monotonic() + START_LIMIT_S
    while not stop.wait(_LOOK_S):
        try:
            receiver.check()
        except DeliveryError as error:
            if time.monotonic() > deadline:
                raise NodeError(f"the receiver does not answer: {error}") from error
        else:
            return


def viewer_answers(address: str) -> bool:
    """Tell whether our settings of OHIF are served at an address, as `orthanc/viewer.py` does."""
    try:
        answer = httpx.get(f"{address}/app-config.js", timeout=_VIEWER_S, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL):
        return False
    return answer.is_success


def studies_in(folder: Path) -> list[str]:
    """Return the Study Instance UIDs of the DICOM files in a folder (or of one file)."""
    found: dict[str, None] = {}
    for file in sorted(folder.rglob("*")) if folder.is_dir() else [folder]:
        if file.is_file():
            try:
                header = pydicom.dcmread(file, specific_tags=["StudyInstanceUID"])
            except (InvalidDicomError, OSError):
                continue
            found[str(header.get("StudyInstanceUID", ""))] = None
    return [uid for uid in found if uid]


def wait_for_results(
    catalog: Catalog, studies: list[str], console: Console, stop: threading.Event
) -> None:
    """Print each series when its findings come; return when all is delivered.

    Raises
    ------
    NodeError
        If that takes longer than `RESULT_LIMIT_S`.
    """
    deadline = time.monotonic() + RESULT_LIMIT_S
    shown: set[str] = set()
    with console.status("Waiting for the node"):
        while True:
            found = [view_of_study(catalog, study) for study in studies]
            _tell_news(found, shown, console)
            if all(study is not None and study.is_finished for study in found) or stop.wait(
                _LOOK_S
            ):
                return
            if time.monotonic() > deadline:
                raise NodeError("the node did not finish; `radnode status` shows where it stands")


def _tell_news(studies: list[StudyView | None], shown: set[str], console: Console) -> None:
    for series in (row for study in studies if study is not None for row in study.series):
        uid = series.series_instance_uid
        if series.findings and uid not in shown:
            shown.add(uid)
            text = described(series.findings).plain.replace("\n", ", ")
            console.print(f"recognised {uid}: {text}", markup=False, highlight=False)
