"""What the command line shows while it works, and the tables it prints."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from tutelage.data import DataSet
from tutelage.experiment import Checked, Recipe
from tutelage.experiment.plan import Job
from tutelage.experiment.prepare import Fold

__all__ = ["Screen", "show_checks"]


class Screen:
    """Listens to an experiment: bars on a terminal, plain lines in a file."""

    def __init__(self) -> None:
        self.console = Console()
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.work: dict[str, TaskID] = {}
        self.running: dict[Job, tuple[TaskID, str]] = {}
        self.failed: list[str] = []

    def __enter__(self) -> "Screen":
        self.bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bars.stop()

    def progress(self, what: str, fraction: float) -> None:
        """Show a bar for long work; it goes when the work is done."""
        if what not in self.work:
            self.work[what] = self.bars.add_task(what, total=1.0, note="")
            if not self.console.is_terminal:
                self.console.print(what, markup=False, highlight=False)
        self.bars.update(self.work[what], completed=fraction)
        if fraction >= 1:
            self.bars.remove_task(self.work.pop(what))

    def begin(self, job: Job, number: int, total: int) -> None:
        """Open the line of a run."""
        label = f"[{number + 1}/{total}] {job.stage}, {job.fold_name}, seed {job.seed}"
        self.running[job] = self.bars.add_task(label, total=1.0, note=""), label

    def epoch(self, job: Job, row: Mapping[str, Any], epochs: int) -> None:
        """Show the latest numbers."""
        seen = row.get("validation") or row.get("test") or row["train"]
        note = f"epoch {row['epoch'] + 1}/{epochs}  loss {row['train']['loss']:.3f}"
        if "accuracy" in seen:  # a run without labels and without validation knows none
            note += f"  validation {100 * seen['accuracy']:.1f} %"
        task, label = self.running[job]
        self.bars.update(task, completed=(row["epoch"] + 1) / epochs, note=note)
        if not self.console.is_terminal:
            self.console.print(f"{label}: {note}", markup=False, highlight=False)

    def end(self, job: Job, outcome: str, evaluation: Mapping[str, Any] | None) -> None:
        """Close the line of a run with its result."""
        task, label = self.running.pop(job)
        self.bars.remove_task(task)
        text = f"{label}: {outcome}"
        if evaluation is None:
            self.failed.append(text)
        else:
            parts = [
                f"{split} {100 * found['accuracy']:.1f} %" for split, found in evaluation.items()
            ]
            text += f": {', '.join(parts)}"
        style = "red" if evaluation is None else None
        self.console.print(text, style=style, markup=False, highlight=False)

    def summary(self, folder: Path, page: Path) -> None:
        """Print the answer and where the report lies."""
        from tutelage.report.summary import summary
        from tutelage.study.ledger import read_experiment

        self.console.print()
        self.console.print(
            summary(read_experiment(folder)).sentence, style="bold", markup=False, highlight=False
        )
        self.console.print(f"report: {page}", markup=False, highlight=False, soft_wrap=True)


def show_checks(
    path: Path, recipe: Recipe, dataset: DataSet, folds: Sequence[Fold], found: Sequence[Checked]
) -> None:
    """Print what a dry run found."""
    console = Console()
    split = folds[0].split
    console.print(
        f"{dataset.name}: {len(dataset):,} samples, {len(dataset.class_names)} classes; {split.name}: "
        f"{len(split.train):,} train, {len(split.validation):,} validation, {len(split.test):,} test",
        highlight=False,
    )
    table = Table(box=None, pad_edge=False)
    for column in (
        "stage",
        "input",
        "network",
        "parameters",
        "multiply-adds",
        "each objective alone reaches the student",
    ):
        table.add_column(
            column, justify="right" if column in ("parameters", "multiply-adds") else "left"
        )
    for row in found:
        reach = ", ".join(f"{name} {norm:.2g}" for name, norm in row.reach.items())
        table.add_row(
            row.stage, row.input, row.network, f"{row.parameters:,}", f"{row.macs:,}", reach
        )
    console.print(table)
    runs = len(folds) * sum(
        1 if s.seed is not None else len(recipe.seeds) for s in recipe.stages.values()
    )
    console.print(f"{path}: sound; up to {runs} runs", markup=False, highlight=False)
