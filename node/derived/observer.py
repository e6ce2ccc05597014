"""Who observed what a structured report says: this node, a device."""

import highdicom as hd
from pydicom.sr.codedict import codes

from node.identity import DEVICE_SERIAL_NUMBER, MANUFACTURER, MODEL_NAME, derived_uid


def device_observer() -> hd.sr.ObserverContext:
    """Return the node as the observer of a report.

    Returns
    -------
    highdicom.sr.ObserverContext

    References
    ----------
    DICOM PS3.16 TID 1002 (Observer Context), TID 1004 (Device Observer)
    """
    return hd.sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=derived_uid("device", DEVICE_SERIAL_NUMBER),
            name=MODEL_NAME,
            manufacturer_name=MANUFACTURER,
            model_name=MODEL_NAME,
            serial_number=DEVICE_SERIAL_NUMBER,
        ),
    )
