"""What fusing is worth: header alone, pixels alone and both, where a person told the truth."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from radnet.datasets.scans import Scan
from radnet.evaluation.scoring import UNKNOWN_BELOW, About, ScanReport
from radnet.inference.fusion import CLASS_HEADS, Fused, fuse_witnesses
from radnet.inference.recognise import Recognised
from radnet.labels.evidence import SeriesLabels

HEADS: Final = (*CLASS_HEADS, "coverage")
WITNESSES: Final = ("header", "pixels", "fused")
WITNESS_HEAD: Final = (
    "head", "scans", "header: right", "wrong", "unknown",
    "pixels: right", "wrong", "unknown", "fused: right", "wrong", "unknown",
)  # fmt: skip
PUBLISHED: Final = "published: a network alone 72.7 %, fused with headers 92.7 %"


@dataclass(frozen=True)
class WitnessTally:
    """How often one witness was right, wrong or had no answer in one head."""

    head: str
    witness: str
    right: int
    wrong: int
    unknown: int

    @property
    def judged(self) -> int:
        """Return how many answers were asked for."""
        return self.right + self.wrong + self.unknown


def tallies(found: Sequence[ScanReport]) -> list[WitnessTally]:
    """Return the tallies of every head, then of all together, as `radnet classify` answers.

    Each witness alone is heard by the same rules as both: the other one is silent.
    """
    outcomes: dict[tuple[str, str], list[bool | None]] = {}
    for one in found:
        if one.recognised is None:
            continue
        for witness, fused in _apart(one.recognised).items():
            for head, right in _outcomes(one.scan, fused):
                outcomes.setdefault((head, witness), []).append(right)
                outcomes.setdefault(("all", witness), []).append(right)
    return [
        WitnessTally(head, witness, said.count(True), said.count(False), said.count(None))
        for head in (*HEADS, "all")
        for witness in WITNESSES
        if (said := outcomes.get((head, witness)))
    ]


def _apart(found: Recognised) -> dict[str, Fused]:
    """Return what each witness alone would have been answered with, and the answer of both."""
    return {
        "header": fuse_witnesses(found.labels, None, UNKNOWN_BELOW),
        "pixels": fuse_witnesses(SeriesLabels(), found.prediction, UNKNOWN_BELOW),
        "fused": found.fused,
    }


def _outcomes(scan: Scan, fused: Fused) -> Iterator[tuple[str, bool | None]]:
    """Yield for each head whose truth is known whether the answer is right; None: unknown.

    That a CT is one is given by its Modality: no witness is praised for it.
    """
    for head in CLASS_HEADS:
        if head == "sequence" and scan.modality != "MR":
            continue
        truth, said = getattr(scan, head), fused.classes[head].value
        if truth is not None:
            yield head, None if said is None else said == str(truth)
    if scan.coverage_whole:
        yield "coverage", coverage_right({str(region) for region in scan.coverage}, fused)


def coverage_right(there: set[str], fused: Fused) -> bool | None:
    """Return False where a region is answered wrongly, None where one is unknown, else True."""
    if fused.covered is None:
        return None
    if (set(fused.covered) ^ there) - set(fused.regions_unknown):
        return False
    return None if fused.regions_unknown else True


def witness_rows(found: Sequence[ScanReport]) -> list[list[str]]:
    """Return the lines of the table under `WITNESS_HEAD`; none where no DICOM was judged.

    Parameters
    ----------
    found : sequence of ScanReport
        Of the scans that were judged.

    Returns
    -------
    list of list of str
    """
    told = tallies(found)
    rows = []
    for head in dict.fromkeys(tally.head for tally in told):
        three = [tally for tally in told if tally.head == head]
        counts = [str(n) for t in three for n in (t.right, t.wrong, t.unknown)]
        rows.append([head, str(three[0].judged), *counts])
    return rows


def remark(found: Sequence[ScanReport], about: About) -> str:
    """Return the table in one sentence, or why there is none; '' where no DICOM was judged.

    Parameters
    ----------
    found : sequence of ScanReport
        Of the scans that were judged.
    about : About
        What was scored, on what.

    Returns
    -------
    str
    """
    if about.labels_from_headers:
        return (
            "Header, pixels and both are not compared: the labels of a manifest come from "
            "headers, which would judge themselves."
        )
    whole = [tally for tally in tallies(found) if tally.head == "all"]
    if not whole:
        return ""
    shares = ", ".join(f"{t.witness} {100 * t.right / t.judged:.1f} %" for t in whole)
    return f"Right: {shares} of {whole[0].judged} answers on DICOM series ({PUBLISHED})."
