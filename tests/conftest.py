"""Fixtures of more than one kind of test."""

import errno
import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from unittest.mock import Mock

import hypothesis
import pytest
import sqlalchemy as sa
import structlog

from node.store.catalog import Catalog
from tests.certificates import Authority, authority
from tests.due_time import Moment
from tests.peers import (
    DCMTK_TOOLS,
    RunningOrthanc,
    RunningPostgresql,
    running_orthanc,
    running_postgresql,
    tool,
)
from tests.store_rows import catalog_on

# A busy machine is slow to draw its first example; that is no fault of what is tested.
hypothesis.settings.register_profile(
    "node", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("node")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Let no garbage be looked for in what stays: all modules and thousands of tests.

    Each full search walks through every object. While tests are collected nearly all of them
    stay, so it took a third of the time; afterwards each test that makes many objects paid again.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        gc.enable()


@pytest.fixture(autouse=True)
def fresh_logging() -> Iterator[None]:
    """Undo what a command run by the test set up: its stream is closed by then."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def signer(tmp_path: Path) -> Authority:
    """Return an authority of this test."""
    return authority(tmp_path / "ca")


@pytest.fixture
def full() -> Mock:
    """Fail as a disk without room does; stands in for ``os.write``, ``os.fsync`` and the like."""
    return Mock(side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))


@pytest.fixture
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningOrthanc]:
    """Run an empty Orthanc 1.12 for one test."""
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


@pytest.fixture
def viewer(orthanc: RunningOrthanc, tmp_path: Path) -> Iterator[str]:
    """Give the address of a viewer on the Orthanc of the test."""
    from tests.viewer_page import running_viewer  # here: few tests need a browser

    with running_viewer(orthanc.url, tmp_path / "viewer.log") as address:
        yield address


@pytest.fixture
def dcmtk() -> dict[str, str]:
    """Return the paths of the dcmtk and dicom3tools programs by name."""
    return {name: tool(name) for name in DCMTK_TOOLS}


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real scans that ``RADNET_REAL_DATA`` names; skip without it."""
    folder = os.environ.get("RADNET_REAL_DATA")
    if not folder or not (Path(folder) / "MANIFEST.csv").is_file():
        pytest.skip("RADNET_REAL_DATA names no folder of real scans")
    return Path(folder)


@pytest.fixture(scope="session")
def real_scans(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of real scans with the columns that the shipped weights were made by."""
    from radnet.datasets.completion import complete  # slow to import

    out = tmp_path_factory.mktemp("scans")
    complete(real_data, Path(__file__).parents[1] / "radnet/weights/scans.csv", out)
    return out


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[RunningPostgresql]:
    """Run one PostgreSQL for all tests that need no server of their own."""
    with running_postgresql() as running:
        yield running


@pytest.fixture
def moment() -> Moment:
    """Return the clock that work is due by."""
    return Moment(100.0)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def empty_catalog(
    request: pytest.FixtureRequest, tmp_path: Path, moment: Moment
) -> Iterator[Catalog]:
    """Give an empty catalog on each of the two databases; its work is due by `moment`."""
    url = f"sqlite:///{tmp_path / 'catalog.sqlite'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_server").url
    with catalog_on(url, moment) as made:
        yield made


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the URL of a database of its own on either server, for tables of an older version."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'catalog.sqlite'}"
        return
    server = request.getfixturevalue("postgresql_server").url
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE before")
    yield server.replace("/postgres?", "/before?")
    with engine.connect() as connection:
        connection.exec_driver_sql("DROP DATABASE before WITH (FORCE)")
    engine.dispose()
