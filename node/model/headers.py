"""What the headers of a series say, and which of that names the patient."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

PATIENT_COLUMNS: Final = (
    "patient_id",
    "issuer_of_patient_id",
    "patient_name",
    "patient_name_folded",
    "patient_birth_date",
    "patient_sex",
    "accession_number",
    "study_id",
    "study_description",
    "series_description",
    "protocol_name",
    "descriptions_folded",
)
"""What names the patient or may do so, texts that people type included.

The one list of them: no log, metric, ledger entry, file name or exception has any of these. They
are there to be searched and shown to whoever asks, and go with the series.
"""


@dataclass(frozen=True, slots=True)
class HeaderSnapshot:
    """What the headers of one series agree on; None where they say nothing, or not one thing.

    Attributes
    ----------
    patient_name
        As the header has it, ``family^given^middle^prefix^suffix``, groups parted by ``=``
        (PS3.5 Section 6.2.1).
    patient_birth_date, study_date, series_date
        ``YYYYMMDD``, a day that there is.
    study_time, series_time
        ``HHMMSS.FFFFFF``, or the beginning of that.
    header_count
        Of how many headers it was taken; 0 where none could be read.
    own_output
        All of them are of objects that a radnet-node made.
    differing
        The columns of which they say several things; about the patient also where some of them
        say nothing.
    """

    patient_id: str | None = field(default=None, repr=False)
    issuer_of_patient_id: str | None = field(default=None, repr=False)
    patient_name: str | None = field(default=None, repr=False)
    patient_birth_date: str | None = field(default=None, repr=False)
    patient_sex: str | None = field(default=None, repr=False)
    accession_number: str | None = field(default=None, repr=False)
    study_id: str | None = field(default=None, repr=False)
    study_date: str | None = None
    study_time: str | None = None
    study_description: str | None = field(default=None, repr=False)
    modality: str | None = None
    series_number: int | None = None
    series_date: str | None = None
    series_time: str | None = None
    series_description: str | None = field(default=None, repr=False)
    body_part_examined: str | None = None
    protocol_name: str | None = field(default=None, repr=False)
    station_name: str | None = None
    manufacturer: str | None = None
    manufacturer_model_name: str | None = None
    header_count: int = 0
    own_output: bool = False
    differing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StudyHeader:
    """What the series of one study agree on, of the study; None where they say several things.

    Attributes
    ----------
    modalities : tuple of str
        Of its series, own output apart (0008,0061).
    differing : tuple of str
        The columns of which its series, or the images of one of them, say several things.
    """

    patient_id: str | None = field(default=None, repr=False)
    issuer_of_patient_id: str | None = field(default=None, repr=False)
    patient_name: str | None = field(default=None, repr=False)
    patient_birth_date: str | None = field(default=None, repr=False)
    patient_sex: str | None = field(default=None, repr=False)
    accession_number: str | None = field(default=None, repr=False)
    study_id: str | None = field(default=None, repr=False)
    study_date: str | None = None
    study_time: str | None = None
    study_description: str | None = field(default=None, repr=False)
    modalities: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()


STUDY_COLUMNS: Final = tuple(
    name for name in StudyHeader.__dataclass_fields__ if name not in ("modalities", "differing")
)


def study_header(series: Sequence[HeaderSnapshot]) -> StudyHeader:
    """Return what the series of a study agree on.

    A series that does not say does not contradict one that does: a dose report may name nobody.
    What a radnet-node made speaks only where there is nothing else.

    Parameters
    ----------
    series : sequence of HeaderSnapshot
        Of every series of one study; at least one.

    Returns
    -------
    StudyHeader
        None where they differ or say nothing; what differs is named in `differing`.
    """
    looked_at = [header for header in series if not header.own_output] or series
    values: dict[str, str | None] = {}
    differing = {
        name for header in looked_at for name in header.differing if name in STUDY_COLUMNS
    }
    for name in STUDY_COLUMNS:
        found = {getattr(header, name) for header in looked_at} - {None}
        if len(found) > 1:
            differing.add(name)
        values[name] = found.pop() if len(found) == 1 and name not in differing else None
    modalities = sorted({header.modality for header in looked_at if header.modality})
    return StudyHeader(**values, modalities=tuple(modalities), differing=tuple(sorted(differing)))
