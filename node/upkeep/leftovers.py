"""Files that a job wrote and did not live to record."""

import structlog

from node.segment.liver import result_series_uids
from node.store.catalog import Catalog
from node.store.files import InstanceFiles
from node.store.paths import DERIVED

log = structlog.get_logger()


def remove_leftovers(catalog: Catalog, files: InstanceFiles, series_instance_uid: str) -> None:
    """Remove results of a series that no row names, once the job that wrote them is dead.

    Its next run would have written them again under the same names and recorded them; now there
    is none. They were sent nowhere, for only rows are sent. What was received into the same
    series, an earlier result that came back, is not looked at.

    Parameters
    ----------
    catalog : Catalog
    files : InstanceFiles
    series_instance_uid : str
        The key of the source series.
    """
    received = catalog.instances.of_series(series_instance_uid)
    if not received:
        return
    study = received[0].study_instance_uid
    for uid in result_series_uids(study, catalog.studies.received_uid(series_instance_uid)):
        remove_unnamed(catalog, files, study, uid)


def remove_unnamed(
    catalog: Catalog, files: InstanceFiles, study_instance_uid: str, series_instance_uid: str
) -> None:
    """Remove what the node wrote into a derived series and no row names.

    Parameters
    ----------
    catalog : Catalog
    files : InstanceFiles
    study_instance_uid : str
    series_instance_uid : str
        Of the derived series.
    """
    for path in files.made_of_series(study_instance_uid, series_instance_uid):
        row = catalog.instances.get(path.name.removesuffix(DERIVED))
        if row is not None and row.path == path:
            continue
        try:
            files.remove(path)
        except OSError as error:
            log.error("leftover not removed", path=str(path), because=error.strerror)  # noqa: TRY400
        else:
            log.info("leftover removed", path=str(path))
