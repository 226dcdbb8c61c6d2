"""Runs in MLflow: a database on this machine, or the tracking server that a person names."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tutelage.errors import UserError, library, one_line
from tutelage.tracking.base import TrackedRun, Tracker

__all__ = ["MlflowTracker"]

LOCAL = "sqlite:///mlflow.db"
MARK = "tutelage.run"
PARAMETERS, METRICS = 100, 1000
"""Most that MLflow takes in one request."""
NAME, VALUE = 250, 5000
"""Most characters of a name and of a text."""


class MlflowTracker(Tracker):
    """An experiment of an MLflow tracking store.

    A run is tagged ``tutelage.run`` with its key and set to FINISHED last; one of ours that is not was cut off.

    Args:
        project: name of the MLflow experiment; made where it is missing.
        uri: of the tracking store; ``sqlite:///mlflow.db`` in the current folder.

    Raises:
        UserError: MLflow is not installed, or the store does not answer.
    """

    def __init__(self, project: str, uri: str | None = None):
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it would tell its makers
        user = "tutelage track --to mlflow"
        self._uri = uri or LOCAL
        self._refusal = library("mlflow.exceptions", user, "mlflow").MlflowException
        self._entities = library("mlflow.entities", user, "mlflow")
        tracking = library("mlflow.tracking", user, "mlflow")
        with self._sentences():
            self._client = tracking.MlflowClient(tracking_uri=self._uri)
            found = self._client.get_experiment_by_name(project)
            self._experiment = (
                found.experiment_id if found else self._client.create_experiment(project)
            )

    @property
    def place(self) -> str:
        """The tracking store."""
        return self._uri

    def known(self) -> set[str]:
        """Return the keys of finished runs, and delete those that were cut off."""
        keys = set()
        with self._sentences():
            for run in list(self._ours()):
                if run.info.status == "FINISHED":
                    keys.add(run.data.tags[MARK])
                else:
                    self._client.delete_run(run.info.run_id)
        return keys

    def write(self, run: TrackedRun) -> None:
        """Write a run."""
        with self._sentences():
            tags = {name: text[:VALUE] for name, text in run.tags.items()}
            made = self._client.create_run(
                self._experiment, start_time=run.started, tags={MARK: run.key, **tags},
                run_name=run.name[:NAME],
            ).info.run_id  # fmt: skip
            parameters = [
                self._entities.Param(_name(name), str(value)[:VALUE])
                for name, value in run.parameters.items()
            ]
            for start in range(0, len(parameters), PARAMETERS):
                self._client.log_batch(made, params=parameters[start : start + PARAMETERS])
            metrics = list(self._metrics(run))
            for start in range(0, len(metrics), METRICS):
                self._client.log_batch(made, metrics=metrics[start : start + METRICS])
            for path in run.files:
                self._client.log_artifact(made, str(path))
            self._client.set_terminated(made, "FINISHED", run.finished)

    def _metrics(self, run: TrackedRun) -> Iterator[Any]:
        last = max(run.curves, default=0)
        for epoch, values in (*run.curves.items(), (last, run.scores)):
            for name, value in values.items():
                yield self._entities.Metric(_name(name), value, run.finished, epoch)

    def _ours(self) -> Iterator[Any]:
        page = None
        while True:
            found = self._client.search_runs(
                [self._experiment], f"tags.`{MARK}` LIKE '%'", page_token=page
            )
            yield from found
            page = found.token
            if not page:
                return

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except self._refusal as error:
            raise UserError(f"MLflow at {self._uri}: {one_line(error)}") from None


def _name(text: str) -> str:
    """Return a name with the characters that MLflow allows."""
    return re.sub(r"[^\w\-. /:]", "_", text, flags=re.ASCII)[:NAME]
