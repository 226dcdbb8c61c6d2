"""What the figures of recorded weights show, in words; weights equal to two digits are called equal."""

import numpy as np

from tutelage.report.wording import listed, percent, plural
from tutelage.runs.traces import Trust
from tutelage.statistics.paired import minus

NAMED = 3
"""So many classes are named; of the rest the number is given."""


def over_epochs(found: Trust) -> str:
    """Say which teacher was trusted most, and in how many samples."""
    if not np.isfinite(found.last).any():
        return "No finite weight was recorded in the last epoch."
    return " ".join(part for part in (_leader(found), _others(found), _samples(found)) if part)


def by_class(found: Trust) -> str:
    """Say for which classes the teacher that was trusted most counted most and least."""
    parts = (_range(found), _exceptions(found), _unseen(found))
    return " ".join(part for part in parts if part)


def _text(value: float) -> str:
    return minus(value, 2)


def _leaders(found: Trust) -> list[str]:
    best = _text(found.last[found.leader])
    return [
        name for name, value in zip(found.teachers, found.last, strict=True)
        if np.isfinite(value) and _text(value) == best
    ]  # fmt: skip


def _leader(found: Trust) -> str:
    k, leaders = found.leader, _leaders(found)
    weight = f"{_text(found.last[k])} on average in the last epoch"
    if len(leaders) > 1:
        how = "alike" if len(leaders) == len(found.teachers) else "most"
        return f"{listed(leaders)} were trusted {how}: {weight} each."
    if len(found.courses[k].epochs) > 1 and np.isfinite(found.first[k]):
        first, last = _text(found.first[k]), _text(found.last[k])
        weight += ", as in the first" if first == last else f", after {first} in the first"
    how = "is the only teacher" if len(found.teachers) == 1 else "was trusted most"
    return f"{leaders[0]} {how}: {weight}."


def _others(found: Trust) -> str:
    leaders = _leaders(found)
    order = sorted(np.flatnonzero(np.isfinite(found.last)), key=lambda k: -found.last[k])
    named = [f"{found.teachers[k]} ({_text(found.last[k])})" for k in order
             if found.teachers[k] not in leaders]  # fmt: skip
    return f"Then {'comes' if len(named) == 1 else 'come'} {listed(named)}." if named else ""


def _samples(found: Trust) -> str:
    top = found.top
    if top is None or len(top) == 1:
        return ""
    shares = [f"{found.teachers[k]} {percent(top[k])} %" for k in np.argsort(-top, kind="stable")]
    where = "" if found.top_runs == found.runs else f", {found.top_runs} of {found.runs} runs"
    return f"Top teacher of single samples, last epoch{where}: {', '.join(shares)}."


def _range(found: Trust) -> str:
    """Say where the leading teacher counted most and least."""
    known = np.isfinite(found.by_class)
    k = found.leader
    if not known[:, k].any():
        return ""
    if len({_text(value) for value in found.by_class[known[:, k], k]}) == 1:
        return f"{found.teachers[k]} counted the same for every class."
    high, low = int(np.nanargmax(found.by_class[:, k])), int(np.nanargmin(found.by_class[:, k]))
    most, least = _text(found.by_class[high, k]), _text(found.by_class[low, k])
    return (
        f"{found.teachers[k]} was trusted most for {found.classes[high]} ({most}), least for "
        f"{found.classes[low]} ({least})."
    )


def _exceptions(found: Trust) -> str:
    """Name the classes that trusted another teacher more than the one that leads on the whole."""
    other = []
    for name, weights in zip(found.classes, found.by_class, strict=True):
        if not np.isfinite(weights[found.leader]):
            continue
        k = int(np.nanargmax(weights))
        if _text(weights[k]) != _text(weights[found.leader]):
            text = f"{name} ({found.teachers[k]}, {_text(weights[k])})"
            other.append((weights[found.leader] - weights[k], text))
    named = [text for _, text in sorted(other, key=lambda one: one[0])]
    return f"Another teacher came first for {_some(named)}." if named else ""


def _unseen(found: Trust) -> str:
    names = [name for name, weights in zip(found.classes, found.by_class, strict=True)
             if not np.isfinite(weights).any()]  # fmt: skip
    return f"No weights were recorded for {_some(names)}." if names else ""


def _some(names: list[str]) -> str:
    more = len(names) - NAMED
    return listed(names[:NAMED] + ([plural(more, "more class")] if more > 0 else []))
