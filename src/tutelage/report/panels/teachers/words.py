"""What a survey of teachers says, in words: on the page and in the terminal."""

from tutelage.report.verdicts import evidence_words, subject_sentence
from tutelage.report.wording import listed, minus, percent, plural, signed
from tutelage.statistics.paired import FEWEST_UNITS, PairedDifference
from tutelage.statistics.spreads import mean_of_folds
from tutelage.study.teachers import ORACLE, TeacherSurvey

CHOSEN = (
    "Every network was chosen by its accuracy on these validation samples, so all of these numbers are a little "
    "too good, alike for teachers and student. Fitted weights are not: each person is mixed with weights that "
    "others chose."
)


def sentences(found: TeacherSurvey) -> tuple[str, ...]:
    """Return what there is to say, the verdict first."""
    parts = (verdict(found), _people(found), _together(found), _rescues(found), _left_out(found))
    return tuple(part for part in parts if part)


def verdict(found: TeacherSurvey) -> str:
    """Say whether soft targets can be expected to help."""
    gain, alone, name = found.gains[found.best], found.student, found.best
    what = "mixture" if len(found.teachers) > 1 else "teacher"
    shown = f"{signed(100 * gain.mean)} points; {_interval(gain)}{evidence_words(gain)}"
    if gain.verdict == "better":
        return (
            f"The best {what} ({name}) is {minus(100 * gain.mean)} points above {alone} on validation "
            f"({_interval(gain)}{evidence_words(gain)})."
        )
    if gain.mean <= 0:
        return (
            f"No {what} is better than {alone} on validation: expect nothing from soft targets on these subjects "
            f"(the best, {name}: {shown}).{_not_excluded(gain)}"
        )
    return (
        f"Whether soft targets can help is not decided here: the best {what} ({name}) and {alone} are not "
        f"distinguishable on validation ({shown})."
    )


def _not_excluded(gain: PairedDifference) -> str:
    """Say what an interval leaves open that reaches beyond a point."""
    if gain.units < FEWEST_UNITS or gain.interval is None:
        return " That is too little evidence to say anything of other people."
    high = gain.interval.high
    return f" A gain of up to {minus(100 * high)} points is not excluded." if high > 0.01 else ""


def _interval(gain: PairedDifference) -> str:
    if gain.interval is None:
        return ""
    low, high = (signed(100 * end) for end in (gain.interval.low, gain.interval.high))
    about = "new people" if gain.question == "new people" else "this split, trained again"
    return f"95 % {low} to {high} for {about}, "


def _people(found: TeacherSurvey) -> str:
    return (
        ""
        if found.subjects is None
        else subject_sentence(found.subjects, found.best, found.student)
    )


def _together(found: TeacherSurvey) -> str:
    def mean(name: str) -> str:
        return f"{percent(mean_of_folds(found.accuracy[name]))} %"

    alone = listed([f"{name} {mean(name)}" for name in (found.student, *found.teachers)])
    if len(found.teachers) == 1:
        return f"Accuracy on validation: {alone}."
    return (
        f"Accuracy on validation: {alone}; together {mean(found.best)}; if the right teacher were asked each "
        f"time, {mean(ORACLE)}."
    )


def _rescues(found: TeacherSurvey) -> str:
    whole = found.overall
    if not whole.errors:
        return f"{found.student} makes no error on validation."
    shares = [f"{name} {percent(whole.by[name] / whole.errors, 0)} %" for name in found.teachers]
    text = f"Of {plural(whole.errors, 'error')} of {found.student}, right are: {listed(shares)}"
    if len(shares) > 1:
        text += f"; at least one teacher {percent(whole.any / whole.errors, 0)} %"
    harm = [f"{name} {percent(found.harm[name])} %" for name in found.teachers]
    return f"{text}. Of what {found.student} has right, wrong are: {listed(harm)}."


def _left_out(found: TeacherSurvey) -> str:
    changes = {name: found.without(name) for name in found.teachers}
    told = [
        f"without {name} {signed(100 * one.mean)} points ({_interval(one)}{evidence_words(one)})"
        for name, one in changes.items()
        if one is not None
    ]
    return f"Fitted weights with a teacher left out: {listed(told)}." if told else ""
