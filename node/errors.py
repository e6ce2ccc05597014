"""Everything the node raises on purpose, sorted by what the caller does next.

NodeError
│ the operator acts
├── ConfigError               corrects the settings; the node must not start (exit code 2)
├── InUseError                ends the other process that has what this one needs
├── DecisionError             looks at what is held again, and decides anew
│ the same is tried again later
├── StoreError                rows or files cannot be read or written now; a peer is answered
│   │                         with a Failure status and sends again
│   └── CatalogChangedError   ... not before this process is started anew
│ the same is tried again later, or given up with the reason
├── DeliveryError             a destination did not take it
│   ├── TransientDeliveryError    ... it may later
│   └── PermanentDeliveryError    ... and never will: the delivery is parked
│ it is given up, with the reason
├── InvalidInstanceError      bytes that are no DICOM instance: refused, not kept, not sent
│   └── NotDeflatedError      ... read once more as they lie
├── UnusableSeriesError       the series has no result; it is still delivered
├── CertificateError          a derived object is wrong; it must not leave the node
├── UnforeseenError           a job failed of a defect; it is not run again by itself
├── OverdueError              a job held its slot for too long
│ the peer is answered
├── UnreadableMessageError    Invalid Argument Value (0115H)
├── MalformedMessageError     its association is aborted
│ another name is taken
└── UidTakenError             a derived object takes another UID

What radnet raises of a volume or of pixels is in `radnet.errors`; an answer of an HTTP server that
cannot be used is an error of httpx, `node.deliver.bounded_http.UnusableAnswerError`.
"""

import os
import traceback

from radnet.errors import RadnetError


class NodeError(Exception):
    """Anything the node raises on purpose."""


class ConfigError(NodeError):
    """The settings are wrong; the node must not start."""


class InUseError(NodeError):
    """Another process has what this one needs alone; the message says which, and what to do."""


class DecisionError(NodeError):
    """What an operator decided cannot be done with what is held as it is now; nothing changed."""


class StoreError(NodeError):
    """Rows or files cannot be read or written; the peer must not be told Success."""


class InvalidInstanceError(NodeError):
    """These bytes are no DICOM instance that can be kept or sent; trying again will not help."""


class NotDeflatedError(InvalidInstanceError):
    """What should be deflated is not, from its first octet on."""


class UidTakenError(NodeError):
    """A derived object's UID names other bytes already; they stay, and it takes another UID.

    Attributes
    ----------
    sop_instance_uid : str
    """

    def __init__(self, sop_instance_uid: str, which: str) -> None:
        super().__init__(f"{sop_instance_uid} names other bytes, which {which}; they stay")
        self.sop_instance_uid = sop_instance_uid


class UnusableSeriesError(NodeError):
    """The series cannot be segmented, now or ever; do not retry."""


class CertificateError(NodeError):
    """A derived object does not agree with what it was made from; it must not be sent."""


class UnforeseenError(NodeError):
    """A job failed in a way that nobody foresaw; says of what kind and where, and no more."""


class OverdueError(NodeError):
    """A job held its slot longer than it may; others have their turn."""


class UnreadableMessageError(NodeError):
    """A request or report of storage commitment lacks what PS3.4 Annex J demands."""


class MalformedMessageError(NodeError):
    """A peer sends what is no DIMSE message, or not in its turn."""


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

    Parameters
    ----------
    error : BaseException
        Any.

    Returns
    -------
    str
        Safe for rows, logs and terminals.
    """
    if isinstance(error, NodeError | RadnetError):
        return str(error)
    kind = type(error).__name__
    if isinstance(error, OSError) and error.errno is not None:
        kind = f"{kind} ({os.strerror(error.errno)})"
    ours = [frame for frame in frames_of(error) if frame.startswith(("node.", "radnet."))]
    return f"{kind} at {ours[-1]}" if ours else kind


def frames_of(error: BaseException) -> list[str]:
    """Return the way an error took as ``module:line``, the place where it was raised last.

    Parameters
    ----------
    error : BaseException
        One that was raised.

    Returns
    -------
    list of str
    """
    return [
        f"{frame.f_globals.get('__name__', '?')}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
