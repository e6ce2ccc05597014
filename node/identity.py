"""Who this node is in DICOM, and the UIDs of what it makes.

The node tells its own output by the Contributing Equipment Sequence it writes into every
derived object, whoever sends that object back (a PACS re-sends under its own Implementation
Class UID). An image of others of which it filled empty attributes names it too, says so, and is
none of its own.
"""

from importlib.metadata import version
from typing import Final
from uuid import UUID, uuid5

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

SOFTWARE_VERSION: Final = version("radnet-node")
MANUFACTURER: Final = "radnet-node project"
MODEL_NAME: Final = "radnet-node"
DEVICE_SERIAL_NUMBER: Final = "0"
ALGORITHM: Final = "3D-RADNet"
"""What recognises and segments, as every result names it."""

_NAMESPACE: Final = UUID("6f6b4a0e-4f1c-5c53-9d5e-0c7a6d1e2b90")


def derived_uid(*parts: str) -> UID:
    """Return the UID that belongs to these words: the same words, the same UID.

    A step that runs twice must make the same object, so nothing here is random. The form is
    the UUID-derived UID of PS3.5 Section B.2 with a name-based UUID.

    Parameters
    ----------
    *parts : str
        For instance the source Series Instance UID, the kind of object and the revision.

    Returns
    -------
    UID
        ``2.25.`` and a number.
    """
    return UID(f"2.25.{uuid5(_NAMESPACE, chr(31).join(parts)).int}")


IMPLEMENTATION_CLASS_UID: Final = derived_uid("implementation class")
IMPLEMENTATION_VERSION_NAME: Final = f"RADNODE_{SOFTWARE_VERSION.replace('.', '_')}"[:16]


COERCED: Final = "Empty attributes filled"
"""Contribution Description (0018,A003) where the node changed an image that others made."""


def contributing_equipment() -> Dataset:
    """Return the item of Contributing Equipment Sequence (0018,A001) that names this node.

    References
    ----------
    DICOM PS3.3 Section C.12.1.1.5; CID 7005 "Contributing Equipment Purposes of Reference".
    """
    purpose = Dataset()
    purpose.CodeValue = "109103"
    purpose.CodingSchemeDesignator = "DCM"
    purpose.CodeMeaning = "Modifying Equipment"
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = Sequence([purpose])
    item.Manufacturer = MANUFACTURER
    item.ManufacturerModelName = MODEL_NAME
    item.DeviceSerialNumber = DEVICE_SERIAL_NUMBER
    item.SoftwareVersions = SOFTWARE_VERSION
    return item


def is_own_output(header: Dataset) -> bool:
    """Tell whether `header` belongs to an object that a radnet-node made.

    Where the Contributing Equipment Sequence is something else than a sequence, it names nobody.

    Parameters
    ----------
    header : Dataset
        Of one instance; it may be damaged.

    Returns
    -------
    bool
    """
    items = header.get("ContributingEquipmentSequence")
    return isinstance(items, Sequence) and any(
        item.get("Manufacturer") == MANUFACTURER
        and item.get("ManufacturerModelName") == MODEL_NAME
        and item.get("ContributionDescription") != COERCED
        for item in items
    )
