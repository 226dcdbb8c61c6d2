"""The numbers of a survey: each teacher and mixture, who rescues whom, who agrees with whom."""

from collections.abc import Callable, Mapping

from tutelage.report.cells import EMPTY, difference_cell
from tutelage.report.table import Row, Table, TableCell, TableColumn, counted, left, stated
from tutelage.report.wording import minus, percent
from tutelage.statistics.paired import paired_difference
from tutelage.statistics.spreads import mean_of_folds, spread
from tutelage.study.teachers import ORACLE, Rescue, TeacherSurvey, without


def tables(found: TeacherSurvey, number: int = 1) -> tuple[Table, ...]:
    """Return the tables of a survey, the first of the page without a number in its name."""
    end = "" if number == 1 else f"-{number}"
    groups = [("class", found.by_class), ("subject", found.by_subject)]
    return (
        knowledge(found, f"teachers{end}"),
        *(_rescued(found, of, rows, f"rescues-{of}{end}") for of, rows in groups if rows),
        _agreeing(found, f"agreement{end}"),
    )


def knowledge(found: TeacherSurvey, name: str) -> Table:
    """Return accuracy, gain, loss, calibration, rescues and weights of each teacher and mixture."""
    mixtures = [name for name in found.candidates if name not in found.teachers]
    left_out = [without(name) for name in found.teachers if without(name) in found.accuracy]
    everyone = (found.student, *found.teachers, *mixtures, *left_out, ORACLE)
    columns = (
        left("who"), TableColumn("accuracy", "accuracy", "%"),
        TableColumn("gain", f"minus {found.student}", "points"),
        TableColumn("loss", "loss", "nats"), TableColumn("calibration_error", "ECE", "%"),
        TableColumn("rescues", "right where it errs", "%"),
        TableColumn("harms", "wrong where it is right", "%"),
        TableColumn("weight", "fitted weight"), TableColumn("stated", "the recipe's weight"),
    )  # fmt: skip
    caption = (
        "On validation samples, mean over folds of the mean over seeds ± pooled seed SD. Gain: paired over folds "
        f"and seeds, with its own 95 % interval. Of {found.student}, errors that a teacher has right, and right "
        "answers that it has wrong. Fitted weights make the true classes of other people likeliest. "
        "Oracle: some teacher is right."
    )
    return Table(name, caption, columns, tuple(Row(_knows(found, who)) for who in everyone))


def _knows(found: TeacherSurvey, who: str) -> tuple[TableCell, ...]:
    errors, teacher = found.overall.errors, who in found.teachers
    gain = found.gains.get(who) or paired_difference(
        found.accuracy[who], found.accuracy[found.student]
    )
    return (
        stated(who),
        _mean(found.accuracy[who], percent),
        EMPTY if who == found.student else difference_cell(gain.mean, gain.interval),
        _mean(found.loss.get(who), lambda value: minus(value, 3)),
        _mean(found.calibration.get(who), percent),
        _share(found.overall.by[who] / errors) if teacher and errors else EMPTY,
        _share(found.harm[who]) if teacher else EMPTY,
        _number(found.weights, who),
        _number(found.stated, who),
    )


def _mean(
    values: Mapping[tuple[str, int], float] | None, show: Callable[[float], str]
) -> TableCell:
    if values is None:
        return EMPTY
    mean, sd = mean_of_folds(values), spread(values, "pooled").value
    return TableCell(show(mean), mean, sub="" if not sd else f"± {show(sd)}", spread=sd)


def _share(value: float) -> TableCell:
    return TableCell(percent(value), value)


def _number(weights: Mapping[str, float] | None, who: str) -> TableCell:
    value = None if weights is None else weights.get(who)
    return EMPTY if value is None else TableCell(minus(value, 2), value)


def _rescued(found: TeacherSurvey, of: str, rows: Mapping[str, Rescue], name: str) -> Table:
    """Return how many errors each teacher has right, of each class or subject."""
    columns = (
        left(of), TableColumn("n", "samples"), TableColumn("errors", f"errors of {found.student}"),
        *(TableColumn(teacher, teacher, "%") for teacher in found.teachers),
        TableColumn("any", "any teacher", "%"),
    )  # fmt: skip
    caption = (
        f"Who rescues whom: of the errors of {found.student} in each {of}, the share that a teacher has "
        "right; all folds and seeds together; a stronger colour is more."
    )
    made = []
    for group, one in rows.items():
        counts = [one.by[teacher] for teacher in found.teachers] + [one.any]
        shares = [_heat(count, one.errors) for count in counts]
        made.append(Row((stated(group), counted(one.n), counted(one.errors), *shares)))
    return Table(name, caption, columns, tuple(made))


def _heat(count: int, errors: int) -> TableCell:
    if not errors:
        return EMPTY
    share = count / errors
    return TableCell(percent(share, 0), share, heat=share, note=f"{count} of {errors}")


def _agreeing(found: TeacherSurvey, name: str) -> Table:
    """Return how often two networks give the same answer."""
    everyone = (found.student, *found.teachers)
    columns = (left("who"), *(TableColumn(other, other, "%") for other in everyone))
    rows = tuple(
        Row((stated(a), *(EMPTY if a == b else _share(found.agreement[a, b]) for b in everyone)))
        for a in everyone
    )
    caption = "Samples of which two networks say the same class, right or wrong; all folds and seeds together."
    return Table(name, caption, columns, rows)
