"""Does bf16 earn its place? The demo's students in bf16 autocast and in float32, over the recipe's seeds.

python -m benchmarks.precision.run --runs runs

Teachers and float32 students are taken from ``make demo`` where they are there already.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from benchmarks.common import write
from tutelage.execution.run import execute
from tutelage.execution.workers import RunConfig
from tutelage.recipe.config import load
from tutelage.statistics.paired import paired_difference

RECIPE = Path("recipes/hapt/three-teachers.yaml")
STAGES = ("alone", "base")
NOTE = (
    "All pairs share five test subjects, and two of them share each seed, so the interval is about these "
    "subjects and is too narrow. bf16 costs no accuracy here; where the processor has no bf16 arithmetic (see "
    "Machine) it costs time, so the recipe says float32."
)


def results(folder: Path) -> dict[str, dict[int, dict[str, float]]]:
    found: dict[str, dict[int, dict[str, float]]] = {stage: {} for stage in STAGES}
    for run in json.loads((folder / "experiment.json").read_text())["runs"]:
        if run["stage"] not in STAGES:
            continue
        path = folder / run["path"]
        seconds = [json.loads(line)["seconds"] for line in (path / "timing.jsonl").open()]
        found[run["stage"]][run["seed"]] = {
            "accuracy": json.loads((path / "evaluation.json").read_text())["test"]["accuracy"],
            "seconds": float(np.median(seconds)),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--jobs", type=int, default=0)
    options = parser.parse_args()
    places = RunConfig(options.runs, jobs=options.jobs)
    found = {}
    for precision in ("32-true", "bf16-mixed"):
        recipe = load(RECIPE)
        kept = {
            name: stage for name, stage in recipe.stages.items() if name not in ("ann", "annsp")
        }
        for stage in STAGES:
            change = {"train": kept[stage].train | {"precision": precision}}
            kept[stage] = kept[stage].model_copy(update=change)
        recipe = recipe.model_copy(update={"stages": kept})
        found[precision] = results(execute(recipe, f"precision-{precision}", places))
    table = [
        ["stage", "precision", "test accuracy by seed, %", "mean", "seconds an epoch (median)"]
    ]
    for stage in STAGES:
        for precision in found:
            rows = [found[precision][stage][seed] for seed in sorted(found[precision][stage])]
            values = [100 * row["accuracy"] for row in rows]
            seconds = float(np.median([row["seconds"] for row in rows]))
            table.append(
                [
                    stage,
                    precision,
                    ", ".join(f"{v:.1f}" for v in values),
                    f"{np.mean(values):.2f}",
                    f"{seconds:.2f}",
                ]
            )
    pairs = [(s, k) for s in STAGES for k in sorted(found["32-true"][s])]
    difference = paired_difference(
        [found["bf16-mixed"][s][k]["accuracy"] for s, k in pairs],
        [found["32-true"][s][k]["accuracy"] for s, k in pairs],
    )
    note = difference.sentence("bf16", "float32")
    write(
        Path(__file__).parent,
        "python -m benchmarks.precision.run --runs runs",
        {"runs": found, "difference": note, "note": NOTE},
        table,
    )


if __name__ == "__main__":
    main()
