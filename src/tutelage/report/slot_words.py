"""What the figures of a workspace show, in words; differences below one percent point are called none."""

import numpy as np
from numpy.typing import NDArray

from tutelage.report.wording import (
    listed,
    percent,
    plural,
    significant,
)
from tutelage.runs.traces import Course
from tutelage.runs.workspace import (
    Slots,
    Workspace,
    by_class,
    effective,
    overlap,
    times_even,
)
from tutelage.statistics.paired import minus

Floats = NDArray[np.float64]

POINT = 0.01
"""Shares that differ by less are called equal."""
SAME_PLACE = 0.95
"""Slots with this share of their place in common are said to look at the same part."""
COPIES = 0.99
"""With this share of all places in common, and shares that are even for every class, slots are called copies."""
FLAT = 0.1
"""A place that is this near to an even use is called even."""


def over_epochs(found: Workspace) -> str:
    """Say whether distances fell, how many slots are in use, and what the teachers' slots add."""
    parts = (_distances(found), _in_use(found), _gap(found))
    return " ".join(part for part in parts if part)


def shares(found: Slots) -> str:
    """Say which slot binds most for which class, from each teacher and for the student."""
    told = [f"An even use would be {percent(1 / found.count, 0)} % in every slot."]
    told += [f"From {name}: {_preference(values, found)}." for name, values in found.bound.items()]
    told.append(f"Read with teachers: {_preference(found.read, found)}.")
    if found.alone is not None:
        told.append(f"Read as deployed: {_preference(found.alone, found)}.")
    if all(_flat(values, found) for values in (*found.bound.values(), found.read)):
        common = _in_common(found).values()
        copies = bool(common) and min(common) >= COPIES
        told.append("No slot stands for a class.")
        if copies:
            told.append("Nothing here tells the slots apart: they share their places, too.")
    return " ".join(told)


def places(found: Slots) -> str:
    """Say whether slots divide a window among them, and which teacher cannot be drawn."""
    known, parts = _in_common(found), []
    if known:
        shown = listed([f"{percent(value, 0)} % for {name}" for name, value in known.items()])
        divided = [name for name, value in known.items() if value < SAME_PLACE]
        verdict = (
            f"slots look at different parts for {listed(divided)}" if divided
            else "they do not divide it among them"
        )  # fmt: skip
        parts.append(f"Two slots of a sample have of their places in common: {shown}; {verdict}.")
    missing = [name for name in found.bound if name not in found.places]
    if missing:
        parts.append(
            f"Not drawn: {listed(missing)}. Where a teacher has another number of tokens than the workspace, they "
            "are mixed before they are bound, and none stays in one place."
        )
    return " ".join(parts)


def over_time(found: Slots) -> str:
    """Say which slot prefers which part of a window, for which class."""
    if found.place is None:
        return ""
    mean = by_class(times_even(found.place), found.samples.labels, len(found.classes))
    if float(np.nanmax(np.abs(mean - 1))) < FLAT:
        cut = " Windows are cut anywhere in an activity." if mean.ndim == 3 else ""
        even = f"every value is within {percent(FLAT, 0)} % of an even use."
        return f"No slot prefers a part on average: {even}{cut}"
    alike = overlap(mean[np.unique(found.samples.labels)]) >= SAME_PLACE
    c, k, *at = (int(i) for i in np.unravel_index(int(np.nanargmax(mean)), mean.shape))
    who = "all slots alike" if alike else f"slot {k + 1}"
    value = minus(float(np.nanmax(mean)), 1)
    edge = any(i in (0, side - 1) for i, side in zip(at, mean.shape[2:], strict=True))
    where = " at the edge, where the network pads" if edge else ""
    return f"Strongest: {who} for {found.classes[c]}{where}, {value} times an even use."


def which(found: Slots, fold: str) -> str:
    """Say which run is shown, and that no other is."""
    many = plural(len(found.samples.labels), "validation sample")
    return (
        f"One run: {fold}, seed {found.run.seed}, the first that was inspected; after its last epoch, {many}. "
        "Slots of other runs stand in another order and are not averaged."
    )


def _distances(found: Workspace) -> str:
    known = [one for one in found.distances if len(one.mean) and np.isfinite(one.mean[-1])]
    if not known:
        return ""
    nearest = min(known, key=lambda one: float(one.mean[-1]))
    parts = [f"{one.name} {significant(float(one.mean[-1]))}{_after(one)}" for one in known]
    last = f" {nearest.name} is the nearest." if len(known) > 1 else ""
    return f"Distance in the last epoch: {listed(parts)}.{last}"


def _after(one: Course) -> str:
    if len(one.mean) < 2 or not np.isfinite(one.mean[0]):
        return ""
    return f" (first {significant(float(one.mean[0]))})"


def _in_use(found: Workspace) -> str:
    known = [one for one in found.in_use if len(one.mean) and np.isfinite(one.mean[-1])]
    if not known:
        return ""
    parts = [f"{minus(one.mean[-1], 1)} {f'from {one.name}' if one.name else 'by the student'}"
             for one in known]  # fmt: skip
    return f"Slots in use: {listed(parts)}."


def _gap(found: Workspace) -> str:
    last = {one.name: float(one.mean[-1]) for one in found.accuracy}
    if not {"with", "train"} <= last.keys():
        return ""
    return (
        f"On the training samples of the last epoch the student was right in {percent(last['with'])} % with its "
        f"teachers' slots and in {percent(last['train'])} % as it is deployed."
    )


def _in_common(found: Slots) -> dict[str, float]:
    """Return what two slots of a sample have of their places in common, by who is looked at."""
    own = {} if found.place is None else {"the student": found.place}
    common = {name: overlap(values) for name, values in (own | found.places).items()}
    return {name: value for name, value in common.items() if np.isfinite(value)}


def _cells(values: Floats, found: Slots) -> Floats:
    return by_class(values, found.samples.labels, len(found.classes))


def _flat(values: Floats, found: Slots) -> bool:
    return bool(np.nanmax(np.abs(_cells(values, found) - 1 / found.count)) < POINT)


def _preference(values: Floats, found: Slots) -> str:
    cells, overall = _cells(values, found), values.mean(axis=0)
    if _flat(values, found):
        return "every slot alike, for every class"
    k = int(np.argmax(overall))
    if found.count > 1 and float(effective(overall)) < 1.5:
        return f"nearly everything in slot {k + 1} ({percent(float(overall[k]), 0)} %)"
    if float((np.nanmax(cells, axis=0) - np.nanmin(cells, axis=0)).max()) < POINT:
        return f"most in slot {k + 1} ({percent(float(overall[k]), 0)} %), for every class alike"
    c, k = (int(i) for i in np.unravel_index(int(np.nanargmax(cells)), cells.shape))
    return f"most in slot {k + 1}, for {found.classes[c]} ({percent(float(cells[c, k]), 0)} %)"
