"""Runs of Weights & Biases, written offline: its own ``wandb sync`` sends them, when a person says so."""

import os
import shutil
from pathlib import Path

from tutelage.errors import UserError, library
from tutelage.tracking.base import TrackedRun, Tracker

__all__ = ["WandbTracker"]

MARK = "tutelage-run"
"""File in the folder of an offline run that is written last, with the key of the run."""


class WandbTracker(Tracker):
    """The folder ``wandb`` with offline runs.

    The id of a run follows from its key and its project, so W&B takes what is sent twice as one run.

    Args:
        project: of W&B.
        folder: in which ``wandb`` lies; the current one.

    Raises:
        UserError: W&B is not installed, or the folder is an address.
    """

    def __init__(self, project: str, folder: str | None = None):
        if folder is not None and "://" in folder:
            raise UserError(
                f"--uri: found {folder!r}; allowed: a folder, for W&B is written offline (then: wandb sync)"
            )
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # it would tell its makers
        self._wandb = library("wandb", "tutelage track --to wandb", "wandb")
        self._project, self._folder = project, Path(folder or ".")

    @property
    def place(self) -> str:
        """What sends the runs."""
        return f"{self._runs} (nothing is sent; wandb sync {self._runs}/offline-run-* does)"

    @property
    def _runs(self) -> Path:
        return self._folder / "wandb"

    def known(self) -> set[str]:
        """Return the keys of whole offline runs of the project, and remove those that were cut off."""
        keys = set()
        for path in self._runs.glob(f"offline-run-*-{self._id('')}*"):
            mark = path / MARK
            if mark.is_file():
                keys.add(mark.read_text(encoding="utf-8"))
            else:
                shutil.rmtree(path)
        return keys

    def write(self, run: TrackedRun) -> None:
        """Write an offline run."""
        self._folder.mkdir(parents=True, exist_ok=True)
        quiet = self._wandb.Settings(
            silent=True, console="off", disable_git=True, disable_code=True, save_code=False,
            x_disable_stats=True, x_disable_meta=True, x_disable_machine_info=True,
        )  # fmt: skip
        made = self._wandb.init(
            project=self._project, id=self._id(run.key), name=run.name, mode="offline",
            dir=str(self._folder), config={**run.parameters, "tutelage": dict(run.tags)},
            group=run.tags.get("experiment"), job_type=run.tags.get("stage"), settings=quiet,
            reinit="create_new",
        )  # fmt: skip
        for epoch, values in run.curves.items():
            made.log({**values, "epoch": epoch}, step=epoch)
        made.summary.update(dict(run.scores))
        for path in run.files:
            made.save(str(path), base_path=str(path.parent), policy="now")
        folder = Path(made.dir).parent
        made.finish()
        (folder / MARK).write_text(run.key, encoding="utf-8")

    def _id(self, key: str) -> str:
        """Return an id of W&B, at most 64 characters; without a key, what those of the project begin with."""
        from hashlib import sha256

        project = sha256(self._project.encode()).hexdigest()[:8]
        return f"tutelage-{project}-{sha256(key.encode()).hexdigest()[:20] if key else ''}"
