"""What the methods of a study cost, to train and to carry; who was given more training than the baseline."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tutelage.report.cells import EMPTY
from tutelage.report.section import Section
from tutelage.report.table import Row, Table, TableCell, TableColumn, left, stated
from tutelage.report.wording import human, listed
from tutelage.runs.ledger import Experiment
from tutelage.runs.run import Run
from tutelage.study.ledger import StudyLedger


@dataclass(frozen=True)
class StageBudget:
    """One method of one cell, and what it took.

    Args:
        cell: its name.
        stage: the method.
        run: one of its runs; all have the same network.
        epochs: of its own; None where the record does not tell.
        before: epochs of the stages that it starts from, one after the other.
        seconds: of training, median over runs; None where no record tells.
        taught: parameters of all its teachers, each once.
    """

    cell: str
    stage: str
    run: Run
    epochs: int | None
    before: int
    seconds: float | None
    taught: int

    @property
    def whole(self) -> int | None:
        """Epochs that its weights have seen."""
        return None if self.epochs is None else self.epochs + self.before


def budgets(ledger: StudyLedger) -> tuple[StageBudget, ...]:
    """Return every compared method of every cell once: methods that several cells share stand in the first."""
    known = {run.fingerprint: run for one in ledger.experiments for run in one.runs}
    seen: set[frozenset[str]] = set()
    every = []
    for cell in ledger.cells:
        for stage in ledger.compared(cell):
            runs = cell.of(stage)
            prints = frozenset(run.fingerprint for run in runs)
            if cell.experiment is None or not runs or prints in seen:
                continue
            seen.add(prints)
            seconds = [run.record.seconds for run in runs if run.record.seconds is not None]
            median = float(np.median(seconds)) if seconds else None
            before = sum(run.record.epochs or 0 for run in _starts(cell.experiment, runs[0]))
            teachers = {teacher.fingerprint for teacher in runs[0].record.teachers.values()}
            taught = sum(known[one].record.network.parameters for one in teachers if one in known)
            every.append(
                StageBudget(
                    cell.name, stage, runs[0], runs[0].record.epochs, before, median, taught
                )
            )
    return tuple(every)


def _starts(experiment: Experiment, run: Run) -> Iterator[Run]:
    """Yield the runs that a run starts from, the nearest first."""
    known = {other.fingerprint: other for other in experiment.runs}
    start = run.record.start_from
    while start is not None and start.fingerprint in known:
        other = known.pop(start.fingerprint)
        yield other
        start = other.record.start_from


def unequal(ledger: StudyLedger, known: Sequence[StageBudget]) -> str:
    """Say which methods were trained longer than the baseline; empty where none was."""
    baselines = {one.record.baseline for one in ledger.experiments}
    least = [one.whole for one in known if one.stage in baselines and one.whole]
    if not least:
        return ""
    longer = [one for one in known if one.before and one.whole and one.whole > max(least)]
    if not longer:
        return ""
    names = listed(list(dict.fromkeys(one.stage for one in longer)))
    most = max(one.whole or 0 for one in longer)
    return (
        f"Unequal budgets: the weights of {names} have seen {most} epochs, with those of the network that they "
        f"start from; those of {listed(sorted(baselines))} {max(least)}. A gain may be the longer training."
    )


def budget_section(ledger: StudyLedger, known: Sequence[StageBudget]) -> Section | None:
    """Build the section; None where no run is complete."""
    if not known:
        return None
    note = unequal(ledger, known)
    return Section("cost", "What it costs", "Cost", tables=(budget_table(known),),
                   notes=(note,) if note else ())  # fmt: skip


def budget_table(known: Sequence[StageBudget]) -> Table:
    """One row per method and cell."""
    columns = (
        left("method"),
        left("cell"),
        TableColumn("parameters", "parameters"),
        TableColumn("macs", "multiply-adds", "a sample"),
        TableColumn("teachers", "teachers", "parameters"),
        TableColumn("epochs", "epochs"),
        TableColumn("seconds", "training", "s a run, median"),
    )
    caption = (
        "Of what is deployed, for one sample. Epochs count the stages that a method starts from; time is that of "
        "the method alone, its teachers apart. A method that several cells share stands once."
    )
    return Table("cost", caption, columns, tuple(_row(one) for one in known))


def _row(one: StageBudget) -> Row:
    network = one.run.record.network
    epochs = EMPTY if one.whole is None else TableCell(
        str(one.whole), one.whole, sub=f"{one.before} before it starts" if one.before else "")  # fmt: skip
    return Row((
        stated(one.stage, network.type),
        stated(one.cell),
        TableCell(human(network.parameters), network.parameters),
        TableCell(human(network.macs), network.macs),
        TableCell(human(one.taught), one.taught) if one.taught else EMPTY,
        epochs,
        EMPTY if one.seconds is None else TableCell(f"{one.seconds:.0f}", one.seconds),
    ))  # fmt: skip
