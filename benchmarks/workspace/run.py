"""mGLW-KD on real data: beside KD, CA-MKD and Annsp, with its traces.

python -m benchmarks.workspace.run --pairs 0:0 1:1 2:2 3:0 4:1 5:2 --runs runs

Reads the runs of ``benchmarks.method_matrix`` (the same pairs of fold and seed) and trains what is missing.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import write
from benchmarks.method_matrix.run import Key, carry_out, compare, interval, pair
from benchmarks.methods import groups
from tutelage.execution.workers import RunConfig
from tutelage.report.drawing.canvas import canvas
from tutelage.report.palette import SERIES
from tutelage.statistics.paired import holm

RECIPES = Path("recipes/hapt")
RIVALS = ("alone", "kd", "ca-mkd", "three-teachers-annsp")
OWN = ("mglw-kd-two", "mglw-kd-three")
COLORS = dict(zip(("sig", "pi", "gaf"), SERIES, strict=False))


def evaluations(runs: Path, pairs: Sequence[Key], stage: str) -> list[dict[str, Any]]:
    """Return evaluation and epochs of the stage's runs, in the order of the pairs."""
    found = []
    for fold, seed in pairs:
        (folder,) = runs.glob(
            f"matrix-hapt-*-seed-{seed}/fold-{fold + 1}-of-*/{stage}/seed-{seed}-*"
        )
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        found.append(json.loads((folder / "evaluation.json").read_text()) | {
            "epochs": [json.loads(line) for line in lines]})  # fmt: skip
    return found


def spread(values: Sequence[float], scale: float = 100, digits: int = 1) -> str:
    mean, deviation = scale * statistics.mean(values), scale * statistics.stdev(values)
    return f"{mean:.{digits}f} ± {deviation:.{digits}f}"


def traces(found: list[dict[str, Any]]) -> dict[str, list[list[float]]]:
    """Return name -> epochs x runs, of the distances and the coefficient."""
    names = [name for name in found[0]["epochs"][0]["traces"]
             if name.startswith(("workspace.distance.", "workspace.soft.weight."))]  # fmt: skip
    return {
        name.removeprefix("workspace.").removeprefix("soft."): [
            [run["epochs"][epoch]["traces"][name]["mean"] for run in found]
            for epoch in range(len(found[0]["epochs"]))
        ]
        for name in names
    }


def draw(courses: dict[str, dict[str, list[list[float]]]], path: Path) -> None:
    with canvas(1044, 300) as figure:
        figure.get_layout_engine().set(wspace=0.06)
        axes = figure.subplots(1, 4)
        place = 0
        for stage, found in courses.items():
            for kind, title in (
                ("distance", "distance to each teacher"),
                ("weight", "coefficient"),
            ):
                panel = axes[place]
                place += 1
                for name, values in found.items():
                    if not name.startswith(kind):
                        continue
                    color = COLORS[name.partition(".")[2]]
                    table = np.array(values)
                    epochs = np.arange(1, len(table) + 1)
                    panel.fill_between(
                        epochs, table.min(1), table.max(1), color=color, alpha=0.15, lw=0
                    )
                    panel.plot(epochs, table.mean(1), color=color, label=name.partition(".")[2])
                panel.set_title(f"{stage.removeprefix('mglw-kd-')} teachers: {title}", fontsize=10)
                panel.set_xlabel("epoch")
                panel.set_ylim(bottom=0)
                panel.legend(frameon=False)
        figure.savefig(path, metadata={"Date": None, "Creator": None})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=pair, nargs="+", default=[(f, f % 3) for f in range(6)])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--jobs", type=int, default=0)
    options = parser.parse_args()
    files = [RECIPES / f"{name}.yaml" for name in ("kd", "ca-mkd", "three-teachers", "mglw-kd")]
    ((group,), places) = groups(files), RunConfig(options.runs, jobs=options.jobs)
    found = carry_out(group, options.pairs, places, "matrix-hapt-0")
    values = {stage: {key: run["accuracy"] for key, run in found[stage].items()}
              for stage in (*RIVALS, *OWN)}  # fmt: skip
    tested = 1 / group.recipe.split["folds"]
    head = ["student", "runs", "test accuracy, mean ± SD, %"]
    head += [f"minus {rival}, points" for rival in RIVALS]
    columns = {}
    for rival in RIVALS:
        against = {own: compare(values[own], values[rival], tested) for own in OWN}
        adjusted = holm({name: r.p_value for name, r in against.items() if r is not None})
        columns[rival] = {name: interval(r, adjusted.get(name)) for name, r in against.items()}
    table = [head]
    for stage in (*RIVALS, *OWN):
        own = list(values[stage].values())
        table.append(
            [stage, str(len(own)), spread(own), *(columns[r].get(stage, "") for r in RIVALS)]
        )
    read = {stage: evaluations(options.runs, options.pairs, stage) for stage in OWN}
    modes = [
        "| student | initial slots (deployed) | ema slots | plain | validation | with its teachers, training |",
        "|---|---|---|---|---|---|",
    ]
    for stage, runs in read.items():
        variants = [
            [run["test"]["variants"][m]["accuracy"] for run in runs] for m in ("ema_slots", "plain")
        ]
        taught = [run["epochs"][-1]["traces"]["workspace.correct"]["mean"] for run in runs]
        cells = [[run["test"]["accuracy"] for run in runs], *variants,
                 [run["validation"]["accuracy"] for run in runs], taught]  # fmt: skip
        modes.append("| " + " | ".join([stage, *map(spread, cells)]) + " |")
    courses = {stage: traces(runs) for stage, runs in read.items()}
    epochs = []
    for stage, course in courses.items():
        epochs += ["", f"{stage}, mean ± SD over runs:", "", "| epoch | " + " | ".join(course) + " |",
                   "|" + "---|" * (len(course) + 1)]  # fmt: skip
        for number, rows in enumerate(zip(*course.values(), strict=True), start=1):
            epochs.append(f"| {number} | " + " | ".join(spread(row, 1, 3) for row in rows) + " |")
    folder = Path(__file__).parent
    draw(courses, folder / "traces.svg")
    pairs = " ".join(f"{fold}:{seed}" for fold, seed in options.pairs)
    result = {"values": {s: {f"{f}:{k}": v for (f, k), v in one.items()} for s, one in values.items()},
              "traces": courses, "rows": table}  # fmt: skip
    write(folder, f"python -m benchmarks.workspace.run --pairs {pairs}", result, table)
    with (folder / "results.md").open("a") as file:
        text = "Test accuracy by what a prediction reads, %, mean ± SD over runs:"
        file.write(
            "\n".join(
                [
                    "",
                    text,
                    "",
                    *modes,
                    *epochs,
                    "",
                    "![traces](traces.svg)",
                    "",
                    "Lines: mean over runs; bands: lowest to highest run.",
                    "",
                ]
            )
        )


if __name__ == "__main__":
    main()
