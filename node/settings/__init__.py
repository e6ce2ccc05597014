"""The one settings file (TOML): its sections, where secrets stand, and whom we trust."""

from node.settings.loading import load, renamed_keys
from node.settings.sections import (
    Destination,
    DicomwebDestination,
    DimseDestination,
    FolderDestination,
    NodeSection,
    OrthancDestination,
    ReceiveSection,
    Rule,
    Settings,
)

__all__ = [
    "Destination",
    "DicomwebDestination",
    "DimseDestination",
    "FolderDestination",
    "NodeSection",
    "OrthancDestination",
    "ReceiveSection",
    "Rule",
    "Settings",
    "load",
    "renamed_keys",
]
