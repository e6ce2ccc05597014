"""What a hanging protocol is made of: plain values, named as in PS3.3 Section C.23."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

ROWS_FROM: Final = 4
"""So many panes stand in two rows, fewer in one, as in orthanc/ohif/layout.js."""


class ImagePlane(StrEnum):
    """What a viewer computes of the orientation of an image (PS3.3 C.23.3.1.1)."""

    TRANSVERSE = "TRANSVERSE"
    CORONAL = "CORONAL"
    SAGITTAL = "SAGITTAL"


@dataclass(frozen=True)
class Selector:
    """An attribute that images of a set have, with one of some values.

    Attributes
    ----------
    keyword : str
        Of the attribute; its VR is CS or LO.
    values : tuple of str
    number : int
        Which value of the attribute is looked at, counted from 1.
    or_absent : bool
        Whether an image without the attribute, or without so many values, belongs to the set.
    """

    keyword: str
    values: tuple[str, ...]
    number: int = 1
    or_absent: bool = False


@dataclass(frozen=True)
class Pane:
    """One image set, as one display set in one image box.

    Attributes
    ----------
    id : str
        What orthanc/ohif calls the same pane.
    label : str
    selectors : tuple of Selector
        All of them are met by the images that are shown.
    plane : ImagePlane, optional
        Of the images; without it, any.
    prior : bool
        Whether they are of the newest study before the current one.
    blended : bool
        Whether some of the images lie over others, in colour.
    """

    id: str
    label: str
    selectors: tuple[Selector, ...]
    plane: ImagePlane | None = None
    prior: bool = False
    blended: bool = False


@dataclass(frozen=True)
class HangingProtocol:
    """A layout, and the studies that it is for.

    Attributes
    ----------
    id : str
        What orthanc/ohif calls the same protocol.
    description : str
        Its name there.
    modalities : tuple of str
        Of the studies, one of them each.
    panes : tuple of Pane
        From left to right, then down.
    scrolled_together : bool
    """

    id: str
    description: str
    modalities: tuple[str, ...]
    panes: tuple[Pane, ...]
    scrolled_together: bool = True

    @property
    def name(self) -> str:
        """What a viewer shows: Hanging Protocol Name (0072,0002) has 16 characters at most."""
        return self.id.removeprefix("@")

    @property
    def short_name(self) -> str:
        """What follows the slash of its id."""
        return self.id.rpartition("/")[2]

    @property
    def priors(self) -> int:
        """How many studies before the current one it shows."""
        return int(any(pane.prior for pane in self.panes))

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns."""
        rows = 2 if len(self.panes) >= ROWS_FROM else 1
        return rows, -(-len(self.panes) // rows)
