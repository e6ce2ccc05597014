"""OHIF in a headless Chromium on an Orthanc of a test, and what its page shows."""

import base64
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import ConsoleMessage, Page, Request, Response, sync_playwright

from tests.peers import ROOT, free_port, missing

OHIF: Final = ROOT / ".peers/ohif"
SCREENSHOTS: Final = ROOT / "var/screenshots"
WAIT_MS: Final = 120_000
"""For a busy machine; every wait is for a condition."""

CHROMIUM: Final = (
    "--no-sandbox",  # the tests of CI run as root
    "--disable-gpu",  # WebGL is drawn by the processor
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
)

LABELMAP: Final = """() => {
  const [segmentation] = window.services.segmentationService.getSegmentations();
  const { cache } = window.cornerstone;
  return segmentation.representationData.Labelmap.imageIds.map(id => {
    const image = cache.getImage(id);
    const pixels = image.voxelManager?.getScalarData() ?? image.getPixelData();
    let bytes = '';
    for (const value of pixels) bytes += String.fromCharCode(value);
    const uid = window.cornerstone.metaData.get('sopCommonModule', image.referencedImageId);
    return [uid.sopInstanceUID, image.rows, image.columns, btoa(bytes)];
  });
}"""

SHOWN: Final = """() => {
  const { viewports } = window.services.viewportGridService.getState();
  const sets = window.services.displaySetService;
  return [...viewports.values()].map(({ viewportId, displaySetInstanceUIDs }) => {
    const { cornerstoneViewportService } = window.services;
    const viewport = cornerstoneViewportService.getCornerstoneViewport(viewportId);
    const shown = window.cornerstone.metaData.get('sopCommonModule', viewport.getCurrentImageId());
    return {
      id: viewportId,
      series: displaySetInstanceUIDs.map(uid => sets.getDisplaySetByUID(uid).SeriesInstanceUID),
      slice: shown.sopInstanceUID,
    };
  });
}"""

OVERLAID: Final = """viewport =>
  window.services?.segmentationService?.getSegmentationRepresentations(viewport)?.length > 0"""


@dataclass
class OpenedPage:
    """A page of OHIF, and what it complained of and asked for elsewhere.

    Attributes
    ----------
    errors : list of str
        Of its console, and exceptions nobody caught.
    foreign : list of str
        Requests to another host.
    unanswered : list of str
        Requests that failed, each with its status.
    """

    page: Page
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)

    def shown(self) -> list[dict[str, Any]]:
        """Return each viewport: its id, the series in it, and the UID of its slice."""
        found: list[dict[str, Any]] = self.page.evaluate(SHOWN)
        return found

    def wait_for_overlay(self, viewport: str) -> None:
        """Return when a segmentation is drawn in a viewport."""
        self.page.wait_for_function(OVERLAID, arg=viewport, timeout=WAIT_MS)

    def labelmap(self) -> dict[str, NDArray[np.uint8]]:
        """Return what the page decoded of the first segmentation: [row, column] by SOP UID."""
        return {
            str(uid): np.frombuffer(base64.b64decode(data), np.uint8).reshape(rows, columns)
            for uid, rows, columns, data in self.page.evaluate(LABELMAP)
        }

    def keep_picture(self, name: str) -> None:
        """Leave what the page shows for a person to look at."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")

    def note_console(self, message: ConsoleMessage) -> None:
        """Keep what the page complains of."""
        if message.type == "error":
            self.errors.append(message.text)

    def note_response(self, response: Response) -> None:
        """Keep what was refused."""
        if response.status >= 400:
            self.unanswered.append(f"{response.status} {response.url}")

    def note_failure(self, request: Request) -> None:
        """Keep what had no answer."""
        self.unanswered.append(f"{request.failure} {request.url}")

    def note_request(self, request: Request) -> None:
        """Keep where it asks anybody but this machine."""
        if not re.match(r"(http://127\.0\.0\.1:\d+/|blob:|data:)", request.url):
            self.foreign.append(request.url)


@contextmanager
def running_viewer(orthanc: str, log: Path, ohif: Path = OHIF) -> Iterator[str]:
    """Run `orthanc/viewer.py` on the Orthanc at an address; give its own."""
    if not (ohif / "index.html").is_file():
        missing("OHIF")
    port = free_port()
    command = [sys.executable, str(ROOT / "orthanc/viewer.py"), "--ohif", str(ohif)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--orthanc", orthanc, "--port", str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_up(address, process, log)
        yield address
    finally:
        process.terminate()
        process.wait()


def _wait_until_up(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(f"{address}/app-config.js", timeout=5)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"the viewer did not come up:\n{log.read_text(errors='replace')[-2000:]}")


@contextmanager
def opened(address: str, study_instance_uid: str) -> Iterator[OpenedPage]:
    """Open a study in a new browser, as a radiologist's link does; nothing is clicked."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        missing("Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM))
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        # The tour of new users would lie over the images.
        page.add_init_script("localStorage.setItem('shownTours', '[\"basicViewerTour\"]')")
        watched = OpenedPage(page)
        page.on("console", watched.note_console)
        page.on("pageerror", lambda error: watched.errors.append(str(error)))
        page.on("request", watched.note_request)
        page.on("requestfailed", watched.note_failure)
        page.on("response", watched.note_response)
        page.goto(
            f"{address}/viewer?StudyInstanceUIDs={study_instance_uid}",
            wait_until="domcontentloaded",
        )
        try:
            yield watched
        except BaseException as error:
            error.add_note(f"the page complained of {watched.errors}")
            error.add_note(f"had no answer to {watched.unanswered}")
            raise
        finally:
            browser.close()
