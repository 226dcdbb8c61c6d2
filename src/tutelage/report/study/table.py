"""The table of a study: every number declared, every place that lacks runs marked, every cell with its runs."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tutelage.inert import csv_text
from tutelage.report.cells import Link, missing_table, no_link
from tutelage.report.table import (
    Row,
    SourceRun,
    Table,
    TableCell,
    TableColumn,
    left,
    stated,
)
from tutelage.report.verdicts import contrast_sentence
from tutelage.report.wording import listed, minus, plural
from tutelage.runs.run import Run
from tutelage.study.aggregate import Aggregate
from tutelage.study.contrasts import Contrast, contrast, settled
from tutelage.study.layout import Layout, LayoutRow, TableSpec, lay_out
from tutelage.study.ledger import StudyLedger
from tutelage.study.metrics import refuse_unasked
from tutelage.study.parts import Coordinates, Part, part_at

__all__ = ["TableNumber", "StudyTable", "missing_in", "study_table"]

HOLE = "–"
MARKS = {"better": "↑", "worse": "↓", "not distinguishable": "≈"}


@dataclass(frozen=True)
class TableNumber:
    """One number, the runs that it is made of, and its difference to what the table compares with."""

    part: Part
    made: Aggregate
    contrast: Contrast | None

    @property
    def complete(self) -> bool:
        """Whether every run that was asked for is there."""
        return self.part.planned > 0 and len(self.part.runs) == self.part.planned

    @property
    def mark(self) -> str:
        """An arrow for better or worse, a wave for not distinguishable, nothing where nothing was compared."""
        if self.contrast is None or not self.contrast.compared:
            return ""
        return MARKS[self.contrast.verdict]


Slot = tuple[TableNumber | None, ...]


@dataclass(frozen=True)
class StudyTable:
    """A table of a study with its numbers.

    Args:
        ledger: where they come from.
        spec: what was declared.
        layout: what stands where.
        slots: for each row and column the numbers; None where the study has no such thing.
    """

    ledger: StudyLedger
    spec: TableSpec
    layout: Layout
    slots: tuple[tuple[Slot, ...], ...]

    @property
    def title(self) -> str:
        """Above the table."""
        return self.spec.title or self.ledger.title

    @property
    def numbers(self) -> Iterator[tuple[LayoutRow, str, TableNumber]]:
        """Every number with its row and column."""
        for row, slots in zip(self.layout.rows, self.slots, strict=True):
            for column, slot in zip(self.layout.columns, slots, strict=True):
                yield from ((row, column, number) for number in slot if number is not None)

    @property
    def usual(self) -> int:
        """The number of runs that most numbers are the mean of."""
        counts = Counter(number.made.n for _, _, number in self.numbers if number.made.n)
        return max(counts, key=lambda n: (counts[n], n)) if counts else 0

    @property
    def _evaluated(self) -> Iterator[Run]:
        return (run for _, _, number in self.numbers for run in number.part.runs)

    @property
    def caption(self) -> str:
        """What the numbers are, in sentences."""
        parts = [f"Columns: {self.layout.across}." if self.layout.across else ""]
        parts += [self.spec.sentence(self._evaluated), self._counts()]
        if self.spec.against is not None:
            other = listed(_named(self.spec.other))
            parts.append(
                f"↑ better, ↓ worse, ≈ not distinguishable from {other}: paired over folds and seeds, "
                "95 % interval; the decision is after Holm's correction for the whole table."
            )
        return " ".join(part for part in parts if part)

    def table(self, name: str = "table", *, wide: bool = False, link: Link = no_link) -> Table:
        """Return it as text.

        Args:
            name: of its files.
            wide: group in a column of its own and one line per cell, for Markdown and LaTeX; else for a page.
            link: makes the address of a run's folder.
        """
        grouped = wide and any(row.group for row in self.layout.rows)
        columns = [left("group")] if grouped else []
        columns.append(TableColumn("method", self.layout.corner, left=True))
        columns += [TableColumn(f"c{at}", title) for at, title in enumerate(self.layout.columns)]
        rows, before = [], None
        for row, slots in zip(self.layout.rows, self.slots, strict=True):
            first = (
                [TableCell(row.group if row.group != before else "", row.group)] if grouped else []
            )
            cells = [self._cell(slot, wide=wide, link=link) for slot in slots]
            rows.append(Row((*first, stated(row.name), *cells), row.group))
            before = row.group
        return Table(name, self.caption, tuple(columns), tuple(rows))

    def csv(self) -> str:
        """Return one line per number, unrounded, in the unit of the metric."""
        header = (
            "group", "row", "column", "cell", "stage", "n", "planned", "mean", "spread", "spread_name",
            "metric", "split", "average", "runs", "against", "difference", "low", "high", "verdict",
        )  # fmt: skip
        return csv_text(header, (self._line(*entry) for entry in self.numbers))

    def _line(self, row: LayoutRow, column: str, number: TableNumber) -> tuple[object, ...]:
        made, spec, difference = number.made, self.spec, number.contrast
        ends = difference.interval if difference else None
        spread = made.spread
        return (
            row.group, row.name, column, number.part.cell.name, number.part.stage, made.n,
            number.part.planned, made.mean, spread and spread.value, spread and spread.name,
            spec.metric, spec.split, spec.average, spec.runs if spec.runs == "all" else
            f"best {spec.runs.best} on {spec.runs.on}",
            difference and difference.b, difference.mean if difference and difference.n else None,
            ends and ends.low, ends and ends.high, difference.verdict if difference and difference.n else None,
        )  # fmt: skip

    def _counts(self) -> str:
        """Say the number of runs behind a number, and that it is not the same everywhere if it is not."""
        numbers = [number for _, _, number in self.numbers]
        if not numbers:
            return "No cell of the study is started."
        counts = {number.made.n for number in numbers if number.made.n}
        usual = plural(self.usual, "run")
        parts = []
        if len(counts) == 1:
            parts.append(f"Every number is of n = {usual}.")
        elif counts:
            parts.append(
                f"n = {usual} unless another n stands beside a number: n is not the same everywhere."
            )
        spreads = [number.made.spread for number in numbers if number.made.n]
        if any(sd is not None and sd.value is None for sd in spreads):
            parts.append("A number without ± has too few runs for one.")
        lacking = sum(not number.complete for number in numbers)
        if lacking:
            parts.append(
                f"{plural(lacking, 'number')} of {len(numbers)} lack runs; {HOLE} has none."
            )
        uneven = [number for number in numbers if number.made.n and number.made.folds_missing]
        if uneven:
            parts.append(
                "Means over fewer folds than others are marked 'folds missing' and must not be compared with them."
            )
        return " ".join(parts)

    def _cell(self, slot: Slot, *, wide: bool, link: Link) -> TableCell:
        numbers = [number for number in slot if number is not None]
        if not numbers:
            return TableCell("", tone="quiet")
        texts, subs = [], []
        for number in slot:
            value, sd, count = self._texts(number)
            mark = number.mark if number else ""
            shown = (value, sd, mark, count) if wide else (value, mark)
            texts.append(" ".join(part for part in shown if part))
            subs.append(" ".join(part for part in (sd, count) if part))
        one = numbers[0]
        alone = len(slot) == 1
        return TableCell(
            " / ".join(texts),
            one.made.mean if alone else " / ".join(texts),
            sub="" if wide or not any(subs) else " / ".join(subs),
            spread=one.made.spread.value if alone and one.made.spread else None,
            evidence=tuple(item for number in numbers for item in self._evidence(number, alone, link)),
            note=self._note(numbers),
            tone="" if all(number.complete for number in numbers) else "bad",
        )  # fmt: skip

    def _texts(self, number: TableNumber | None) -> tuple[str, str, str]:
        if number is None:
            return "", "", ""
        made = number.made
        if made.mean is None:
            return HOLE, "", ""
        sd = made.spread.value if made.spread else None
        count = ""
        if not number.complete:
            count = f"(n = {made.n} of {number.part.planned}"
            count += ", folds missing)" if made.folds_missing else ")"
        elif made.n != self.usual:
            count = f"(n = {made.n})"
        value = self.shown(made.mean)
        return value, "" if sd is None else f"± {self.shown(sd)}", count

    def shown(self, value: float) -> str:
        """Format a value in the unit and with the digits of the table."""
        return minus(self.spec.scale * value, self.spec.digits)

    def _evidence(self, number: TableNumber, alone: bool, link: Link) -> Iterator[SourceRun]:
        names = self.ledger.fold_names
        for run in sorted(number.part.runs, key=lambda run: run.key):
            value = number.made.values.get(run.key)
            text = (
                f"not counted: {number.made.left_out[run.key]}"
                if value is None
                else self.shown(value)
            )
            path = f"{number.part.cell.record.path}/{run.path}"
            stage = "" if alone else number.part.stage
            yield SourceRun(names.get(run.fold, run.fold), run.seed, text, path, stage, link(run))

    def _note(self, numbers: list[TableNumber]) -> str:
        parts = []
        for number in numbers:
            made, spread = number.made, number.made.spread
            who = number.part.stage
            said = f"{who}: n = {made.n} of {number.part.planned or '?'}"
            if spread and spread.value is not None:
                said += f", ± is the {spread.name}"
            parts.append(said + ".")
            if number.contrast is not None:
                parts.append(contrast_sentence(number.contrast, self.spec.scale, self._unit()))
            reasons = number.part.reasons
            if reasons:
                more = f", and {len(reasons) - 3} more" if len(reasons) > 3 else ""
                parts.append(f"Missing: {'; '.join(reasons[:3])}{more}.")
        return " ".join(parts)

    def _unit(self) -> str:
        return "points" if self.spec.unit == "%" else self.spec.unit


def study_table(ledger: StudyLedger, spec: TableSpec) -> StudyTable:
    """Make the table of a study.

    Raises:
        tutelage.errors.UserError: the declaration names what does not exist, or a place means several runs.
    """
    refuse_unasked(spec.metric, ledger.asked)
    layout = lay_out(ledger, spec)
    slots = tuple(
        tuple(tuple(_number(ledger, spec, part) for part in slot) for slot in row.slots)
        for row in layout.rows
    )
    return StudyTable(ledger, spec, layout, _decided(slots))


def _decided(slots: tuple[tuple[Slot, ...], ...]) -> tuple[tuple[Slot, ...], ...]:
    """Return the numbers with the verdicts that Holm's correction for the whole table leaves them.

    A difference of the same runs that stands in several cells is one difference.
    """
    apart = {
        _key(number.contrast): number.contrast
        for row in slots for slot in row for number in slot
        if number is not None and number.contrast is not None
    }  # fmt: skip
    after = dict(zip(apart, settled(apart.values()), strict=True))

    def with_verdict(number: TableNumber | None) -> TableNumber | None:
        if number is None or number.contrast is None:
            return number
        return replace(number, contrast=after[_key(number.contrast)])

    return tuple(tuple(tuple(map(with_verdict, slot)) for slot in row) for row in slots)


def _key(contrast: Contrast) -> tuple[object, ...]:
    runs = tuple((a.fingerprint, b.fingerprint) for a, b in contrast.runs)
    return contrast.a, contrast.b, contrast.stage, runs, "" if runs else contrast.where


def missing_in(ledger: StudyLedger) -> Table:
    """Every run and every cell that gave no number, and why."""
    caption = "What gave no number. None of it is in any mean."
    return missing_table(ledger.missing, ledger.fold_names, caption, cells=True)


def _number(ledger: StudyLedger, spec: TableSpec, part: Part | None) -> TableNumber | None:
    if part is None:
        return None
    return TableNumber(part, part.aggregate(spec), _contrast(ledger, spec, part))


def _contrast(ledger: StudyLedger, spec: TableSpec, part: Part) -> Contrast | None:
    if spec.against is None or part.cell.experiment is None:
        return None
    other = part_at(ledger, {**part.at, **spec.other}, "table.against")
    if other is None or other.identity == part.identity:
        return None
    here = {key: value for key, value in part.at.items() if key in spec.other}
    names = listed(_named(here)), listed(_named(spec.other))
    return contrast(part, other, names, part.cell.name, spec.metric, spec.split)


def _named(at: Coordinates) -> list[str]:
    return [value if key == "stage" else f"{key} {value}" for key, value in at.items()]
