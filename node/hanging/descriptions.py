"""Series Descriptions of a site, beside those that coercion writes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from node.hanging.parts import HangingProtocol, Pane, Selector

MOST: Final = 100
"""Descriptions of one pane: an element of explicit VR has 65534 octets (PS3.5 Section 7.1.2)."""


def describes_series(pane: Pane) -> bool:
    """Tell whether a pane is chosen by Series Description."""
    return any(map(_is_description, pane.selectors))


def pane_names(protocols: Sequence[HangingProtocol]) -> list[str]:
    """Return what `also_described` takes: ``brain/t1`` and so on."""
    return [
        f"{protocol.short_name}/{pane.id}"
        for protocol in protocols
        for pane in protocol.panes
        if describes_series(pane)
    ]


def also_described(protocol: HangingProtocol, pane_id: str, description: str) -> HangingProtocol:
    """Return a protocol of which one pane takes series of another description too.

    Parameters
    ----------
    protocol : HangingProtocol
    pane_id : str
        One that is chosen by Series Description.
    description : str
        As the scanner writes it: all of it.

    Returns
    -------
    HangingProtocol

    Raises
    ------
    ValueError
        If the pane has `MOST` descriptions already.
    """
    panes = tuple(
        replace(pane, selectors=tuple(_with(selector, description) for selector in pane.selectors))
        if pane.id == pane_id
        else pane
        for pane in protocol.panes
    )
    return replace(protocol, panes=panes)


def _is_description(selector: Selector) -> bool:
    return selector.keyword == "SeriesDescription"


def _with(selector: Selector, description: str) -> Selector:
    if not _is_description(selector) or description in selector.values:
        return selector
    if len(selector.values) >= MOST:
        raise ValueError(f"more than {MOST} descriptions of one pane")
    return replace(selector, values=(*selector.values, description))
