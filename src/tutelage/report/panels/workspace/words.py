"""What the figures of a workspace show, in words; differences below one percent point are called none."""

import numpy as np
from numpy.typing import NDArray

from tutelage.report.panels.workspace.data import (
    Slots,
    Workspace,
    by_class,
    effective,
    overlap,
    times_even,
)
from tutelage.report.wording import listed, minus, percent, plural, significant
from tutelage.runs.traces import Course

Floats = NDArray[np.float64]

POINT = 0.01
"""Shares that differ by less are called equal."""
SAME_PLACE = 0.95
"""Slots with this share of their place in common are said to look at the same part."""
COPIES = 0.99
"""With this share of all places in common, and shares that are even for every class, slots are called copies."""
FLAT = 0.1
"""A place that is this near to an even use is called even."""


def over_epochs(workspace: Workspace) -> str:
    """Say whether distances fell, how many slots are in use, and what the teachers' slots add."""
    parts = (_distances(workspace), _in_use(workspace), _gap(workspace))
    return " ".join(part for part in parts if part)


def shares(slots: Slots) -> str:
    """Say which slot binds most for which class, from each teacher and for the student."""
    told = [f"An even use would be {percent(1 / slots.count, 0)} % in every slot."]
    told += [f"From {name}: {_preference(values, slots)}." for name, values in slots.bound.items()]
    told.append(f"Read with teachers: {_preference(slots.read, slots)}.")
    if slots.alone is not None:
        told.append(f"Read as deployed: {_preference(slots.alone, slots)}.")
    if all(_flat(values, slots) for values in (*slots.bound.values(), slots.read)):
        common = _in_common(slots).values()
        copies = bool(common) and min(common) >= COPIES
        told.append("No slot stands for a class.")
        if copies:
            told.append("Nothing here tells the slots apart: they share their places, too.")
    return " ".join(told)


def positions(slots: Slots) -> str:
    """Say whether slots divide a window among them, and which teacher cannot be drawn."""
    known, parts = _in_common(slots), []
    if known:
        shown = listed([f"{percent(value, 0)} % for {name}" for name, value in known.items()])
        divided = [name for name, value in known.items() if value < SAME_PLACE]
        verdict = (
            f"slots look at different parts for {listed(divided)}" if divided
            else "they do not divide it among them"
        )  # fmt: skip
        parts.append(f"Two slots of a sample have of their places in common: {shown}; {verdict}.")
    missing = [name for name in slots.bound if name not in slots.positions]
    if missing:
        parts.append(
            f"Not drawn: {listed(missing)}. Where a teacher has another number of tokens than the workspace, they "
            "are mixed before they are bound, and none stays in one place."
        )
    return " ".join(parts)


def over_time(slots: Slots) -> str:
    """Say which slot prefers which part of a window, for which class."""
    if slots.own_positions is None:
        return ""
    mean = by_class(times_even(slots.own_positions), slots.samples.labels, len(slots.classes))
    if float(np.nanmax(np.abs(mean - 1))) < FLAT:
        cut = " Windows are cut anywhere in an activity." if mean.ndim == 3 else ""
        even = f"every value is within {percent(FLAT, 0)} % of an even use."
        return f"No slot prefers a part on average: {even}{cut}"
    alike = overlap(mean[np.unique(slots.samples.labels)]) >= SAME_PLACE
    c, k, *at = (int(i) for i in np.unravel_index(int(np.nanargmax(mean)), mean.shape))
    who = "all slots alike" if alike else f"slot {k + 1}"
    value = minus(float(np.nanmax(mean)), 1)
    edge = any(i in (0, side - 1) for i, side in zip(at, mean.shape[2:], strict=True))
    where = " at the edge, where the network pads" if edge else ""
    return f"Strongest: {who} for {slots.classes[c]}{where}, {value} times an even use."


def which(slots: Slots, fold: str) -> str:
    """Say which run is shown, and that no other is."""
    many = plural(len(slots.samples.labels), "validation sample")
    return (
        f"One run: {fold}, seed {slots.run.seed}, the first that was inspected; after its last epoch, {many}. "
        "Slots of other runs stand in another order and are not averaged."
    )


def _distances(workspace: Workspace) -> str:
    known = [
        course
        for course in workspace.distances
        if len(course.mean) and np.isfinite(course.mean[-1])
    ]
    if not known:
        return ""
    nearest = min(known, key=lambda course: float(course.mean[-1]))
    parts = [
        f"{course.name} {significant(float(course.mean[-1]))}{_after(course)}" for course in known
    ]
    last = f" {nearest.name} is the nearest." if len(known) > 1 else ""
    return f"Distance in the last epoch: {listed(parts)}.{last}"


def _after(course: Course) -> str:
    if len(course.mean) < 2 or not np.isfinite(course.mean[0]):
        return ""
    return f" (first {significant(float(course.mean[0]))})"


def _in_use(workspace: Workspace) -> str:
    known = [
        course for course in workspace.in_use if len(course.mean) and np.isfinite(course.mean[-1])
    ]
    if not known:
        return ""
    parts = [f"{minus(course.mean[-1], 1)} {f'from {course.name}' if course.name else 'by the student'}"
             for course in known]  # fmt: skip
    return f"Slots in use: {listed(parts)}."


def _gap(workspace: Workspace) -> str:
    last = {course.name: float(course.mean[-1]) for course in workspace.accuracy}
    if not {"with", "train"} <= last.keys():
        return ""
    return (
        f"On the training samples of the last epoch the student was right in {percent(last['with'])} % with its "
        f"teachers' slots and in {percent(last['train'])} % as it is deployed."
    )


def _in_common(slots: Slots) -> dict[str, float]:
    """Return what two slots of a sample have of their places in common, by who is looked at."""
    own = {} if slots.own_positions is None else {"the student": slots.own_positions}
    common = {name: overlap(values) for name, values in (own | slots.positions).items()}
    return {name: value for name, value in common.items() if np.isfinite(value)}


def _cells(values: Floats, slots: Slots) -> Floats:
    return by_class(values, slots.samples.labels, len(slots.classes))


def _flat(values: Floats, slots: Slots) -> bool:
    return bool(np.nanmax(np.abs(_cells(values, slots) - 1 / slots.count)) < POINT)


def _preference(values: Floats, slots: Slots) -> str:
    cells, overall = _cells(values, slots), values.mean(axis=0)
    if _flat(values, slots):
        return "every slot alike, for every class"
    k = int(np.argmax(overall))
    if slots.count > 1 and float(effective(overall)) < 1.5:
        return f"nearly everything in slot {k + 1} ({percent(float(overall[k]), 0)} %)"
    if float((np.nanmax(cells, axis=0) - np.nanmin(cells, axis=0)).max()) < POINT:
        return f"most in slot {k + 1} ({percent(float(overall[k]), 0)} %), for every class alike"
    c, k = (int(i) for i in np.unravel_index(int(np.nanargmax(cells)), cells.shape))
    return f"most in slot {k + 1}, for {slots.classes[c]} ({percent(float(cells[c, k]), 0)} %)"
