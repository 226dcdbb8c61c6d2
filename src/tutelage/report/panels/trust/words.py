"""What the figures of recorded weights show, in words; weights equal to two digits are called equal."""

import numpy as np

from tutelage.report.wording import listed, minus, percent, plural
from tutelage.runs.traces import Trust

NAMED = 3
"""So many classes are named; of the rest the number is given."""


def over_epochs(trust: Trust) -> str:
    """Say which teacher was trusted most, and in how many samples."""
    if not np.isfinite(trust.last).any():
        return "No finite weight was recorded in the last epoch."
    return " ".join(part for part in (_leader(trust), _others(trust), _samples(trust)) if part)


def by_class(trust: Trust) -> str:
    """Say for which classes the teacher that was trusted most counted most and least."""
    parts = (_range(trust), _exceptions(trust), _unseen(trust))
    return " ".join(part for part in parts if part)


def _text(value: float) -> str:
    return minus(value, 2)


def _leaders(trust: Trust) -> list[str]:
    best = _text(trust.last[trust.leader])
    return [
        name for name, value in zip(trust.teachers, trust.last, strict=True)
        if np.isfinite(value) and _text(value) == best
    ]  # fmt: skip


def _leader(trust: Trust) -> str:
    k, leaders = trust.leader, _leaders(trust)
    weight = f"{_text(trust.last[k])} on average in the last epoch"
    if len(leaders) > 1:
        how = "alike" if len(leaders) == len(trust.teachers) else "most"
        return f"{listed(leaders)} were trusted {how}: {weight} each."
    if len(trust.courses[k].epochs) > 1 and np.isfinite(trust.first[k]):
        first, last = _text(trust.first[k]), _text(trust.last[k])
        weight += ", as in the first" if first == last else f", after {first} in the first"
    how = "is the only teacher" if len(trust.teachers) == 1 else "was trusted most"
    return f"{leaders[0]} {how}: {weight}."


def _others(trust: Trust) -> str:
    leaders = _leaders(trust)
    order = sorted(np.flatnonzero(np.isfinite(trust.last)), key=lambda k: -trust.last[k])
    named = [f"{trust.teachers[k]} ({_text(trust.last[k])})" for k in order
             if trust.teachers[k] not in leaders]  # fmt: skip
    return f"Then {'comes' if len(named) == 1 else 'come'} {listed(named)}." if named else ""


def _samples(trust: Trust) -> str:
    top = trust.top
    if top is None or len(top) == 1:
        return ""
    shares = [f"{trust.teachers[k]} {percent(top[k])} %" for k in np.argsort(-top, kind="stable")]
    where = "" if trust.top_runs == trust.runs else f", {trust.top_runs} of {trust.runs} runs"
    return f"Top teacher of single samples, last epoch{where}: {', '.join(shares)}."


def _range(trust: Trust) -> str:
    """Say where the leading teacher counted most and least."""
    known = np.isfinite(trust.by_class)
    k = trust.leader
    if not known[:, k].any():
        return ""
    if len({_text(value) for value in trust.by_class[known[:, k], k]}) == 1:
        return f"{trust.teachers[k]} counted the same for every class."
    high, low = int(np.nanargmax(trust.by_class[:, k])), int(np.nanargmin(trust.by_class[:, k]))
    most, least = _text(trust.by_class[high, k]), _text(trust.by_class[low, k])
    return (
        f"{trust.teachers[k]} was trusted most for {trust.classes[high]} ({most}), least for "
        f"{trust.classes[low]} ({least})."
    )


def _exceptions(trust: Trust) -> str:
    """Name the classes that trusted another teacher more than the one that leads on the whole."""
    other = []
    for name, weights in zip(trust.classes, trust.by_class, strict=True):
        if not np.isfinite(weights[trust.leader]):
            continue
        k = int(np.nanargmax(weights))
        if _text(weights[k]) != _text(weights[trust.leader]):
            text = f"{name} ({trust.teachers[k]}, {_text(weights[k])})"
            other.append((weights[trust.leader] - weights[k], text))
    named = [text for _, text in sorted(other, key=lambda pair: pair[0])]
    return f"Another teacher came first for {_some(named)}." if named else ""


def _unseen(trust: Trust) -> str:
    names = [name for name, weights in zip(trust.classes, trust.by_class, strict=True)
             if not np.isfinite(weights).any()]  # fmt: skip
    return f"No weights were recorded for {_some(names)}." if names else ""


def _some(names: list[str]) -> str:
    more = len(names) - NAMED
    return listed(names[:NAMED] + ([plural(more, "more class")] if more > 0 else []))
