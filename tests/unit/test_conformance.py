"""The conformance statement says what the receiver does."""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID

from node.classify.recognition_report import SERIES_DESCRIPTION, TITLE
from node.model.findings import FINDINGS
from node.receive.negotiation import NON_PATIENT, SERVICES, is_stored, is_walked
from node.receive.statuses import StoreStatus
from radnet.labels.vocabulary import LOCAL_SCHEME

STATEMENT = (Path(__file__).resolve().parents[2] / "deploy/CONFORMANCE.md").read_text(
    encoding="utf-8"
)


def section(title: str) -> dict[str, str]:
    """Return the first two columns of a section's table."""
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", STATEMENT, re.DOTALL | re.MULTILINE)
    rows = re.findall(r"^\| ([0-9A-F][0-9A-F.]+) \| (.*?) \|", found, re.MULTILINE)
    return dict(rows)


def named(uids: Iterable[str]) -> dict[str, str]:
    """Return UIDs with the names that PS3.6 gives them."""
    found = {}
    for uid in uids:
        known = UID(uid)
        found[uid] = f"{known.name} (retired)" if known.is_retired and known.name else known.name
    return {uid: name or "retired, without a name" for uid, name in found.items()}


@pytest.mark.parametrize(
    ("title", "right"),
    [
        ("Services", dict(SERVICES)),
        (
            "Stored",
            named(uid for uid in UID_dictionary if is_stored(uid) and uid not in NON_PATIENT),
        ),
        ("Stored, of no patient", dict(NON_PATIENT)),
        ("Transfer syntaxes", named(uid for uid in UID_dictionary if is_walked(uid))),
    ],
)
def test_the_tables_are_those_of_the_code(title: str, right: dict[str, str]) -> None:
    """A class that is added, or that pydicom learns, is stated."""
    assert section(title) == right


def test_every_code_of_our_own_is_stated() -> None:
    """Whoever reads our reports finds them nowhere else."""
    kinds = [
        code for kind in FINDINGS.values() for code in (kind.concept, *kind.value_codes.values())
    ]
    own = {
        code.value: code.meaning
        for code in (TITLE, *kinds)
        if code and code.scheme_designator == LOCAL_SCHEME
    }
    (objects,) = re.findall(r"^## Objects made\n(.*?)^## ", STATEMENT, re.DOTALL | re.MULTILINE)

    assert dict(re.findall(r"^\| ([A-Z][A-Z0-9_-]+) \| (.*?) \|$", objects, re.MULTILINE)) == own
    liver = "Liver segmentation (3D-RADNet)"
    for description in (SERIES_DESCRIPTION, liver, f"Contours of {liver}"):
        assert f"| `{description}` |" in objects


def test_every_status_is_stated() -> None:
    """An operator looks them up."""
    told = section("Statuses of a C-STORE response")

    assert set(told) == {f"{one.value:04X}" for one in StoreStatus}
