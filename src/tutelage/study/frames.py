"""Differences inside a study as a pandas frame."""

from collections.abc import Iterable

import pandas as pd

from tutelage.study.contrasts import Contrast

__all__ = ["contrasts_frame", "contrasts_text"]

_SHOWN = ["a", "difference", "low", "high", "about", "pairs", "folds", "adjusted_p", "verdict"]


def contrasts_frame(contrasts: Iterable[Contrast]) -> pd.DataFrame:
    """Return a row of each difference, in the unit of the metric: a minus b, its intervals and its verdict."""
    rows = []
    for one in contrasts:
        decides, again = one.interval, one.again
        rows.append({
            "where": one.where, "stage": one.stage, "a": one.a, "b": one.b, "difference": one.mean,
            "low": decides and decides.low, "high": decides and decides.high,
            "about": decides and decides.about, "again_low": again and again.low,
            "again_high": again and again.high, "pairs": one.n, "folds": one.folds,
            "p": one.oriented.p_value, "adjusted_p": one.adjusted_p, "verdict": one.verdict,
            "problem": one.problem,
        })  # fmt: skip
    return pd.DataFrame(rows)


def contrasts_text(frame: pd.DataFrame, heading: str) -> str:
    """Return the rows as text; where they stand in a study is shown where there is more than one place."""
    if frame.empty:
        return heading
    where = [name for name in ("stage", "where") if frame[name].nunique() > 1]
    rows = frame[where + _SHOWN].to_string(index=False, float_format="{:+.4f}".format)
    return f"{heading}\n{rows}"
