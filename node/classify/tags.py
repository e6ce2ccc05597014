"""Findings in the forms other systems keep beside the images."""

from collections.abc import Mapping
from typing import Final

from node.model.findings import Use, is_for, texts_of
from node.model.records import Finding
from radnet.labels.vocabulary import Sequence

_SAYS_NOTHING: Final = frozenset({str(Sequence.OTHER)})


def tags(findings: Mapping[str, Finding]) -> tuple[dict[str, str], list[str]]:
    """Return findings as text by name, and as labels.

    Unknown findings are left out, and so is a no. Labels hold letters, digits, ``-`` and ``_``
    only, which is what Orthanc takes. How sure the node is, and of what, is for rules and for the
    report.

    Parameters
    ----------
    findings : mapping of str to Finding
        By name.

    Returns
    -------
    tuple of dict and list of str
        Texts by the name of the finding, several values with ``;`` between them; labels without
        the prefix of a destination.
    """
    texts: dict[str, str] = {}
    labels: list[str] = []
    for name, finding in findings.items():
        values = texts_of(finding.value)
        if not values or finding.value is False or not is_for(name, Use.METADATA):
            continue
        texts[str(name)] = ";".join(values)
        if is_for(name, Use.LABEL):
            labels += [str(name)] if finding.value is True else values
    return texts, [label for label in labels if label not in _SAYS_NOTHING]
