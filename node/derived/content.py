"""How the content of a structured report is read."""

from pydicom import Dataset


def part_items(container: Dataset) -> None:
    """Say that the items of all containers are read apart; in place.

    Viewers then show what each item is about. Of continuous ones OHIF shows bare values in one
    line.

    Parameters
    ----------
    container : Dataset
        A structured report, or a container in it.

    References
    ----------
    DICOM PS3.3 Table C.18.8-1 (Continuity of Content)
    """
    container.ContinuityOfContent = "SEPARATE"
    for item in container.ContentSequence:
        if item.ValueType == "CONTAINER":
            part_items(item)
