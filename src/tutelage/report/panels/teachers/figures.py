"""What the mixtures of teachers are worth beside the student alone."""

from tutelage.report.drawing.canvas import WIDTH, Drawing, canvas, finish
from tutelage.report.drawing.forest import ForestRow, IntervalBar, forest
from tutelage.report.wording import short, signed
from tutelage.study.teachers import TeacherSurvey


def gains(found: TeacherSurvey, name: str) -> Drawing:
    """Draw each mixture minus the student alone; thick: the interval that decides."""
    drawn: list[tuple[object, ...]] = []
    rows = [_row(found, who, drawn) for who in found.candidates]
    with canvas(WIDTH, 76 + 64 * len(rows)) as figure:
        across = f"difference to {short(found.student)} on validation, points of accuracy"
        forest(figure.subplots(), rows, across, above=0.26)
        label = f"Mixtures of teachers minus {found.student}, with 95 % intervals"
        return finish(figure, name, label, ("who", "what", "low_or_value", "high"), drawn)


def _row(found: TeacherSurvey, who: str, drawn: list[tuple[object, ...]]) -> ForestRow:
    gain, alone = found.gains[who], found.accuracy[found.student]
    mean = 100 * gain.mean
    drawn.append((who, "difference", mean, ""))
    pairs = {key: 100 * (value - alone[key]) for key, value in found.accuracy[who].items()}
    drawn += [(who, f"pair {fold} seed {seed}", value, "") for (fold, seed), value in pairs.items()]
    bars = []
    if gain.interval is not None:
        low, high = 100 * gain.interval.low, 100 * gain.interval.high
        drawn.append((who, "decides", low, high))
        bars.append(IntervalBar(low, high, 0.0, 7.0, 1.0))
    return ForestRow(short(who, 22), mean, signed(mean), list(pairs.values()), bars, gain.verdict)
