"""Where each instance is kept, relative to the storage root.

::

    instances/<Study Instance UID>/<Series Instance UID>/<SOP Instance UID>.dcm
    instances/<…>/<…>/<SOP Instance UID>.<16 hex digits>.dcm     other bytes, or a second time
    instances/<…>/<…>/<SOP Instance UID>.derived.dcm      what the node made
    incoming/<random>.part     being written; removed when the receiver starts
"""

import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.errors import InvalidInstanceError

INSTANCES: Final = Path("instances")
INCOMING: Final = Path("incoming")
DERIVED: Final = ".derived.dcm"
_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*")


def is_uid(text: str) -> bool:
    """Tell whether a text is a UID as far as it may become a path; see `Identity`.

    Parameters
    ----------
    text : str
        As it stands in a command or a data set.

    Returns
    -------
    bool
    """
    return len(text) <= 64 and _UID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Identity:
    """The UIDs of one instance, checked before any of them becomes a path.

    Raises
    ------
    InvalidInstanceError
        If one of them is not a UID (PS3.5 Section 9.1): ``../../x`` arrives, too. Components
        that begin with 0 are let in: scanners send them, and they harm nobody.
    """

    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    sop_class_uid: str

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not is_uid(value):
                others = sum(not (character.isdigit() or character == ".") for character in value)
                found = f"{len(value)} characters" + f", {others} of them no digit or dot" * (
                    others > 0
                )
                raise InvalidInstanceError(
                    f"{name} has {found}: expected numbers with dots between them, at most 64 "
                    "characters"  # not what stands there: it may be a name, and goes into the log
                )

    @property
    def path(self) -> Path:
        """Where the instance belongs, relative to the storage root."""
        folder = INSTANCES / self.study_instance_uid / self.series_instance_uid
        return folder / f"{self.sop_instance_uid}.dcm"


def of_our_own(path: Path) -> Path:
    """Return where an object is kept that the node made under this identity.

    Parameters
    ----------
    path : Path
        Where an object of this identity would be kept that was received.

    Returns
    -------
    Path
        In the same folder.
    """
    return path.with_name(f"{path.stem}{DERIVED}")


def apart(path: Path, sha256: str) -> Path:
    """Return where an instance is kept that has a known UID and other bytes.

    Parameters
    ----------
    path : Path
        Where the first bytes under this UID are kept.
    sha256 : str
        Of the data set of the other bytes, 64 hexadecimal digits.

    Returns
    -------
    Path
        In the same folder.
    """
    return path.with_name(f"{path.stem}.{sha256[:16]}.dcm")


def afresh(path: Path) -> Path:
    """Return a path that no instance has had, for one whose own path was given up.

    Parameters
    ----------
    path : Path
        Its own path, which was given up.

    Returns
    -------
    Path
        In the same folder; another one with each call.
    """
    return path.with_name(f"{path.stem}.{uuid.uuid4().hex[:16]}.dcm")
