"""All that was recognised of one study, as its recognition report is made of it."""

from dataclasses import dataclass, field

from pydicom import Dataset

from node.model.records import Finding


@dataclass(frozen=True)
class SeriesFindings:
    """One series of a study, and what was recognised of it.

    Attributes
    ----------
    series_instance_uid : str
        As it was received (not the catalog's own key).
    sop_class_uid, sop_instance_uid : str
        Of one of its images, which the report refers to: the same one every time.
    findings : tuple of Finding
        The fused ones are written; other witnesses, and findings that are for somebody else, may
        be among them and are left out. Empty where nothing could be read.
    modality : str
        Of the series (0008,0060); '' where it says none.
    series_number : int or None
        Of the series (0020,0011).
    series_description : str
        Of the series (0008,103E), as it came: a person may have typed anything.
    """

    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    findings: tuple[Finding, ...]
    modality: str = ""
    series_number: int | None = None
    series_description: str = field(default="", repr=False)


@dataclass(frozen=True)
class StudyFindings:
    """One study, ready to be written down.

    Attributes
    ----------
    original : Dataset
        The header of an image of the study as it came: patient and study are taken of it.
    series : tuple of SeriesFindings
        In any order; the report has an order of its own.
    rules : str
        Version of the rules that read the headers.
    """

    original: Dataset = field(repr=False)
    series: tuple[SeriesFindings, ...]
    rules: str
