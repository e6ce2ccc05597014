"""Promise 10: what names the patient goes nowhere but into the images and one table."""

from typing import Final

import sqlalchemy as sa
from structlog.testing import capture_logs

from node.model.headers import PATIENT_COLUMNS
from node.series.snapshot import KEYWORDS
from node.store.tables import metadata, series_header
from node.views.studies import page_of_studies
from tests.bench import Bench, slices
from tests.made_ct import SERIES
from tests.node_process import wait_for

PATIENT: Final = {
    "PatientID": "ID4711QX",
    "IssuerOfPatientID": "ISSUERQX",
    "PatientName": "MeierQX^EvaQX",
    "PatientBirthDate": "19700131",
    "PatientSex": "F",
    "AccessionNumber": "ACC99QX",
    "StudyID": "STUDYQX",
    "StudyDescription": "CT of MeierQX",
    "SeriesDescription": "portal QX venous",
    "ProtocolName": "PROTOQX",
}


def test_no_log_and_no_other_table_names_the_patient(bench: Bench) -> None:
    """Received, recognised, routed, segmented, delivered, late: with everything logged."""
    images = slices(*range(6))
    for ds in images:
        for keyword, value in PATIENT.items():
            setattr(ds, keyword, value)
    with capture_logs() as logs:
        bench.receive(*images[:5])
        bench.tick(3)
        wait_for(lambda: len(bench.pacs.sent) == 7 and bench.nothing_pending(), "all", 60)
        images[5].PatientID = "ID0815QX"  # somebody else: the series is held
        bench.receive(images[5])
        bench.tick(3)
        wait_for(bench.ends("unusable"), "the verdict", 60)

    values = {value for value in [*PATIENT.values(), "ID0815QX"] if len(value) > 1}
    told = {KEYWORDS[column] for column in PATIENT_COLUMNS if column in KEYWORDS}
    assert told == set(PATIENT)
    assert logs
    assert [one for one in values if one in str(logs)] == []
    with bench.catalog.engine.connect() as connection:
        for table in metadata.sorted_tables:
            rows = str(connection.execute(sa.select(table)).all())
            found = [one for one in values if one in rows]
            assert bool(found) == (table is series_header), (table.name, found)
    (study,) = page_of_studies(bench.catalog).studies
    assert study.header.patient_id is None
    assert "patient_id" in study.header.differing
    assert bench.catalog.snapshots.of_series(SERIES) is not None
