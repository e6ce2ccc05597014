"""From a `[[destinations]]` entry to the thing that sends."""

from node import settings
from node.deliver.association import Peer
from node.deliver.destination import Destination
from node.deliver.dicomweb import DicomwebSender
from node.deliver.dimse import DimseSender
from node.deliver.folder import FolderSender
from node.deliver.http import Access
from node.deliver.orthanc import OrthancSender
from node.trust import HttpDestination


def build(entry: settings.Destination, calling_ae: str) -> Destination:
    """Return the sender for one entry; nothing is contacted yet.

    Parameters
    ----------
    entry : settings.Destination
        One of the settings' destinations.
    calling_ae : str
        The node's AE title, where the entry names none of its own.
    """
    match entry:
        case settings.DimseDestination():
            peer = Peer(
                entry.ae_title,
                entry.host,
                entry.port,
                entry.calling_ae or calling_ae,
                tls=entry.tls.client if entry.tls else None,
            )
            return DimseSender(entry.name, peer)
        case settings.DicomwebDestination():
            return DicomwebSender(entry.name, str(entry.url), _access(entry))
        case settings.OrthancDestination():
            return OrthancSender(entry.name, str(entry.url), _access(entry))
        case settings.FolderDestination():
            return FolderSender(entry.name, entry.path)


def _access(entry: HttpDestination) -> Access:
    return Access(entry.credentials, entry.tls.client if entry.tls else None)
