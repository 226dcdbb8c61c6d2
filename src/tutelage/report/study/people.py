"""Who gains, and on which classes: the differences of a study taken apart. They decide nothing."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from tutelage.report.cells import EMPTY, difference_cell
from tutelage.report.drawing.canvas import WIDTH, Drawing, canvas, finish
from tutelage.report.palette import INK, MUTED
from tutelage.report.section import Figure, Section
from tutelage.report.study.comparison import where_of
from tutelage.report.table import Row, Table, TableCell, TableColumn, left, stated
from tutelage.report.wording import short
from tutelage.runs.records import Evaluation, Split
from tutelage.statistics.paired import PairedDifference, paired_difference
from tutelage.study.contrasts import Contrast, StudyComparison

SHOWN_UP_TO = 8
LINE = 46

Score = Callable[[Evaluation], float | None]


def people_section(comparison: StudyComparison) -> Section | None:
    """Build the section on subjects and classes; None where nothing was compared."""
    contrasts = shown_first(comparison)
    if not contrasts:
        return None
    subjects = subject_table(contrasts, comparison)
    figures = []
    if subjects.rows:
        drawing = subject_figure(contrasts, comparison)
        caption = "A dot is a test subject, the mean over the runs that tested it; the bar is their middle half."
        figures.append(Figure(drawing, "Who gains", caption))
    tables = [class_table(contrasts, comparison), *([subjects] if subjects.rows else [])]
    notes = () if subjects.rows else ("The data name no subjects.",)
    intro = "Single intervals without any correction: where to look, no claims."
    return Section("people", "Classes and subjects", "Classes", intro, tuple(figures),
                   tuple(tables), folded_tables=("subjects",), notes=notes)  # fmt: skip


def shown_first(comparison: StudyComparison) -> tuple[Contrast, ...]:
    """The differences that are shown: those that are claimed before the others, at most so many."""
    pairs = [one for one in comparison.single if one.compared]
    pairs.sort(key=lambda one: one.verdict == "not distinguishable")
    return tuple(pairs[:SHOWN_UP_TO])


def subject_table(contrasts: Sequence[Contrast], comparison: StudyComparison) -> Table:
    """Difference of accuracy on every test subject; its interval is about training again."""

    def score(name: str) -> Score:
        return lambda e: e.per_subject[name].accuracy if name in e.per_subject else None

    split = comparison.split
    names = {name for one in contrasts for mine, _ in one.runs
             for name in mine.evaluations[split].per_subject}  # fmt: skip
    caption = (
        "Difference of accuracy on each test subject in points, mean over the runs that tested it, with a 95 % "
        f"interval where it has two seeds.{_left_out(contrasts, comparison)}"
    )
    return _table("subjects", "subject", sorted(names), contrasts, split, score, caption)


def class_table(contrasts: Sequence[Contrast], comparison: StudyComparison) -> Table:
    """Difference of F1 on every class, over folds."""

    def score(name: str) -> Score:
        return lambda e: e.per_class[name].f1 if name in e.per_class else None

    names = dict.fromkeys(name for one in contrasts for mine, _ in one.runs
                          for name in mine.record.data.class_names)  # fmt: skip
    caption = (
        "Difference of F1 in points, mean over folds of the mean over seeds, with a 95 % interval "
        f"for new people where there are several folds.{_left_out(contrasts, comparison)}"
    )
    return _table("classes", "class", names, contrasts, comparison.split, score, caption)


def subject_figure(contrasts: Sequence[Contrast], comparison: StudyComparison) -> Drawing:
    """Draw every subject's difference, one line per method."""
    rows: list[tuple[object, ...]] = []
    with canvas(WIDTH, 84 + LINE * len(contrasts)) as figure:
        axes = figure.subplots()
        for y, one in enumerate(contrasts):
            gains = subject_gains(one, comparison.split)
            rows += [(title(one), subject, gain) for subject, gain in gains.items()]
            values = np.array([*gains.values()])
            if not len(values):
                continue
            low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
            axes.plot(
                [low, high], [y, y], color=MUTED, linewidth=7, alpha=0.25, solid_capstyle="round"
            )
            axes.plot([middle, middle], [y - 0.16, y + 0.16], color=INK, linewidth=2)
            spread = 0.18 * np.sin(
                np.arange(len(values)) * 2.4
            )  # so that equal dots do not cover each other
            axes.scatter(values, y + spread, s=22, color=INK, alpha=0.55, linewidths=0)
        axes.axvline(0, color=MUTED, linewidth=1)
        axes.set_yticks(range(len(contrasts)), [short(title(one), 34) for one in contrasts])
        axes.tick_params(axis="y", length=0, labelsize=13, labelcolor=INK)
        axes.set_ylim(len(contrasts) - 0.45, -0.6)
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(
            f"difference of accuracy to {short(comparison.against)} in points, by test subject"
        )
        return finish(figure, "subjects", "Difference of accuracy of every test subject, by method",
                      ("method", "subject", "points"), rows)  # fmt: skip


def subject_gains(contrast: Contrast, split: Split = "test") -> dict[str, float]:
    """Return the mean difference of accuracy of every test subject, in points."""
    gains: dict[str, list[float]] = {}
    for mine, other in contrast.runs:
        its = other.evaluations[split].per_subject
        for name, score in mine.evaluations[split].per_subject.items():
            if name in its:
                gains.setdefault(name, []).append(100 * (score.accuracy - its[name].accuracy))
    return {name: float(np.mean(values)) for name, values in sorted(gains.items())}


def title(contrast: Contrast) -> str:
    """Return a method with its cell, as a heading."""
    where = where_of(contrast)
    return contrast.a if where in ("all", contrast.a) else f"{contrast.a}, {where}"


def _left_out(contrasts: Sequence[Contrast], comparison: StudyComparison) -> str:
    left_out = len([one for one in comparison.single if one.compared]) - len(contrasts)
    return (
        f" {left_out} more differences are not shown: those that are claimed come first."
        if left_out
        else ""
    )


def _table(
    name: str,
    what: str,
    keys: Iterable[str],
    contrasts: Sequence[Contrast],
    split: Split,
    score: Callable[[str], Score],
    caption: str,
) -> Table:
    columns = (left(what), *(TableColumn(title(one), title(one), "points") for one in contrasts))
    rows = [
        Row((stated(key), *(_cell(_difference(one, split, score(key))) for one in contrasts)))
        for key in keys
    ]
    return Table(name, caption, columns, tuple(rows))


def _cell(difference: PairedDifference) -> TableCell:
    return difference_cell(difference.mean, difference.interval) if difference.pairs else EMPTY


def _difference(contrast: Contrast, split: Split, score: Score) -> PairedDifference:
    """Return the difference of a part of the evaluation, decided by folds and seeds as everything else."""
    sides: tuple[dict[tuple[str, int], float], ...] = ({}, {})
    for pair in contrast.runs:
        for side, run in zip(sides, pair, strict=True):
            value = score(run.evaluations[split])
            if value is not None:
                side[run.key] = value
    return paired_difference(*sides)
