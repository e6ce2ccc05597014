"""The scripts that hang studies in OHIF, run by Node.js on display sets as OHIF has them."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

from pydicom import Dataset
from pydicom.datadict import keyword_for_tag

from tests.peers import ROOT, missing

SCRIPTS: Final = ROOT / "orthanc/ohif"
DisplaySet = dict[str, Any]


def run_script(folder: Path, body: str, given: Any) -> Any:
    """Return what the body of a function of `given` returns; `modules` holds every script.

    Parameters
    ----------
    folder
        Of the test: the scripts are copied there, for Node.js takes a .js for a module only
        where a package says so. Browsers are told by the way they are loaded.
    body
        JavaScript.
    given
        Whatever JSON can hold.
    """
    node = shutil.which("node")
    if node is None:
        missing("Node.js")
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    names = [path.name for path in SCRIPTS.glob("*.js") if path.name != "app-config.js"]
    for name in names:
        shutil.copy(SCRIPTS / name, folder / name)
    imports = ", ".join(f"...await import('./{name}')" for name in names)
    (folder / "main.mjs").write_text(
        f"""import {{ readFileSync }} from 'node:fs';
const modules = {{ {imports} }};
const given = JSON.parse(readFileSync(0, 'utf8'));
console.log(JSON.stringify((() => {{ {body} }})() ?? null));
""",
        encoding="utf-8",
    )
    done = subprocess.run(
        [node, "main.mjs"],
        cwd=folder,
        input=json.dumps(given).encode(),
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")
    return json.loads(done.stdout)


def naturalized(dicom_json: dict[str, Any]) -> dict[str, Any]:
    """Return DICOM JSON (PS3.18 Annex F) by keywords, a single value as it is: what OHIF keeps."""
    found = {}
    for tag, element in dicom_json.items():
        keyword = keyword_for_tag(tag)
        values = element.get("Value")
        if not keyword or values is None:
            continue
        if element["vr"] == "SQ":
            found[keyword] = [naturalized(item) for item in values]
        else:
            found[keyword] = values[0] if len(values) == 1 else values
    return found


def report_set(*reports: Dataset) -> DisplaySet:
    """Return the display set of one series of reports."""
    instances = [naturalized(report.to_json_dict()) for report in reports]
    first = instances[0]
    uids = {key: first[key] for key in ("StudyInstanceUID", "SeriesInstanceUID")}
    return {**uids, "Modality": "SR", "instance": instances[-1], "instances": instances}


def image_set(
    study: str, series: str, modality: str = "MR", number: int = 1, **header: Any
) -> DisplaySet:
    """Return the display set of a series of one image."""
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
    image = {**uids, "SOPInstanceUID": f"{series}.1", "PatientID": "A", **header}
    return {
        **uids,
        "displaySetInstanceUID": f"set of {series}",
        "Modality": modality,
        "SeriesNumber": number,
        "images": [image],
        "instances": [image],
    }
