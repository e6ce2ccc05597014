"""What the rules see of a series, for whoever asks what they would do; changes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from node.classify.recognise import SeriesClassifier, own_output_among, recognise
from node.model.findings import FindingName
from node.model.records import Finding, StoredInstance
from node.model.states import Origin
from node.pipeline.own_output import (
    UNRECOGNISED,
    fused,
    own_among,
    own_by_finding,
)
from node.pipeline.sending import a_slice_first, facts_of, findings_facts
from node.route.facts import Facts, header_facts
from node.store.catalog import Catalog
from node.store.files import InstanceFiles
from radnet.errors import UnusableVolumeError
from radnet.volume.headers import first_readable, read_file


@dataclass(frozen=True)
class InstanceGroup:
    """Instances of a series that the rules judge together, and what they see of them."""

    of: str
    count: int
    facts: Facts


def groups_of(
    catalog: Catalog, files: InstanceFiles, series_instance_uid: str, revision: int
) -> list[InstanceGroup]:
    """Return what the rules see of a revision, as `Stages.route` asks them."""
    stored = catalog.instances.of_series(series_instance_uid, Origin.RECEIVED, revision)
    found = catalog.findings.of_series(series_instance_uid, revision)
    noted = fused(found)
    in_files = {files.absolute(instance.path): instance for instance in stored}
    own = own_by_finding(noted, stored) if noted else own_among(in_files)
    noted.pop(FindingName.OWN_OUTPUT, None)
    made = [instance for instance in stored if instance.sop_instance_uid in own]
    images = a_slice_first(
        [instance for instance in stored if instance.sop_instance_uid not in own], found
    )
    asked: list[tuple[str, list[StoredInstance], Mapping[str, Finding]]] = [
        ("of own output", made, UNRECOGNISED),
        ("images", images, noted),
    ]
    return [
        InstanceGroup(name, len(group), facts_of(catalog, files, group, findings))
        for name, group, findings in asked
        if group
    ]


def series_in(path: Path) -> dict[str, list[Path]]:
    """Return the DICOM files below a folder, or one file, by their Series Instance UID."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    found: dict[str, list[Path]] = {}
    for file in files:
        try:
            header = read_file(file, pixels=False)
        except UnusableVolumeError:
            continue
        found.setdefault(str(header.get("SeriesInstanceUID", "")), []).append(file)
    return found


def facts_of_files(
    paths: Sequence[Path],
    classifier: SeriesClassifier,
    unknown_below: float,
    source: Mapping[str, str],
) -> Facts:
    """Return what the rules would see of a series that is not here yet.

    Own output is not looked at, as in `Stages.classify`.
    """
    own = own_output_among(paths)
    images = [path for path in paths if path not in own]
    findings: Mapping[str, Finding] = UNRECOGNISED
    if images:
        found = recognise(images, classifier, unknown_below).findings
        findings = {finding.name: finding for finding in found if finding.source == "fused"}
    header = first_readable(images or paths)
    return Facts(
        findings_facts(findings), {} if header is None else header_facts(header), dict(source)
    )
