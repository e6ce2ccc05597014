"""Which destination an instance came from: it has those bytes, and is not sent them again."""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from node.deliver.association import Peer


def addresses_of(host: str) -> frozenset[str]:
    """Return the addresses of a host; none where it cannot be told now."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return frozenset()
    return frozenset(str(address[4][0]) for address in found)


@dataclass(frozen=True)
class Origins:
    """The destinations that may send to us, too.

    Two nodes that route to each other would send every image back to where it came from. Title
    and address must both be a destination's: an archive that is replaced by another of the same
    title still has its images forwarded.

    Attributes
    ----------
    peers : mapping of str to Peer
        DIMSE destinations by name.
    resolve : callable
        Returns the addresses of a host.
    """

    peers: Mapping[str, Peer] = field(default_factory=dict)
    resolve: Callable[[str], frozenset[str]] = addresses_of

    def of(self, calling_ae: str, address: str) -> frozenset[str]:
        """Return the names of the destinations that this caller is.

        Parameters
        ----------
        calling_ae : str
            As the association named it.
        address : str
            IP address it came from.

        Returns
        -------
        frozenset of str
            None: nobody that we deliver to.
        """
        return frozenset(
            name
            for name, peer in self.peers.items()
            if peer.ae_title == calling_ae and address in self.resolve(peer.host)
        )


NO_ORIGINS: Final = Origins()
