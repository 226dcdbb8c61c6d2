"""The listener of one setting: hears every epoch, and gives up what is worse than the others were."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tutelage.execution.listener import Listener
from tutelage.recipe.config import Recipe
from tutelage.recipe.resolve import RunSpec
from tutelage.study.tune.settings import Tune

if TYPE_CHECKING:
    from optuna.trial import Trial

__all__ = ["GivenUp", "Watch"]


class GivenUp(BaseException):
    """Leaves an experiment whose setting is not worth finishing; what was trained stays.

    As with ``KeyboardInterrupt``, nobody on the way may take it for the failure of a run.
    """


class Watch:
    """Judges a setting epoch by epoch, in the order of its runs, in whatever order they are trained.

    A step is an epoch of a run: those of the first run come first. Its value is the mean over the runs that are
    finished and the one under way, of which counts what would be kept if it ended now. So settings are compared
    after the same training, and a search that was killed compares as if it had not been.

    Args:
        trial: who is told, and asked.
        asked: how it is searched.
        recipe: of the setting.
        runs: folds and seeds, in order.
        folder: of the experiment.
        known: steps that were told before.
        listener: who hears everything as well.
    """

    def __init__(
        self,
        trial: "Trial",
        asked: Tune,
        recipe: Recipe,
        runs: Sequence[tuple[int, int]],
        folder: Path,
        known: Sequence[int],
        listener: Listener,
    ) -> None:
        self.stage, self.metric, self.judge = asked.stage, asked.metric, asked.prune is not None
        train = recipe.train_settings(self.stage)
        self.trial, self.folder, self.listener = trial, folder, listener
        self.runs, self.known = list(runs), set(known)
        self.epochs = max(1, train.epochs)
        self.best = train.select != "last" and train.average is None
        self.rows: list[dict[int, Mapping[str, float]]] = [{} for _ in self.runs]
        self.final: dict[int, float] = {}

    def progress(self, what: str, fraction: float) -> None:
        """Pass it on."""
        self.listener.progress(what, fraction)

    def begin(self, spec: RunSpec, number: int, total: int, cell: str) -> None:
        """Look for epochs of an earlier sitting."""
        self.listener.begin(spec, number, total, cell)
        path = self.folder / spec.folder / "metrics.jsonl"
        if spec.stage == self.stage and path.is_file():
            for line in path.read_text().splitlines():
                try:
                    row = json.loads(line)
                except json.JSONDecodeError:  # the last line of a command that was killed
                    break
                self._rows(spec)[row["epoch"]] = row["validation"]

    def epoch(self, spec: RunSpec, row: Mapping[str, Any], epochs: int) -> None:
        """Judge an epoch."""
        self.listener.epoch(spec, row, epochs)
        if spec.stage == self.stage:
            self._rows(spec)[row["epoch"]] = row["validation"]
            self._judge()

    def end(self, spec: RunSpec, outcome: str, evaluation: Mapping[str, Any] | None) -> None:
        """Note what a run came to."""
        self.listener.end(spec, outcome, evaluation)
        if spec.stage == self.stage and evaluation is not None:
            self.final[self._place(spec)] = evaluation["validation"][self.metric]
            self._judge()

    def _place(self, spec: RunSpec) -> int:
        return self.runs.index((spec.fold, spec.seed))

    def _rows(self, spec: RunSpec) -> dict[int, Mapping[str, float]]:
        return self.rows[self._place(spec)]

    def _judge(self) -> None:
        """Tell every step that is known now, and give up where the others were better."""
        for step, value in self._steps():
            if step in self.known:
                continue
            self.known.add(step)
            self.trial.report(value, step)
            last = step >= self.epochs * len(self.runs)
            if self.judge and not last and self.trial.should_prune():
                raise GivenUp(f"setting {self.trial.number}, step {step}")

    def _steps(self) -> list[tuple[int, float]]:
        steps, finished = list[tuple[int, float]](), 0.0
        for i, rows in enumerate(self.rows):
            for epoch in range(self.epochs):
                if epoch not in rows:
                    break
                value = self._kept([rows[e] for e in range(epoch + 1)])
                steps.append((i * self.epochs + epoch + 1, (finished + value) / (i + 1)))
            if i not in self.final:
                break
            finished += self.final[i]
            if len(rows) < self.epochs:  # found complete elsewhere: only its end is known
                steps.append(((i + 1) * self.epochs, finished / (i + 1)))
        return steps

    def _kept(self, rows: Sequence[Mapping[str, float]]) -> float:
        """Return the metric of the epoch that would be kept of these."""
        chosen = max(rows, key=lambda row: row["accuracy"]) if self.best else rows[-1]
        return chosen["loss" if self.metric == "nll" else self.metric]
