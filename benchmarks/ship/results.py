"""What the shipped students say, as a table and sentences."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tutelage.statistics.paired import Interval, PairedDifference, paired_difference
from tutelage.statistics.spreads import mean_of_folds
from tutelage.statistics.subjects import SubjectPair, subject_difference

Row = Mapping[str, Any]
Cells = dict[tuple[str, int], float]
METHODS = ("alone", "kd", "longer", "int8")


def cells(rows: Iterable[Row], key: str) -> Cells:
    """Return (fold, seed) -> value."""
    return {(row["fold"], row["seed"]): row[key] for row in rows}


def people(rows: Iterable[Row]) -> str:
    """Return the difference of accuracy, file minus run, with its interval for new people."""
    pairs = [
        SubjectPair(row["fold"], row["seed"], subject, int(n), file, run)
        for row in rows
        for subject, (n, file, run) in row["subjects"].items()
    ]
    found = subject_difference(pairs)
    return told(found.mean, found.interval)


def told(mean: float, interval: Interval | None) -> str:
    """Return a difference in points with its interval."""
    if interval is None:
        return f"{100 * mean:+.2f}"
    return f"{100 * mean:+.2f} ({100 * interval.low:+.2f} to {100 * interval.high:+.2f})"


def lost(rows: Sequence[Row]) -> PairedDifference:
    """Return macro-F1 of the files minus that of the runs."""
    return paired_difference(cells(rows, "file_macro_f1"), cells(rows, "run_macro_f1"))


def summary(rows: Sequence[Row]) -> list[str]:
    """Return the lines of the page."""
    sizes = sorted({row["size"] for row in rows}, key=lambda s: by(rows, size=s)[0]["parameters"])
    methods = [m for m in METHODS if by(rows, method=m)]
    lines = [
        f"{len(rows)} students; folds {_listed(rows, 'fold')}, seeds {_listed(rows, 'seed')}; "
        "`alone`, `kd` and `longer` are trained in floating point and quantised afterwards; `longer` and `int8` "
        "begin as `kd` and are trained three epochs more, `int8` with simulated int8, so its run is int8 already. "
        "Values in %, differences in points, file minus run: accuracy with 95 % for people who were not tested, "
        "macro-F1 with 95 % for these folds trained again.",
        "",
        "| size | method | students | accuracy of run | accuracy of int8 file | difference | macro-F1 of run "
        "| macro-F1 of int8 file | difference | equal answers | largest difference in int8 steps |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for size in sizes:
        for method in methods:
            mine = by(rows, size=size, method=method)
            if mine:
                lines.append(_row(size, method, mine))
    lines += ["", *_costs(rows, sizes, methods), "", *_sentences(rows, sizes, methods)]
    return lines


def _listed(rows: Iterable[Row], key: str) -> str:
    return ", ".join(str(value) for value in sorted({row[key] for row in rows}))


def by(rows: Iterable[Row], **wanted: str) -> list[Row]:
    """Return the rows with these values."""
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def _row(size: str, method: str, mine: Sequence[Row]) -> str:
    means = {
        key: f"{100 * mean_of_folds(cells(mine, key)):.2f}"
        for key in ("run_accuracy", "file_accuracy", "run_macro_f1", "file_macro_f1")
    }
    loss = lost(mine)
    equal = 100 * float(np.mean([row["equal"] for row in mine]))
    steps = max(row["steps"] for row in mine)
    return (
        f"| {size} | {method} | {len(mine)} | {means['run_accuracy']} | {means['file_accuracy']} | {people(mine)} "
        f"| {means['run_macro_f1']} | {means['file_macro_f1']} | {told(loss.mean, loss.again)} | {equal:.2f} "
        f"| {steps:.1f} |"
    )


def _costs(rows: Sequence[Row], sizes: Sequence[str], methods: Sequence[str]) -> list[str]:
    lines = [
        "Cost of one int8 file. Times are of one prediction here, one thread, on a machine that was busy: the "
        "smallest of the students' medians.",
        "",
        "| size | method | parameters | flash, bytes | arena, bytes | ONNX Runtime, ms | LiteRT, ms | TFLM, ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for size in sizes:
        for method in methods:
            mine = by(rows, size=size, method=method)
            if mine:
                cost = {
                    key: _typical(mine, key)
                    for key in ("flash", "arena", "onnxruntime", "litert", "tflm")
                }
                lines.append(
                    f"| {size} | {method} | {mine[0]['parameters']:,} | {cost['flash']:,.0f} "
                    f"| {cost['arena']:,.0f} | {cost['onnxruntime']:.3f} | {cost['litert']:.3f} "
                    f"| {cost['tflm']:.3f} |"
                )
    return lines


def _typical(rows: Iterable[Row], key: str) -> float:
    """Return the median of a size, the least of a time: other work on the machine only adds to it."""
    found = [row[key] for row in rows if row[key] is not None]
    if not found:
        return float("nan")
    return float(np.median(found) if key in ("flash", "arena") else np.min(found))


def _sentences(rows: Sequence[Row], sizes: Sequence[str], methods: Sequence[str]) -> list[str]:
    lines = []
    for method in methods:
        file, run = (
            _over_sizes(rows, sizes, method, key) for key in ("file_macro_f1", "run_macro_f1")
        )
        loss = paired_difference(file, run)
        lines.append(
            f"* `{method}`: int8 changes macro-F1 by {told(loss.mean, loss.again)} points in the mean over sizes "
            f"({loss.pairs} folds and seeds that all sizes have; the goal is -0.5 or better)."
        )
    lines += [_gain(rows, size) for size in sizes if by(rows, size=size, method="int8")]
    return lines


def _gain(rows: Sequence[Row], size: str) -> str:
    """Say what simulated int8 gives beside the same epochs without it."""
    plain, learned = by(rows, size=size, method="longer"), by(rows, size=size, method="int8")
    file = "file_macro_f1"
    gain, loss = paired_difference(cells(learned, file), cells(plain, file)), lost(plain)
    there = "a loss to gain back is seen" if _certain(loss) else "no loss to gain back is certain"
    return (
        f"* {size}: quantised afterwards, `longer` changes by {told(loss.mean, loss.again)}: {there}. The file of "
        f"`int8` minus that of `longer`, which had the same epochs, {gain.pairs} pairs: "
        f"{told(gain.mean, gain.again)} points of macro-F1."
    )


def _certain(loss: PairedDifference) -> bool:
    return loss.again is not None and loss.again.high < 0


def _over_sizes(rows: Sequence[Row], sizes: Sequence[str], method: str, key: str) -> Cells:
    """Return the mean over sizes of each fold and seed that all of them have."""
    each = [cells(by(rows, size=size, method=method), key) for size in sizes]
    shared = set(each[0]).intersection(*each[1:])
    return {place: float(np.mean([one[place] for one in each])) for place in sorted(shared)}
