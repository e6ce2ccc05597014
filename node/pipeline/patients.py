"""Whether all that came as one study is of one patient.

Each series may be in order by itself. Two of them that name two patients are not: one of the two
lies under the wrong study, and nobody can tell which by looking at them.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final

import structlog

from node.identity import is_own_output
from node.model.failures import Failure
from node.model.states import RevisionState
from node.store.catalog import Catalog
from node.store.deliveries.orders import CANCEL
from node.store.deliveries.scope import Scope
from node.store.files import InstanceFiles
from radnet.errors import UnusableVolumeError
from radnet.volume.agreement import Patient, images_of_patients, listed, patient_of
from radnet.volume.headers import read_file

log = structlog.get_logger()

KEYWORDS: Final = [
    "SpecificCharacterSet",
    "PatientID",
    "PatientName",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "ContributingEquipmentSequence",
]
REMEMBERED: Final = 100_000  # instances of the studies that were looked at last: some 20 MB


@lru_cache(maxsize=REMEMBERED)
def patient_in(path: Path) -> Patient:
    """Return whom a file names: nobody where it is our own result.

    It is read once: a path is never given to other bytes (`node.store.paths.afresh`).

    Raises
    ------
    UnusableVolumeError
        If it cannot be read; that is not remembered.
    """
    header = read_file(path, pixels=False, only=KEYWORDS)
    return Patient() if is_own_output(header) else patient_of(header)


def several_patients(named: Sequence[Patient], series: int) -> str:
    """Return what is wrong with the images of one study, '' where nothing is.

    Images that name nobody, such as a dose report, are no other patient.
    """
    patients, _ = images_of_patients(header for header in named if header.identifier)
    if len(patients) < 2:
        return ""
    return (
        f"{len(patients)} patients in one study ({listed(patients)} of {len(named)} images, "
        f"{series} series); expected one"
    )


def mixed_study(catalog: Catalog, files: InstanceFiles, study_instance_uid: str) -> str:
    """Return why nothing may be measured in a study, '' where all of it names one patient."""
    received = catalog.instances.received_in(study_instance_uid)
    named = []
    for _, path in received:
        with suppress(UnusableVolumeError):  # or retention took it meanwhile
            named.append(patient_in(files.absolute(path)))
    return several_patients(named, len({series for series, _ in received}))


def hold_others(catalog: Catalog, series_instance_uid: str, why: Failure, now: float) -> None:
    """Have the series of a study held that were through before this one came.

    What was made of them and is not on its way yet stays here; an operator may replay it.
    """
    for other in catalog.studies.series_of(catalog.studies.study_of(series_instance_uid)):
        uid = other.series_instance_uid
        if other.state != RevisionState.DONE or uid == series_instance_uid:
            continue
        for _, made in catalog.results.of_series(uid):
            catalog.orders.give(CANCEL, Scope(uid=made.sop_instance_uid), now)
        catalog.revisions.finish(uid, other.revision, RevisionState.UNUSABLE, why.reason, why.kind)
        log.warning("series of a mixed study", series=uid, because=why.reason)
