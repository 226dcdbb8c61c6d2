"""Paired differences with both intervals and every pair."""

from collections.abc import Sequence

from tutelage.report.drawing.canvas import WIDTH, Drawing, canvas, finish
from tutelage.report.drawing.forest import ForestRow, IntervalBar, forest
from tutelage.report.wording import short, signed
from tutelage.study.comparison import Comparison


def differences(comparisons: Sequence[Comparison]) -> Drawing:
    """Draw every student that has pairs; thick: the interval that decides, thin: test subjects drawn anew."""
    drawn: list[tuple[object, ...]] = []
    with canvas(WIDTH, 76 + 64 * len(comparisons)) as figure:
        rows = [_row(comparison, drawn) for comparison in comparisons]
        across = f"difference to {short(comparisons[0].baseline)}, points of accuracy"
        forest(figure.subplots(), rows, across, above=0.26)
        return finish(figure, "forest", "Paired differences to the baseline with 95 % intervals",
                      ("student", "what", "low_or_value", "high"), drawn)  # fmt: skip


def _row(comparison: Comparison, drawn: list[tuple[object, ...]]) -> ForestRow:
    pairs, name = comparison.difference, comparison.student
    drawn.append((name, "difference", 100 * pairs.mean, ""))
    values = []
    for mine, other in comparison.pairs:
        a, b = (run.evaluations["test"].accuracy for run in (mine, other))
        values.append(100 * (a - b))
        drawn.append((name, f"pair {mine.key[0]} seed {mine.key[1]}", values[-1], ""))
    lines = [("decides", pairs.interval, 0.0, 7.0, 1.0)]
    if comparison.subjects is not None:
        lines.append(("subjects drawn anew", comparison.subjects.interval, 0.20, 2.2, 0.9))
    bars = []
    for what, interval, below, width, alpha in lines:
        if interval is not None:
            low, high = 100 * interval.low, 100 * interval.high
            drawn.append((name, what, low, high))
            bars.append(IntervalBar(low, high, below, width, alpha))
    mean = 100 * pairs.mean
    return ForestRow(short(name), mean, signed(mean), values, bars, pairs.verdict)
