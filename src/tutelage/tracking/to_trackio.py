"""Runs in Trackio's database on this machine; its own ``trackio sync`` sends them, when a person says so."""

import io
import os
from contextlib import redirect_stdout
from typing import Any

from tutelage.errors import UserError, library
from tutelage.tracking.base import TrackedRun, Tracker

__all__ = ["TrackioTracker"]

UNFINISHED = " (unfinished)"
SENDING = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")


class TrackioTracker(Tracker):
    """A project of Trackio.

    A run is renamed when everything of it is there; what still has its first name was cut off.

    Args:
        project: of Trackio.
        uri: must be None; ``TRACKIO_DIR`` says where Trackio keeps its projects.

    Raises:
        UserError: Trackio is not installed, or would send what it is told.
    """

    def __init__(self, project: str, uri: str | None = None):
        if uri is not None:
            raise UserError(
                f"--uri: found {uri!r}; Trackio keeps projects in TRACKIO_DIR (then: trackio sync)"
            )
        for name in SENDING:
            if os.environ.get(name):
                raise UserError(
                    f"{name} is set, so Trackio would send the runs; unset it (then: trackio sync)"
                )
        self._trackio = library("trackio", "tutelage track --to trackio", "trackio")
        self._project = project

    @property
    def place(self) -> str:
        """What shows the runs."""
        return f"trackio show --project {self._project} (nothing is sent)"

    def known(self) -> set[str]:
        """Return the keys of whole runs, and remove those that were cut off."""
        keys = set()
        for run in self._runs():
            key = (run.config or {}).get("tutelage", {}).get("run")
            if key is not None and run.name.endswith(UNFINISHED):
                run.delete()
            elif key is not None:
                keys.add(key)
        return keys

    def write(self, run: TrackedRun) -> None:
        """Write a run."""
        if run.files:
            raise UserError("--files: Trackio takes none; allowed: with --to mlflow or wandb")
        with redirect_stdout(io.StringIO()):  # it says several lines of each run
            self._write(run)
        for one in self._runs():
            if one.name == run.name + UNFINISHED:
                one.rename(run.name)

    def _write(self, run: TrackedRun) -> None:
        made = self._trackio.init(
            project=self._project, name=run.name + UNFINISHED, group=run.tags.get("experiment"),
            config={**run.parameters, "tutelage": {**run.tags, "run": run.key}}, embed=False,
            auto_log_gpu=False, auto_log_cpu=False,
        )  # fmt: skip
        for epoch, values in run.curves.items():
            made.log(dict(values), step=epoch)
        made.log(dict(run.scores), step=max(run.curves, default=0) + 1)
        self._trackio.finish()

    def _runs(self) -> list[Any]:
        try:
            return list(self._trackio.Api().runs(self._project))
        except ValueError:  # there is no such project yet
            return []
