"""Who came and is not listed: the settings that would let them in, and who called wrongly."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from node.receive.gate import NOT_FOR_SOURCES
from node.settings.trust import Source, within_one
from node.store.access import OTHERS, Rejection, Visitor


@dataclass(frozen=True)
class _Wanted:
    calling_ae: str
    called_ae: str
    address: str
    times: int
    last_at: float
    let_in: bool = False


def suggestion(
    visitors: Iterable[Visitor],
    rejections: Iterable[Rejection],
    sources: Sequence[Source],
    ae_title: str,
) -> str:
    """Return TOML that lets in whom the settings do not list yet, or ''.

    It only adds. A peer that has a listed title but comes from elsewhere is given as the entry
    of that title with one network more: the title alone proves nothing, so it is for a person to
    decide. What a listed entry asks of its peer otherwise, the title to call above all, stays as
    it is: whoever sends by it now goes on sending. Who called another title, `mistaken` tells.

    Parameters
    ----------
    visitors : iterable of Visitor
        Who was let in.
    rejections : iterable of Rejection
        Who was not.
    sources : sequence of Source
        Of the settings.
    ae_title : str
        Ours: what a source without `called_ae` has to call.

    Returns
    -------
    str
        Entries for the settings file, with comments.
    """
    seen = _seen(visitors, rejections)
    listed = {source.ae_title: source for source in sources}
    entries = []
    for title in sorted({caller.calling_ae for caller in seen}):
        mine = [caller for caller in seen if caller.calling_ae == title]
        known = listed.get(title)
        if known is None:
            entries.append(_entry(title, mine, ae_title))
        elif outside := [caller for caller in mine if not _within(known, caller)]:
            entries.append(_extended(known, outside))
    return "\n".join(entries)


def mistaken(
    visitors: Iterable[Visitor],
    rejections: Iterable[Rejection],
    sources: Sequence[Source],
    ae_title: str,
) -> list[str]:
    """Return who called another title than it ought to, or than it calls otherwise: a mistake.

    That is mended at the peer. An entry has one title to call: with this one in it, what the
    peer sends now would be rejected.

    Parameters
    ----------
    visitors : iterable of Visitor
        Who was let in.
    rejections : iterable of Rejection
        Who was not.
    sources : sequence of Source
        Of the settings.
    ae_title : str
        Ours: what a source without `called_ae` has to call.

    Returns
    -------
    list of str
        A sentence for each.
    """
    seen = _seen(visitors, rejections)
    listed = {source.ae_title: source for source in sources}
    mistakes = []
    for title in sorted({caller.calling_ae for caller in seen}):
        mine = [caller for caller in seen if caller.calling_ae == title]
        known = listed.get(title)
        expected = (known.called_ae or ae_title) if known else _called(mine, ae_title)
        mistakes += [
            f"{title} at {caller.address} called {caller.called_ae or 'nobody'} "
            f"({caller.times} times); expected {expected}: correct it there"
            for caller in mine
            if caller.called_ae != expected
        ]
    return mistakes


def _seen(visitors: Iterable[Visitor], rejections: Iterable[Rejection]) -> list[_Wanted]:
    """Return who came and who was rejected for something that an entry could change."""
    seen = [
        _Wanted(
            visitor.calling_ae,
            visitor.called_ae,
            visitor.address,
            visitor.times,
            visitor.last_at,
            let_in=True,
        )
        for visitor in visitors
    ]
    seen += [
        _Wanted(
            rejection.peer.calling_ae,
            rejection.peer.called_ae,
            rejection.peer.address,
            rejection.times,
            rejection.last_at,
        )
        for rejection in rejections
        if not rejection.peer.reason.startswith(NOT_FOR_SOURCES)
    ]
    return [caller for caller in seen if caller.calling_ae not in ("", OTHERS)]


def _called(seen: Sequence[_Wanted], ae_title: str) -> str:
    """Return the title that a peer's entry has to name: what gets in now, or what it called last.

    Ours goes before others: it needs no word in the entry.
    """
    best = max(
        seen, key=lambda caller: (caller.let_in, caller.called_ae == ae_title, caller.last_at)
    )
    return best.called_ae


def _within(source: Source, caller: _Wanted) -> bool:
    return not source.networks or within_one(caller.address, source.networks)


def _entry(title: str, seen: Sequence[_Wanted], ae_title: str) -> str:
    lines = ["[[sources]]", f"ae_title = {json.dumps(title)}"]
    called = _called(seen, ae_title)
    if called != ae_title:
        others = ", ".join(sorted({caller.called_ae for caller in seen}))
        lines.append(f"called_ae = {json.dumps(called)}  # it called {others}")
    lines.append(f"networks = {json.dumps(sorted({_network(caller.address) for caller in seen}))}")
    return "\n".join(lines) + "\n"


def _extended(known: Source, outside: Sequence[_Wanted]) -> str:
    """Return a listed entry with the networks of those who came from elsewhere besides."""
    networks = {_network(caller.address) for caller in outside} | {
        str(network) for network in known.networks
    }
    lines = ["[[sources]]  # in place of the entry of this title"]
    lines.append(f"ae_title = {json.dumps(known.ae_title)}")
    if known.called_ae is not None:
        lines.append(f"called_ae = {json.dumps(known.called_ae)}")
    lines.append(f"networks = {json.dumps(sorted(networks))}")
    lines += _kept(known)
    return "\n".join(lines) + "\n"


def _kept(known: Source) -> Iterator[str]:
    """Yield what an entry says besides: pasted in its place, the new one must not say less."""
    settings = known.model_dump(
        mode="json",
        exclude={"ae_title", "called_ae", "networks"},
        exclude_none=True,
        exclude_defaults=True,
    )
    for key, value in settings.items():
        if isinstance(value, dict):
            inner = ", ".join(f"{name} = {json.dumps(member)}" for name, member in value.items())
            yield f"{key} = {{ {inner} }}"
        else:
            yield f"{key} = {json.dumps(value)}"


def _network(address: str) -> str:
    """Return the network of one address; an IPv4 one counts as such however it is written."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return f"{found}/{found.max_prefixlen}"
