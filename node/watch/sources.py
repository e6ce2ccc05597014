"""Who came and who was turned away, for people, and the settings that would let them in."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv6Address, ip_address

from rich.table import Table
from rich.text import Text

from node.store.rejections import OTHERS, Rejection, Visitor
from node.trust import Source, within_one


@dataclass(frozen=True)
class _Wanted:
    calling_ae: str
    called_ae: str
    address: str


def table(visitors: Sequence[Visitor], rejections: Sequence[Rejection]) -> Table:
    """Return everybody who asked for an association, the last one first of each kind."""
    shown = Table("Calling AE", "Called AE", "Address", "Times", "First", "Last", "What became")
    for one in rejections:
        peer = one.peer
        told = f"rejected: {peer.reason}"
        _add(shown, peer.calling_ae, peer.called_ae, peer.address, one, told)
    for came in visitors:
        _add(shown, came.calling_ae, came.called_ae, came.address, came, "let in")
    return shown


def _add(
    shown: Table, calling: str, called: str, address: str, row: Rejection | Visitor, told: str
) -> None:
    cells = (
        calling,
        called,
        address,
        str(row.times),
        _when(row.first_at),
        _when(row.last_at),
        told,
    )
    shown.add_row(*(Text(cell) for cell in cells))


def suggestion(
    visitors: Iterable[Visitor],
    rejections: Iterable[Rejection],
    sources: Sequence[Source],
    ae_title: str,
) -> str:
    """Return TOML that lets in whom the settings do not list yet, or ''.

    A peer that has a listed title but comes from elsewhere, or calls another title, is given
    as the entry that would let it in too: the title alone proves nothing, so it is for a person
    to decide.
    """
    seen = [_Wanted(one.calling_ae, one.called_ae, one.address) for one in visitors]
    seen += [
        _Wanted(one.peer.calling_ae, one.peer.called_ae, one.peer.address) for one in rejections
    ]
    listed = {source.ae_title: source for source in sources}
    entries = []
    for title in sorted({one.calling_ae for one in seen} - {"", OTHERS}):
        mine = [one for one in seen if one.calling_ae == title]
        known = listed.get(title)
        if known is None or not all(_covered(known, one, ae_title) for one in mine):
            entries.append(_entry(title, mine, known, ae_title))
    return "\n".join(entries)


def _covered(source: Source, one: _Wanted, ae_title: str) -> bool:
    within = not source.networks or within_one(one.address, source.networks)
    return within and one.called_ae == (source.called_ae or ae_title)


def _entry(title: str, seen: Sequence[_Wanted], known: Source | None, ae_title: str) -> str:
    networks = {_network(one.address) for one in seen}
    networks |= {str(network) for network in known.networks} if known else set()
    lines = ["[[sources]]" + ("  # in place of the entry of this title" if known else "")]
    lines.append(f"ae_title = {json.dumps(title)}")
    called = sorted({one.called_ae for one in seen})
    if called != [ae_title]:
        lines.append(f"called_ae = {json.dumps(called[-1])}  # it called {', '.join(called)}")
    lines.append(f"networks = {json.dumps(sorted(networks))}")
    lines += _kept(known) if known else []
    return "\n".join(lines) + "\n"


def _kept(known: Source) -> Iterator[str]:
    """Yield what an entry says besides: pasted in its place, the new one must not say less."""
    said = known.model_dump(
        mode="json",
        exclude={"ae_title", "called_ae", "networks"},
        exclude_none=True,
        exclude_defaults=True,
    )
    for key, value in said.items():
        if isinstance(value, dict):
            inner = ", ".join(f"{name} = {json.dumps(one)}" for name, one in value.items())
            yield f"{key} = {{ {inner} }}"
        else:
            yield f"{key} = {json.dumps(value)}"


def _network(address: str) -> str:
    """Return the network of one address; an IPv4 one counts as such however it is written."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return f"{found}/{found.max_prefixlen}"


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
