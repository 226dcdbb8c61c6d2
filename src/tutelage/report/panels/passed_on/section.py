"""Which class and which person each teacher helped, whatever its weight was."""

from collections.abc import Mapping

from tutelage.report.cells import EMPTY
from tutelage.report.context import ReportContext
from tutelage.report.panels.passed_on.data import Moves, PassedOn, passed_on
from tutelage.report.section import Section
from tutelage.report.table import Row, Table, TableCell, TableColumn, counted, left, stated
from tutelage.report.wording import listed, signed

INTRO = (
    "Test samples on which a student with teachers says another class than the student alone, and who among its "
    "teachers says that class too. It needs no weights, so it is told of fixed ones as well. A sample counts for "
    "every teacher that says it, so numbers of teachers do not add up; and a student may find by itself what a "
    "teacher happens to say."
)


def section(context: ReportContext) -> Section | None:
    """Build the section; none where no student has teachers whose predictions were kept."""
    every = passed_on(context.experiment)
    if not every:
        return None
    first = sorted(every, key=lambda found: found.stage != context.best)
    tables = tuple(table for found in first for table in tables_of(found))
    opened = tables[0].name
    return Section(
        "passed-on", "What came through from whom", "Passed on", INTRO, tables=tables,
        folded_tables=tuple(table.name for table in tables if table.name != opened),
        facts=tuple((found.stage, sentence(found)) for found in first),
    )  # fmt: skip


def sentence(found: PassedOn) -> str:
    """Say what moved, and where each teacher helped and harmed most."""
    whole = found.overall
    told = [f"{name} says {good:,} and {bad:,}" for name, (good, bad) in whole.followed.items()]
    most = [words for name in found.teachers if (words := _most(found, name))]
    moved = (
        f"Of {whole.n:,} test samples {whole.fixed:,} are right that {found.baseline} has wrong, "
        f"{whole.broken:,} are wrong that it has right"
    )
    return f"{moved}. Of these, {'; '.join(told)}.{' ' + ' '.join(most) if most else ''}"


def _most(found: PassedOn, teacher: str) -> str:
    """Name the class that a teacher helped most, and the one it harmed most."""
    gains = {name: moves.from_teacher(teacher) for name, moves in found.by_class.items()}
    best, worst = max(gains, key=gains.__getitem__), min(gains, key=gains.__getitem__)
    parts = [f"most in {best} ({signed(100 * gains[best])} points)"] if gains[best] > 0 else []
    if gains[worst] < 0:
        parts.append(f"against the student in {worst} ({signed(100 * gains[worst])})")
    return f"{teacher}: {listed(parts)}." if parts else ""


def tables_of(found: PassedOn) -> tuple[Table, ...]:
    """Return a table over classes and, where people are known, one over them."""
    groups = (("class", found.by_class), ("subject", found.by_subject))
    return tuple(_table(found, of, rows) for of, rows in groups if rows)


def _table(found: PassedOn, of: str, rows: Mapping[str, Moves]) -> Table:
    columns = (
        left(of), TableColumn("n", "samples"), TableColumn("fixed", "now right"),
        TableColumn("broken", "now wrong"), TableColumn("net", f"minus {found.baseline}", "points"),
        *(TableColumn(name, f"moved to {name}", "points") for name in found.teachers),
    )  # fmt: skip
    caption = (
        f"{found.stage} beside {found.baseline}, by {of}; all folds and seeds together. Moved to a teacher: "
        "samples that are now right as the teacher says, minus those that are now wrong as it says, in points of "
        f"the {of}'s samples; a stronger colour is more. Counts of repeated trainings, without interval: they "
        "describe, and decide nothing."
    )
    shares = [moves.from_teacher(name) for moves in rows.values() for name in found.teachers]
    top = max(shares, default=0.0)
    made = [
        Row((
            stated(name), counted(moves.n), counted(moves.fixed), counted(moves.broken),
            _points(moves.net), *(_moved(moves, teacher, top) for teacher in found.teachers),
        ))
        for name, moves in rows.items()
    ]  # fmt: skip
    return Table(f"passed-on-{found.stage}-{of}", caption, columns, tuple(made))


def _points(share: float) -> TableCell:
    return TableCell(signed(100 * share), 100 * share)


def _moved(moves: Moves, teacher: str, top: float) -> TableCell:
    good, bad = moves.followed[teacher]
    if not moves.fixed and not moves.broken:
        return EMPTY
    share = moves.from_teacher(teacher)
    heat = max(share, 0.0) / top if top > 0 else None
    note = f"{good} of {moves.fixed} that are now right, {bad} of {moves.broken} that are now wrong"
    return TableCell(signed(100 * share), 100 * share, heat=heat, note=note)
