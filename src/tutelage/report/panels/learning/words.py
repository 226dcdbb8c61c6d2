"""What the figure of shares shows, in words."""

import numpy as np

from tutelage.report.panels.learning.data import Pull
from tutelage.report.wording import listed, percent, plural, significant
from tutelage.runs.traces import Course

DROWNING = 10
"""So many times the labels' share is worth a sentence, as in ``tutelage check``."""


def sentence(pull: Pull) -> str:
    """Say how shares went, what drowns the labels, and what pulls against them."""
    parts = (_course(pull), _drowned(pull), _conflict(pull), _settled(pull))
    return " ".join(part for part in (*parts, f"{plural(pull.runs, 'run')}.") if part)


def _course(pull: Pull) -> str:
    told = [
        f"{each.name} {percent(each.mean[0], 0)} to {percent(each.mean[-1], 0)} %"
        for each in pull.shares
    ]
    return f"Share, first to last measured epoch: {listed(told)}."


def _drowned(pull: Pull) -> str:
    """Name objectives that are more than ten times as strong as the weakest reference, the labels."""
    labels = _labels(pull)
    if labels is None:
        return ""
    loud = [
        f"{each.name} ({np.max(each.mean / np.maximum(labels.mean, 1e-12)):.0f} times)"
        for each in pull.shares
        if each is not labels and np.max(each.mean / np.maximum(labels.mean, 1e-12)) > DROWNING
    ]
    return f"At times more than ten times as strong as the labels: {listed(loud)}." if loud else ""


def _labels(pull: Pull) -> Course | None:
    """Return the objective that cosines are taken with: the one that has none."""
    compared = {each.name for each in pull.cosines}
    rest = [each for each in pull.shares if each.name not in compared]
    return rest[0] if compared and len(rest) == 1 else None


def _conflict(pull: Pull) -> str:
    against = [each.name for each in pull.cosines if float(np.mean(each.mean)) < 0]
    return f"On average against the labels: {listed(against)}." if against else ""


def _settled(pull: Pull) -> str:
    told = []
    for name, values in pull.settled.items():
        low, high = (significant(value, 3) for value in (min(values), max(values)))
        told.append(f"{name} {low}" if low == high else f"{name} {low} to {high}")
    return (
        f"Coefficients that were settled as a share of the gradient: {listed(told)}."
        if told
        else ""
    )
