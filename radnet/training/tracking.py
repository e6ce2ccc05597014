"""Figures of a training in MLflow, where an operator keeps one: SQLite in a file, or a server.

A training goes on without it: a server that went away is counted and costs no step.
"""

import logging
import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from radnet.errors import UsageError

EXPERIMENT: Final = "radnet"
QUIET: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # a hospital's trainings are nobody else's business
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
SQLITE: Final = "sqlite:///"
MAGIC: Final = b"SQLite format 3\0"
LONGEST_VALUE: Final = 500  # characters MLflow takes for a parameter


def address(told: str) -> str:
    """Return an MLflow address: a server's URL as it is, anything else a SQLite file."""
    return told if "://" in told else f"{SQLITE}{Path(told).resolve()}"


class MlflowRun:
    """One run, begun anew or gone on with.

    Parameters
    ----------
    told
        A server's URL or the path of a SQLite file.
    name
        Of the run.
    parameters
        What is known before the first step.
    memory
        File that remembers the run's id as long as the training is not through.

    Raises
    ------
    UsageError
        If MLflow is not installed, or the address leads nowhere.
    """

    def __init__(
        self, told: str, name: str, parameters: Mapping[str, object], memory: Path
    ) -> None:
        self.troubles = 0  # calls that went unheard, and what the last of them met
        self.trouble = ""
        self._memory = memory
        for variable, value in QUIET.items():
            os.environ.setdefault(variable, value)
        self._uri = address(told)
        _refuse_other_files(self._uri, told)
        with _silence():
            self._client, self._error = _client(self._uri)
            try:
                self.run_id = self._known() or self._begun(name, parameters)
            except self._error as error:
                raise UsageError(f"{told}: no MLflow there ({error})") from error

    def _known(self) -> str:
        if not self._memory.is_file():
            return ""
        run_id = self._memory.read_text(encoding="utf-8").strip()
        self._client.update_run(run_id, status="RUNNING")
        return run_id

    def _begun(self, name: str, parameters: Mapping[str, object]) -> str:
        found = self._client.get_experiment_by_name(EXPERIMENT)
        place = None
        if self._uri.startswith(SQLITE):
            place = Path(self._uri.removeprefix(SQLITE)).with_suffix(".artifacts").as_uri()
        experiment = (
            found.experiment_id
            if found
            else self._client.create_experiment(EXPERIMENT, artifact_location=place)
        )
        run_id = str(self._client.create_run(experiment, run_name=name).info.run_id)
        for key, value in parameters.items():
            self._client.log_param(run_id, key, str(value)[:LONGEST_VALUE])
        self._memory.write_text(run_id, encoding="utf-8")
        return run_id

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Take figures of one step."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        names = {key.replace(" ", "_"): float(value) for key, value in figures.items()}
        metrics = [Metric(key, value, now, step) for key, value in names.items()]
        self._try(lambda: self._client.log_batch(self.run_id, metrics=metrics))

    def keep(self, path: Path) -> None:
        """Take a file."""
        self._try(lambda: self._client.log_artifact(self.run_id, str(path)))

    def end(self) -> None:
        """Close the run: the training is through."""
        self._try(lambda: self._client.set_terminated(self.run_id))
        self._memory.unlink(missing_ok=True)

    def _try(self, call: Any) -> None:
        with _silence():
            try:
                call()
            except self._error as error:
                self.troubles += 1
                self.trouble = f"{type(error).__name__}: {error}".splitlines()[0]


def _refuse_other_files(uri: str, told: str) -> None:
    path = Path(uri.removeprefix(SQLITE))
    if uri.startswith(SQLITE) and path.is_file():
        with path.open("rb") as file:
            begin = file.read(len(MAGIC))
        if begin not in (MAGIC, b""):
            raise UsageError(f"{told}: no MLflow there (not a SQLite file)")


def _client(uri: str) -> tuple[Any, type[Exception]]:
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError as error:
        raise UsageError("MLflow is not installed: pip install radnet-node[mlflow]") from error
    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri), MlflowException


def _silence() -> Any:
    """Silence what MLflow's own use of SQLAlchemy is warned of; not ours to mend."""
    return warnings.catch_warnings(action="ignore")
