"""Everything radnet raises on purpose.

RadnetError
├── UsageError            what was asked for cannot be: an option, a path, a missing package
├── DataError             what is learned from or judged on is not what its layout promises: a
│                         manifest, a table, a set, a mask, rules
├── UnusableVolumeError   these images do not make a volume; the message says why
│   ├── GeometryError     ... because of their positions or orientations
│   └── MixedSeriesError  ... because they are not of one patient, study, modality or frame
├── UndecodableError      the pixels of one image cannot be decoded within bounds
├── WeightsError          a weights file is missing, altered or of another preset
│   └── PresetError       ... no preset has that name
└── FetchError            something outside cannot be reached, or gave other bytes than it promised
"""


class RadnetError(Exception):
    """Anything radnet raises on purpose."""


class UsageError(RadnetError):
    """What was asked for cannot be done, whatever the data; nothing was begun."""


class DataError(RadnetError):
    """A manifest, table, set, mask or file of rules is not what it has to be."""


class UnusableVolumeError(RadnetError):
    """The images cannot be used as one volume."""


class GeometryError(UnusableVolumeError):
    """Positions or orientations do not describe one regular volume."""


class UndecodableError(RadnetError):
    """Pixel Data cannot be decoded, or not within the time and memory that are given to it."""


class MixedSeriesError(UnusableVolumeError):
    """The images do not belong together, though they came as one series."""


class WeightsError(RadnetError):
    """A weights file is missing, altered or belongs to another network."""


class PresetError(WeightsError):
    """No network is called so."""


class FetchError(RadnetError):
    """A file from outside cannot be had, or is not what its source says it is."""
