"""What a STOW-RS server says of the instances it was sent: a pure reading of its answer.

Nothing is believed of a body that names no instance. That 200 means that all were stored (PS3.18
Table 10.5.3-1) is what the server would say; a portal or a proxy before it says 200, too.

References
----------
DICOM PS3.18 Section I.2: Store Instances Response Module; PS3.18 Annex F (JSON), PS3.19 Annex A
(XML: Native DICOM Model).
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final
from xml.etree import ElementTree

from node.deliver.peer_statuses import PeerStatus

_REFERENCED: Final = "00081199"
_FAILED: Final = "00081198"
_INSTANCE: Final = "00081155"
_WARNING_REASON: Final = "00081196"
_FAILURE_REASON: Final = "00081197"
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    OverflowError,
    RecursionError,
)
"""What reading a stranger's answer may raise."""

Values = Callable[[Any, str], list[Any]]
"""Returns the values of an attribute of a data set by its tag; items of a sequence are values."""


def statuses(content: bytes) -> dict[str, int]:
    """Return a status by SOP Instance UID; an instance that is named as failed, too, has failed.

    Parameters
    ----------
    content : bytes
        The body of the answer, in JSON or XML; its type is what it begins with.

    Returns
    -------
    dict[str, int]
        Empty where the body is no such answer, or one item of it says nothing that can be read.
    """
    try:
        sets, values = _data_sets(content)
        named = [reference for ds in sets for reference in _of_sequence(ds, values, _REFERENCED)]
        named += [reference for ds in sets for reference in _of_sequence(ds, values, _FAILED)]
    except _UNREADABLE:
        return {}
    return dict(named)


def holds(content: bytes, sop_instance_uid: str) -> bool | None:
    """Tell whether the answer to a search names an instance; None where it is no such answer.

    References
    ----------
    DICOM PS3.18 Section 10.6.
    """
    try:
        sets, values = _data_sets(content)
        return any(sop_instance_uid in values(ds, "00080018") for ds in sets)
    except _UNREADABLE:
        return None


def _of_sequence(ds: Any, values: Values, sequence: str) -> Iterator[tuple[str, int]]:
    for item in values(ds, sequence):
        (uid,) = values(item, _INSTANCE)
        tag, otherwise = (
            (_FAILURE_REASON, PeerStatus.PROCESSING_FAILURE)
            if sequence == _FAILED
            else (_WARNING_REASON, PeerStatus.SUCCESS)
        )
        reasons = [int(code) for code in values(item, tag)]
        reason = reasons[0] if reasons else int(otherwise)
        if sequence == _FAILED and reason == PeerStatus.SUCCESS:
            reason = PeerStatus.PROCESSING_FAILURE
        yield str(uid), reason


def _data_sets(content: bytes) -> tuple[list[Any], Values]:
    start = content[:100].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"<"):
        return _xml(content), _xml_values
    found = json.loads(content)
    return (found if isinstance(found, list) else [found]), _json_values


def _json_values(ds: Any, tag: str) -> list[Any]:
    found = ds.get(tag, {}).get("Value") or []
    if not isinstance(found, list):
        raise TypeError(f"{tag} has no list of values")
    return found


class _Plain(ElementTree.TreeBuilder):
    """Builds a tree of a document that defines no entities of its own: they may unfold."""

    def doctype(self, *_: object) -> None:
        """Refuse a document type.

        Raises
        ------
        ValueError
            Always.
        """
        raise ValueError("a document type in a DICOM answer")


def _xml(content: bytes) -> list[Any]:
    parser = ElementTree.XMLParser(target=_Plain())  # noqa: S314 - without a document type
    try:
        parser.feed(content)
        root: ElementTree.Element = parser.close()
    except ElementTree.ParseError as error:
        raise ValueError("no XML") from error
    return [element for element in root.iter() if _name(element) == "NativeDicomModel"]


def _xml_values(ds: ElementTree.Element, tag: str) -> list[Any]:
    for attribute in ds:
        if _name(attribute) == "DicomAttribute" and attribute.get("tag", "").upper() == tag:
            return [
                element if _name(element) == "Item" else (element.text or "").strip()
                for element in attribute
                if _name(element) in ("Item", "Value")
            ]
    return []


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
