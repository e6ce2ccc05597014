"""From a `[[destinations]]` entry to the thing that sends."""

from node import settings
from node.deliver.association import Peer
from node.deliver.attempts import Retries
from node.deliver.coercion import Fillable
from node.deliver.destination import Destination
from node.deliver.dicomweb import DicomwebSender
from node.deliver.dimse import DimseSender
from node.deliver.folder import FolderSender
from node.deliver.http import Access
from node.deliver.orthanc import OrthancSender
from node.deliver.turns import Terms, window_of
from node.settings.destinations import HttpDestination
from node.settings.trust import Source


def peer_of(entry: settings.DimseDestination | Source, calling_ae: str) -> Peer:
    """Return the application entity of an entry, and who we say we are to it.

    Parameters
    ----------
    entry : DimseDestination or Source
        Of the settings; a source must have an address.
    calling_ae : str
        Our AE title, unless the entry says another.

    Returns
    -------
    Peer
    """
    tls = entry.tls.client if entry.tls else None
    if isinstance(entry, Source):
        return Peer(entry.ae_title, entry.host or "", entry.port or 0, calling_ae, tls=tls)
    return Peer(
        entry.ae_title,
        entry.host,
        entry.port,
        entry.calling_ae or calling_ae,
        tls=tls,
        connect_s=entry.connect_s,
        response_s=entry.response_s,
    )


def build(entry: settings.DestinationSettings, calling_ae: str, owner: str = "") -> Destination:
    """Return the sender for one entry; nothing is contacted yet.

    Parameters
    ----------
    entry : settings.DestinationSettings
        One of the settings' destinations.
    calling_ae : str
        The node's AE title, where the entry names none of its own.
    owner : str
        See `FolderSender`.
    """
    match entry:
        case settings.DimseDestination():
            return DimseSender(entry.name, peer_of(entry, calling_ae))
        case settings.DicomwebDestination():
            return DicomwebSender(entry.name, str(entry.url), _access(entry))
        case settings.OrthancDestination():
            prefix = entry.label_prefix
            return OrthancSender(entry.name, str(entry.url), _access(entry), prefix)
        case settings.FolderDestination():
            return FolderSender(entry.name, entry.path, owner)


def _access(entry: HttpDestination) -> Access:
    return Access(entry.credentials, entry.tls.client if entry.tls else None)


def terms_of(entry: settings.DestinationSettings) -> Terms:
    """Return on what terms an entry is sent to.

    Parameters
    ----------
    entry : settings.DestinationSettings
        Of the settings, of any kind.

    Returns
    -------
    Terms
    """
    return Terms(
        connections=entry.connections,
        priority=entry.priority,
        window=window_of(entry.window) if entry.window else None,
        retries=Retries(entry.attempts, entry.first_delay_s, entry.longest_delay_s),
        break_after=entry.break_after,
        coerce=frozenset(map(Fillable, entry.coerce)),
    )
