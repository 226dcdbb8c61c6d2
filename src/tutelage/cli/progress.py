"""What the command line shows while it works, and the tables it prints."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from tutelage.cli.pace import Pace
from tutelage.files import bytes_in_words

if TYPE_CHECKING:
    from tutelage.data import DataSet
    from tutelage.execution.estimation import Estimate
    from tutelage.recipe.fold import Fold
    from tutelage.recipe.resolve import RunSpec
    from tutelage.study.status import Status
    from tutelage.training.check import Checked

_LONG = 3.0  # seconds that work takes before a file hears of it

__all__ = ["Screen", "show_checks", "show_estimate", "show_status"]


class Screen:
    """Listens to an experiment: bars on a terminal, plain lines in a file; one line of each run.

    Args:
        verbose: also a line of each epoch.
    """

    def __init__(self, verbose: bool = False) -> None:
        self.verbose = verbose
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
        self.since: dict[str, float] = {}
        self.running: dict[RunSpec, tuple[TaskID, str]] = {}
        self.failed: list[str] = []
        self.pace = Pace()
        self.found = 0

    def __enter__(self) -> Screen:
        self.bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bars.stop()
        self._tell_found()

    def _tell_found(self) -> None:
        if self.found:
            self.say(f"{self.found} {'run is' if self.found == 1 else 'runs are'} there already")
        self.found = 0

    def say(self, text: str, style: str | None = None) -> None:
        """Print a line as it is, however long."""
        self.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def progress(self, what: str, fraction: float) -> None:
        """Show a bar for work until it is done; in a file, name what takes its time once."""
        if what not in self.work:
            self.work[what] = self.bars.add_task(what, total=1.0, note="")
            self.since[what] = time.monotonic()
        self.bars.update(self.work[what], completed=fraction)
        late = time.monotonic() - self.since[what] > _LONG
        if late and fraction < 1 and not self.console.is_terminal:
            self.say(f"{what} ({100 * fraction:.0f} % done)")
            self.since[what] = float("inf")
        if fraction >= 1:
            self.bars.remove_task(self.work.pop(what))
            del self.since[what]

    def begin(self, spec: RunSpec, number: int, total: int, cell: str) -> None:
        """Open the line of a run."""
        where = f"{cell}: " if cell else ""
        label = f"[{number + 1}/{total}] {where}{spec.stage}, {spec.fold_name}, seed {spec.seed}"
        self.running[spec] = self.bars.add_task(label, total=1.0, note=""), label
        self.pace.begin(total)

    def epoch(self, spec: RunSpec, row: Mapping[str, Any], epochs: int) -> None:
        """Show the latest numbers."""
        split = next(name for name in ("validation", "test", "train") if row.get(name))
        note = f"epoch {row['epoch'] + 1}/{epochs}  loss {row['train']['loss']:.3f}"
        if "accuracy" in row[split]:  # a run without labels and without validation knows none
            note += f"  {split} {100 * row[split]['accuracy']:.1f} %"
        task, label = self.running[spec]
        self.bars.update(task, completed=(row["epoch"] + 1) / epochs, note=note)
        if self.verbose:
            self.say(f"{label}: {note}")

    def end(self, spec: RunSpec, outcome: str, evaluation: Mapping[str, Any] | None) -> None:
        """Close the line of a run with its result, and say what is left."""
        task, label = self.running.pop(spec)
        self.bars.remove_task(task)
        if outcome == "found" and not self.verbose:
            self.pace.skip()
            self.found += 1
            return
        self._tell_found()
        text = f"{label}: {outcome}"
        if evaluation is None:
            self.failed.append(text)
        elif evaluation:
            parts = [
                f"{split} {100 * found['accuracy']:.1f} %" for split, found in evaluation.items()
            ]
            text += f": {', '.join(parts)}"
        # Nothing is evaluated of a run that another process has, or that is begun again: it is not over.
        left = self.pace.end() if evaluation is None or evaluation else ""
        self.say(f"{text}; {left}" if left else text, style="red" if evaluation is None else None)

    def summary(self, folder: Path, page: Path) -> None:
        """Print the answer and where the report lies."""
        from tutelage.report.context import ReportContext
        from tutelage.report.headline import headline
        from tutelage.runs.ledger import read_experiment

        first = headline(ReportContext(read_experiment(folder)))
        self.console.print()
        for warning in first.warnings:
            self.say(warning)
        self.say(first.sentence, style="bold")
        self.say(f"report: {page}")


def show_checks(
    path: Path, dataset: DataSet, folds: Sequence[Fold], checked: Sequence[Checked], runs: int
) -> None:
    """Print what a dry run came to, and for how many runs the recipe asks."""
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
    for row in checked:
        reach = ", ".join(f"{name} {norm:.2g}" for name, norm in row.reach.items())
        table.add_row(
            row.stage, row.input, row.network, f"{row.parameters:,}", f"{row.macs:,}", reach
        )
    console.print(table)
    for warning in (warning for row in checked for warning in row.warnings):
        console.print(f"warning: {warning}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"{path}: sound; up to {runs} runs", markup=False, highlight=False)


def show_estimate(name: str, cells: int, found: Estimate) -> None:
    """Print what a study will take."""
    from tutelage.study.status import duration

    console = Console()

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    say(
        f"{name}: {cells} {'cell asks' if cells == 1 else 'cells ask'} for {found.asked} runs; {found.shared} of "
        f"these are shared, {found.found} are found, {found.missing} are missing"
    )
    if not found.missing:
        return
    table = Table(box=None, pad_edge=False)
    for column in ("stages", "cells", "runs", "seconds each"):
        table.add_column(column, justify="right" if column in ("runs", "seconds each") else "left")
    for kind in found.kinds:
        seconds = kind.why if kind.seconds is None else f"{kind.seconds:.1f}"
        table.add_row(kind.stages, kind.cells, str(kind.runs), seconds)
    console.print(table)
    beside = "one after the other" if found.size == 1 else f"{found.size} side by side"
    without = " without those that could not be measured" if _unknown(found) else ""
    say(f"time: about {duration(found.seconds)}, {beside}{without}")
    say(f"disk: about {bytes_in_words(found.disk)}, {bytes_in_words(found.free_disk)} are free")
    say(
        f"memory: about {bytes_in_words(found.memory)}, {bytes_in_words(found.free_memory)} are free"
    )


def _unknown(found: Estimate) -> bool:
    return any(kind.seconds is None for kind in found.kinds)


def show_status(found: Status) -> None:
    """Print where a study stands."""
    from tutelage.study.status import STATES

    console = Console()
    table = Table(box=None, pad_edge=False)
    table.add_column("cell")
    for state in STATES:
        table.add_column(state, justify="right")
    for cell in found.cells:
        table.add_row(cell.name, *(str(cell.counts.get(state, 0)) for state in STATES))
    table.add_row("different runs", *(str(found.counts.get(state, 0)) for state in STATES))
    if found.missing:
        console.print(found.missing, style="bold", markup=False, highlight=False, soft_wrap=True)
    console.print(table)
    for cell in found.cells:
        for failure in cell.failures:
            console.print(f"{cell.name}: {failure}", style="red", markup=False, highlight=False)
    console.print(found.time_left, markup=False, highlight=False)
