"""The one settings file (TOML): sections, destinations, where secrets stand, whom we trust."""

from node.settings.destinations import (
    DestinationSettings,
    DicomwebDestination,
    DimseDestination,
    FolderDestination,
    OrthancDestination,
)
from node.settings.loading import load, renamed_keys
from node.settings.sections import NodeSection, ReceiveSection, Rule, Settings

__all__ = [
    "DestinationSettings",
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
