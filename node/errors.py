"""Everything the node raises on purpose, sorted by what the caller does next.

NodeError
├── ConfigError               the node must not start
├── StoreError                the peer is answered with a Failure status and tries again
│   └── UidTakenError         a derived object takes another UID
├── UnusableSeriesError       the series will never be recognised; it is still delivered
├── CertificateError          a derived object is wrong; it must not leave the node
├── UnforeseenError           a job failed of a defect; it is not run again by itself
├── OverdueError              a job held its slot for too long; it is given up
└── DeliveryError
    ├── TransientDeliveryError    try again later
    └── PermanentDeliveryError    trying again will not help: park with the reason
"""

import os
import traceback

from radnet.errors import RadnetError


class NodeError(Exception):
    """Anything the node raises on purpose."""


class ConfigError(NodeError):
    """The settings are wrong; the node must not start."""


class StoreError(NodeError):
    """An instance could not be made durable; the peer must not be told Success."""


class UidTakenError(StoreError):
    """A derived object's UID names other bytes already; they stay, and it takes another UID.

    Attributes
    ----------
    sop_instance_uid : str
    """

    def __init__(self, sop_instance_uid: str, which: str) -> None:
        super().__init__(f"{sop_instance_uid} names other bytes, which {which}; they stay")
        self.sop_instance_uid = sop_instance_uid


class UnusableSeriesError(NodeError):
    """The series cannot be read as a volume, now or ever; do not retry."""


class CertificateError(NodeError):
    """A derived object does not agree with what it was made from; it must not be sent."""


class UnforeseenError(NodeError):
    """A job failed in a way that nobody foresaw; says of what kind and where, and no more."""


class OverdueError(NodeError):
    """A job held its slot longer than it may; others have their turn."""


class DeliveryError(NodeError):
    """A destination did not take an instance."""


class TransientDeliveryError(DeliveryError):
    """The destination may take the instance later."""


class PermanentDeliveryError(DeliveryError):
    """The destination refused the instance for good."""


def reason_of(error: BaseException) -> str:
    """Return what may be kept and shown of an error.

    What we wrote tells what we chose to tell. Any other text may quote a file's name or a header's
    value, and with it a patient: of such an error only its kind is told, and where it was raised.
    """
    if isinstance(error, NodeError | RadnetError):
        return str(error)
    kind = type(error).__name__
    if isinstance(error, OSError) and error.errno is not None:
        kind = f"{kind} ({os.strerror(error.errno)})"
    ours = [one for one in frames_of(error) if one.startswith(("node.", "radnet."))]
    return f"{kind} at {ours[-1]}" if ours else kind


def frames_of(error: BaseException) -> list[str]:
    """Return the way an error took as ``module:line``, the place where it was raised last."""
    return [
        f"{frame.f_globals.get('__name__', '?')}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
