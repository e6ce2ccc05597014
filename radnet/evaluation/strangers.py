"""Whether scans are strangers to the weights that are judged on them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from radnet.datasets.learned import Learned, learned_by

KEPT: Final = 12  # characters of a digest that are told


@dataclass(frozen=True)
class Strangers:
    """What two networks learned from, and who was left out for it.

    Attributes
    ----------
    classifier, liver
        What each learned from; None where nobody tells.
    excluded
        One sentence for each scan, or mask, that was not scored; added to by `known`.
    """

    classifier: Learned | None = None
    liver: Learned | None = None
    excluded: list[str] = field(default_factory=list)

    def known(self, network: str, scan: str, content: str, patient: str) -> bool:
        """Tell whether a network learned from a scan or its patient, and note it.

        Parameters
        ----------
        network
            ``classifier`` or ``liver``.
        scan
            How it is called.
        content, patient
            Its digests, as `radnet.datasets.learned` has them; '' where not known.
        """
        learned: Learned | None = getattr(self, network)
        why = learned.why(content, patient) if learned else ""
        if why:
            what = "scan" if network == "classifier" else "liver"
            self.excluded.append(f"{scan}: {what} not scored, the {network} {why}")
        return bool(why)

    def remarks(self) -> list[str]:
        """Return whose scans nobody tells, one sentence each."""
        found = []
        for network in ("classifier", "liver"):
            learned: Learned | None = getattr(self, network)
            if learned is None:
                found.append(
                    f"{network}: no list beside the weights says what they learned from; whether "
                    "these scans are strangers to them cannot be told"
                )
            elif learned.untold:
                names = " and ".join(learned.untold)
                found.append(f"{network}: began from {names}, whose scans nobody tells")
        return found


def strangers(
    classifier: Path,
    classifier_record: Mapping[str, Any],
    liver: Path,
    liver_record: Mapping[str, Any],
) -> Strangers:
    """Return what the lists beside two weights files say.

    Parameters
    ----------
    classifier, liver
        The files.
    classifier_record, liver_record
        Their records.
    """
    return Strangers(learned_by(classifier, classifier_record), learned_by(liver, liver_record))


def other_manifest(network: str, record: Mapping[str, Any], digest: str) -> str:
    """Return a sentence where weights learned from another manifest than the one they meet.

    Parameters
    ----------
    network
        How they are called.
    record
        Of the weights; made without a manifest it says nothing.
    digest
        SHA-256 of the manifest at hand.
    """
    found = str(record.get("manifest_sha256", ""))
    if found in ("", digest):
        return ""
    return (
        f"{network}: learned from the manifest {found[:KEPT]}, these scans are of "
        f"{digest[:KEPT]}; expected the same, for another one may put other patients aside"
    )
