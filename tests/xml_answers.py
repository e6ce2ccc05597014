"""STOW-RS answers in XML."""

from typing import Final

NATIVE: Final = "http://dicom.nema.org/PS3.19/models/NativeDICOM"


def _attribute(tag: str, vr: str, value: object) -> str:
    value = f'<Value number="1">{value}</Value>'
    return f'<DicomAttribute tag="{tag}" vr="{vr}">{value}</DicomAttribute>'


def xml_item(uid: str, tag: str = "", reason: int = 0) -> str:
    """Return an item of a sequence in the Native DICOM Model (PS3.19 Section A.1)."""
    named = _attribute("00081155", "UI", uid)
    why = _attribute(tag, "US", reason)
    return f'<Item number="1">{named}{why if tag else ""}</Item>'


def xml(stored: str = "", failed: str = "", space: str = "") -> bytes:
    """Return a Store Instances Response in XML."""
    parts = [("00081199", stored), ("00081198", failed)]
    sequences = "".join(
        f'<DicomAttribute tag="{tag}" vr="SQ" keyword="X">{items}</DicomAttribute>'
        for tag, items in parts
        if items
    )
    return f'<?xml version="1.0"?><NativeDicomModel{space}>{sequences}</NativeDicomModel>'.encode()
