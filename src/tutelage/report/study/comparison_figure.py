"""The differences of a study as one picture: every pair, the mean and its intervals, cell by cell."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tutelage.report.drawing.canvas import WIDTH, Drawing, canvas, finish, save
from tutelage.report.drawing.forest import ForestRow, IntervalBar, forest
from tutelage.report.palette import MUTED
from tutelage.report.wording import short, signed
from tutelage.study.aggregate import Aggregation
from tutelage.study.contrasts import Contrast, StudyComparison

ROW = 52
LINES = (
    ("again", "these folds, trained again", 6.0, 0.35),
    ("decides", "the interval that decides", 2.2, 1.0),
)


def contrast_figure(
    comparison: StudyComparison, unit: str, png: Path | None = None
) -> Drawing | None:
    """Draw every difference that has a pair; below a line the means over cells.

    Args:
        comparison: what was compared.
        unit: of a difference, in words.
        png: where the picture is written as well.

    Returns:
        The drawing, or None where nothing shares a fold and seed.
    """
    single, over = (
        [contrast for contrast in contrasts if contrast.compared]
        for contrasts in (comparison.single, comparison.over_cells)
    )
    over = over if len(single) > 1 else []
    shown = [*single, *over]
    if not shown:
        return None
    how = Aggregation(metric=comparison.metric, split=comparison.split)
    rows: list[tuple[object, ...]] = []
    with canvas(WIDTH, 96 + ROW * len(shown)) as figure:
        axes = figure.subplots()
        named = len({contrast.a for contrast in shown}) > 1
        forest_rows = [
            _row(contrast, _name(contrast, named), how.scale, rows) for contrast in shown
        ]
        what = f"{how.metric_title} on {comparison.split}"
        across = f"difference to {short(comparison.against)} in {unit}, {what}"
        forest(axes, forest_rows, across, above=0.3)
        if over:
            axes.axhline(len(single) - 0.5, color=MUTED, linewidth=0.8, linestyle=(0, (2, 3)))
        _legend(figure, axes)
        if png is not None:
            save(figure, png)
        return finish(figure, "contrasts", f"Differences to {comparison.against} with 95 % intervals",
                      ("comparison", "cell", "what", "low_or_value", "high"), rows)  # fmt: skip


def _row(contrast: Contrast, name: str, scale: float, drawn: list[tuple[object, ...]]) -> ForestRow:
    which = (f"{contrast.a} - {contrast.b}", contrast.where)
    pairs = {key: scale * (a - b) for key, (a, b) in contrast.values.items()}
    mean = scale * contrast.mean
    drawn.append((*which, "difference", mean, ""))
    drawn += [
        (*which, f"fold {fold} seed {seed}", value, "") for (fold, seed), value in pairs.items()
    ]
    bars = []
    for kind, _, width, alpha in LINES:
        interval = contrast.interval if kind == "decides" else contrast.again
        if interval is not None:
            low, high = scale * interval.low, scale * interval.high
            drawn.append((*which, f"{kind} interval", low, high))
            bars.append(IntervalBar(low, high, 0.0, width, alpha))
    shown = signed(mean, 1 if scale > 1 else 3)
    return ForestRow(name, mean, shown, tuple(pairs.values()), bars, contrast.verdict)


def _name(contrast: Contrast, several: bool) -> str:
    where = contrast.where or contrast.stage
    return (
        f"{short(contrast.a)} ({where})"
        if several and where != contrast.a
        else short(where or contrast.a)
    )


def _legend(figure: Figure, axes: Axes) -> None:
    marks = [
        axes.plot([], [], color=MUTED, linewidth=width, alpha=alpha, label=f"95 %, {label}")[0]
        for _, label, width, alpha in LINES
    ]
    marks.append(axes.plot([], [], "o", color=MUTED, alpha=0.55, markersize=4, label="a pair")[0])  # fmt: skip
    figure.legend(handles=marks, loc="outside upper left", ncols=3)
