"""Differences inside a study as a pandas frame."""

from collections.abc import Iterable

import pandas as pd

from tutelage.study.contrasts import Contrast

__all__ = ["contrasts_frame"]


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
