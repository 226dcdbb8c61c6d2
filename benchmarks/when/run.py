"""When do teachers pay? The gain of every way to learn over labels of each class and size of the student.

python -m benchmarks.when.run --study runs/hapt-when

Reads a study of recipes/hapt/studies/when.yaml as far as it is complete; `tutelage study run` goes on with it, and
the same command makes table and figure anew.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.common import write
from tutelage.errors import UserError
from tutelage.report.drawing.canvas import WIDTH, canvas, save
from tutelage.report.palette import LINE, MUTED, SERIES
from tutelage.report.wording import minus, percent, signed
from tutelage.runs.ledger import Experiment
from tutelage.statistics.paired import FEWEST_UNITS, PairedDifference
from tutelage.statistics.spreads import mean_of_folds
from tutelage.study.comparison import Comparison, compare
from tutelage.study.contrasts import compare_study
from tutelage.study.ledger import StudyLedger, read_study, study_of

HERE = Path(__file__).parent
COMMAND = "python -m benchmarks.when.run --study runs/hapt-when"
METHODS = ("self", "kd", "ca-mkd", "annsp", "tpkd", "mglw-kd")
TEACHERS = ("sig", "pi")
SIZES = ("2k", "14k", "61k")
LABELS = ("5", "20", "100", "all")
WORDS = {"better": "better", "worse": "worse", "not distinguishable": "n.d."}


def accuracy(experiment: Experiment, stage: str) -> float | None:
    """Return the mean over folds of the test accuracy; None before there is any."""
    values = experiment.values(stage, lambda e: e.accuracy) if experiment.of(stage) else {}
    return mean_of_folds(values) if values else None


def gain(comparison: Comparison) -> dict[str, Any] | None:
    """Return what may be said of a comparison; nothing without pairs."""
    return numbers(comparison.difference) if comparison.difference.pairs else None


def numbers(difference: PairedDifference) -> dict[str, Any]:
    """Return difference, interval and verdict in points; an interval is about new people, from three folds on."""
    interval = difference.interval if difference.folds >= FEWEST_UNITS else None
    ends = None if interval is None else [100 * interval.low, 100 * interval.high]
    return {
        "points": 100 * difference.mean,
        "interval": ends,
        "folds": difference.folds,
        "pairs": difference.pairs,
        "verdict": difference.verdict,
        "p, Holm": difference.adjusted_p,
    }


def gains(experiment: Experiment, against: str) -> dict[str, Any]:
    """Return what every way to learn gives against a stage; corrected for all that are compared there."""
    if not experiment.of(against):
        return {}
    found = {one.student: gain(one) for one in compare(experiment, baseline=against)}
    return {name: found[name] for name in METHODS if found.get(name) is not None}


def cell_of(experiment: Experiment) -> dict[str, Any]:
    """Return all numbers of one size and number of labels."""
    stages = (*TEACHERS, "alone", *METHODS)
    return {
        "accuracy": {name: accuracy(experiment, name) for name in stages},
        "parameters": {
            name: experiment.of(name)[0].record.network.parameters
            for name in stages
            if experiment.of(name)
        },
        "minus alone": gains(experiment, "alone"),
        "minus self-training": gains(experiment, "self"),
        "damaged": damaged(experiment),
    }


def damaged(experiment: Experiment) -> dict[str, Any]:
    """Return accuracy and gains on damaged inputs, mean over kinds and draws; empty where there are none."""
    try:
        compared = compare_study(study_of(experiment), {"stage": "alone"}, "damaged")
    except UserError:
        return {}
    found = {one.a: one for one in compared.single if one.n}
    if not found:
        return {}
    first = next(iter(found.values()))
    values = {key: alone for key, (_, alone) in first.values.items()}
    return {
        "alone": mean_of_folds(values),
        "minus alone": {name: numbers(found[name].oriented) for name in METHODS if name in found},
    }


def cells(study: StudyLedger) -> dict[str, dict[str, Any]]:
    """Return size and labels -> numbers, of the cells whose student alone is there to compare with."""
    found = {}
    for size in SIZES:
        for labels in LABELS:
            for cell in study.find({"size": size, "labels": labels}):
                if cell.experiment is not None and cell.experiment.of("alone"):
                    own = cell_of(cell.experiment)
                    found[f"{size}, {labels}"] = {"size": size, "labels": labels, **own}
    return found


def told(said: Mapping[str, Any] | None) -> str:
    """Return a gain with interval and verdict, as a cell of the table."""
    if said is None:
        return ""
    if said["interval"] is None:
        return f"{signed(said['points'])} ({said['folds']} of 6 folds)"
    low, high = (minus(end) for end in said["interval"])
    folds = "" if said["folds"] == 6 else f" ({said['folds']} folds)"
    return f"{signed(said['points'])} [{low}, {high}] {WORDS[said['verdict']]}{folds}"


def table(found: Mapping[str, dict[str, Any]], against: str) -> list[list[str]]:
    """Return a row for every size and number of labels."""
    names = [name for name in METHODS if against != "minus self-training" or name != "self"]
    head = ["student, parameters", "labels of a class", "sig", "pi", "alone", *names]
    rows = []
    for cell in found.values():
        shown = [cell["accuracy"][name] for name in (*TEACHERS, "alone")]
        rows.append(
            [cell["size"], cell["labels"], *("" if value is None else percent(value) for value in shown),
             *(told(cell[against].get(name)) for name in names)]
        )  # fmt: skip
    return [head, *rows]


def draw(found: Mapping[str, dict[str, Any]], path: Path) -> None:
    """Draw gain over labels, one field for each size of the student."""
    sizes = [size for size in SIZES if any(cell["size"] == size for cell in found.values())]
    with canvas(WIDTH, 420) as figure:
        fields = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
        for axes, size in zip(fields, sizes, strict=True):
            _field(axes, size, found)
        fields[0].set_ylabel("minus the student alone, points")
        _legend(figure, fields[0])
        save(figure, path)


def _field(axes: Axes, size: str, found: Mapping[str, dict[str, Any]]) -> None:
    axes.axhline(0, color=MUTED, linewidth=1)
    axes.grid(axis="y", color=LINE)
    for number, name in enumerate(METHODS):
        points = [
            (place, found[f"{size}, {labels}"]["minus alone"].get(name))
            for place, labels in enumerate(LABELS)
            if f"{size}, {labels}" in found
        ]
        there = [(place, said) for place, said in points if said is not None]
        across = [place + 0.11 * (number - len(METHODS) / 2 + 0.5) for place, _ in there]
        middle = [said["points"] for _, said in there]
        colour = SERIES[number]
        axes.plot(across, middle, color=colour, linewidth=1, alpha=0.5)
        axes.plot(across, middle, "o", color=colour, markersize=5, label=name)
        for x, (_, said) in zip(across, there, strict=True):
            if said["interval"] is not None:
                axes.plot([x, x], said["interval"], color=colour, linewidth=2)
    axes.set_title(f"{size} parameters")
    axes.set_xticks(range(len(LABELS)), LABELS)
    axes.set_xlim(-0.5, len(LABELS) - 0.5)
    axes.set_xlabel("labels of each class")


def _legend(figure: Figure, axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=len(METHODS))


def missing(study: StudyLedger) -> dict[str, int]:
    """Return cell -> runs that it lacks."""
    wanted = len(TEACHERS) + 1 + len(METHODS)
    return {
        cell.name: 6 * wanted - (len(cell.experiment.runs) if cell.experiment else 0)
        for cell in study.cells
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--study", type=Path, default=Path("runs/hapt-when"))
    study = read_study(parser.parse_args().study)
    found = cells(study)
    draw(found, HERE / "gain.png")
    draw(found, HERE.parents[1] / "docs" / "images" / "when-gain.png")
    lacking = {name: count for name, count in missing(study).items() if count}
    said = ", ".join(f"{name} {count}" for name, count in lacking.items()) or "none"
    result = {
        "cells": found,
        "missing": f"{said} (of 54 each); `tutelage study run recipes/hapt/studies/when.yaml` goes on."
        if lacking
        else "none of 648 runs",
        "shown": "Test accuracy in %, mean over folds; gains in points with the 95 % interval for new "
        "people, decided after Holm's correction for the six ways to learn of a row; n.d. = not distinguishable. "
        "Fewer than three folds have no interval.",
    }
    write(HERE, COMMAND, result, table(found, "minus alone"))
    _against_self(found)


def _on_damaged(found: Mapping[str, dict[str, Any]]) -> list[str]:
    """Return the table on damaged inputs."""
    there = {name: cell for name, cell in found.items() if cell["damaged"]}
    if not there:
        return []
    head = ["student, parameters", "labels of a class", "alone, damaged", *METHODS]
    lines = [
        "",
        "On damaged test inputs (noise, lost samples, lost channels, rotated sensors, each of severity 3, two "
        "draws; mean), minus alone on the same damage:",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
    ]
    for cell in there.values():
        gains_there = (told(cell["damaged"]["minus alone"].get(name)) for name in METHODS)
        shown = [cell["size"], cell["labels"], percent(cell["damaged"]["alone"]), *gains_there]
        lines.append("| " + " | ".join(shown) + " |")
    return lines


def _against_self(found: Mapping[str, dict[str, Any]]) -> None:
    """Add the table against self-training, and the figure, to the page."""
    head, *rows = table(found, "minus self-training")
    lines = [
        "",
        "Minus self-training:",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
    ]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    lines += _on_damaged(found)
    lines += ["", "![Gain over labels and size](gain.png)"]
    with (HERE / "results.md").open("a") as page:
        page.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
