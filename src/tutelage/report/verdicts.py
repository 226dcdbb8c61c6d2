"""What a difference, its interval and its verdict are in words; every page and command says it in these."""

from collections.abc import Sequence

from tutelage.report.wording import minus, plural
from tutelage.statistics.paired import FEWEST_UNITS, PairedDifference
from tutelage.statistics.subjects import SubjectDifference
from tutelage.study.contrasts import Contrast

__all__ = [
    "RULE",
    "contrast_sentence",
    "difference_sentence",
    "evidence_words",
    "left_after_correction",
    "p_words",
    "subject_sentence",
]

RULE = (
    "Over several folds the interval is about new people: folds are what is independent, each with the mean of "
    "its seeds. With one fold it is about this split, trained again. The verdict, and its colour, is after Holm's "
    "correction for everything compared here."
)
"""The rule of every verdict, in short; ``docs/report.md`` has it whole."""

_ABOUT = {"new people": "for new people", "this split": "for this split, trained again",
          "these folds": "for these folds, trained again"}  # fmt: skip


def evidence_words(difference: PairedDifference) -> str:
    """Say what a difference rests on.

    Examples:
        >>> from tutelage.statistics.paired import paired_difference
        >>> evidence_words(paired_difference([0.1, 0.2, 0.3], [0.0, 0.0, 0.0]))
        'n = 3 pairs'
    """
    pairs = f"n = {plural(difference.pairs, 'pair')}"
    return pairs if difference.folds < 2 else f"{difference.folds} folds, {pairs}"


def difference_sentence(
    difference: PairedDifference,
    a: str,
    b: str,
    *,
    scale: float = 100.0,
    unit: str = "points",
    lower: bool = False,
) -> str:
    """Say the verdict in one plain sentence.

    Args:
        difference: a - b, turned so that more is better.
        a: name of the first side.
        b: name of the second side.
        scale: factor from the metric to the unit; 100 turns fractions into points.
        unit: its name.
        lower: whether less of the metric is better.
    """
    if not difference.pairs:
        return f"{a} and {b} cannot be compared: no fold and seed has both."
    interval, sign = difference.interval, -scale if lower else scale
    if difference.verdict != "not distinguishable" and interval is not None:
        low, high = sorted((abs(interval.low * scale), abs(interval.high * scale)))
        size = f"{abs(difference.mean) * scale:.1f} {unit}" if scale > 1 \
            else f"{minus(abs(difference.mean) * scale, 3)} {unit}".rstrip()  # fmt: skip
        better = "lower is better; " if lower else ""
        level = f"{difference.confidence * 100:g} % interval {_ends(low, high, scale)}"
        return (
            f"{a} is {difference.verdict} than {b} by {size} ({better}{level} {_ABOUT[interval.about]}, "
            f"{evidence_words(difference)})."
        )
    shown = f"difference {minus(difference.mean * sign, _digits(scale))}"
    if interval is not None:
        low, high = sorted((interval.low * sign, interval.high * sign))
        shown += f", interval {_ends(low, high, scale)}"
    rest = _why_not(difference)
    return f"{a} and {b} are not distinguishable with {evidence_words(difference)} ({shown}).{rest}"


def _ends(low: float, high: float, scale: float) -> str:
    return f"{minus(low, _digits(scale))} to {minus(high, _digits(scale))}"


def _digits(scale: float) -> int:
    return 1 if scale > 1 else 3


def _why_not(difference: PairedDifference) -> str:
    """Say what forbids a claim, where it is not the interval."""
    if difference.units < FEWEST_UNITS:
        unit = "fold" if difference.folds > 1 else "pair"
        return f" With {plural(difference.units, unit)} nothing is claimed."
    if not difference.sd:
        return " All differences are equal, so their spread cannot be estimated."
    if difference.p_value < 1 - difference.confidence:
        return (
            f" Alone it would be claimed (p = {p_words(difference.p_value)}); after Holm's correction for "
            f"{difference.compared} comparisons p = {p_words(difference.adjusted_p)}."
        )
    return ""


def p_words(p: float) -> str:
    """Format a p value."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def contrast_sentence(contrast: Contrast, scale: float, unit: str) -> str:
    """Say a difference inside a study in one plain sentence."""
    if contrast.problem:
        return f"{contrast.a} and {contrast.b} cannot be compared: {contrast.problem}."
    if contrast.same:
        return f"{contrast.a} and {contrast.b} are the same runs."
    return difference_sentence(
        contrast.oriented, contrast.a, contrast.b, scale=scale, unit=unit, lower=contrast.lower
    )


def subject_sentence(difference: SubjectDifference, a: str, b: str) -> str:
    """Say in one plain sentence what a bootstrap over test subjects finds."""
    if difference.interval is None:
        return f"Nothing can be said of {a} and {b} for new subjects (n = {difference.subjects})."
    ends = _ends(100 * difference.interval.low, 100 * difference.interval.high, 100)
    shown = (
        f"{difference.confidence * 100:g} % interval {ends} points, {difference.subjects} subjects"
    )
    if difference.verdict == "not distinguishable":
        return f"For new subjects {a} and {b} are not distinguishable ({shown})."
    return f"For new subjects {a} is {difference.verdict} than {b} ({shown})."


def left_after_correction(
    named: Sequence[tuple[str, PairedDifference]], against: str, what: str
) -> str:
    """Say what is left after Holm's correction; empty where one thing was compared.

    Args:
        named: what is compared, and its difference.
        against: what all are compared with.
        what: they are, in the plural.
    """
    if len(named) < 2:
        return ""
    kept = [name for name, one in named if one.verdict != "not distinguishable"]
    return (
        f"{len(named)} {what}, and each has its own 5 % chance of a false claim. After Holm's correction for all "
        f"of them, still different from {against}: {', '.join(kept) or 'none'}."
    )
