"""How good are networks that are trained for a length chosen by validation, without validation?

Three ways to the last network, on the same folds and seeds, by test accuracy:

* best: the best epoch on validation, as a study keeps it;
* cut: the long schedule, stopped at the median of the best epochs;
* scaled: a schedule as long as that median, kept to its end (what ``tutelage ship --refit`` does).

Commands::

    tutelage run benchmarks/refit_length/recipe.yaml --runs runs --name refit-length
    tutelage run benchmarks/refit_length/recipe.yaml train.epochs=7 train.select=last \\
        --runs runs --name refit-scaled
    python -m benchmarks.refit_length.measure runs
"""

import json
import sys
from pathlib import Path

import numpy as np

from tutelage.runs.ledger import read_experiment
from tutelage.statistics.paired import paired_difference
from tutelage.statistics.spreads import mean_of_folds

HERE = Path(__file__).parent


def measure(runs: Path) -> dict:
    long = {run.key: run for run in read_experiment(runs / "refit-length").of("alone")}
    short = read_experiment(runs / "refit-scaled").of("alone")
    best = {key: run.record.selected.epoch for key, run in long.items()}
    curves = {key: [epoch.test["accuracy"] for epoch in run.curve()] for key, run in long.items()}
    median = int(np.median([epoch + 1 for epoch in best.values()]) + 0.5)
    ways = {
        "best": {key: curve[best[key]] for key, curve in curves.items()},
        "cut": {key: curve[median - 1] for key, curve in curves.items()},
        "scaled": {run.key: run.curve()[-1].test["accuracy"] for run in short},
        "whole": {key: curve[-1] for key, curve in curves.items()},
    }
    assert all(len(run.curve()) == median for run in short), "trained for another length"
    found = {"epochs": sorted(epoch + 1 for epoch in best.values()), "median": median, "test": {}}
    for name, values in ways.items():
        gain = paired_difference(values, ways["best"])
        found["test"][name] = {
            "accuracy": mean_of_folds(values),
            "minus_best": gain.mean,
            "interval": [gain.interval.low, gain.interval.high],
        }
    gain = paired_difference(ways["scaled"], ways["cut"])
    found["scaled_minus_cut"] = [gain.mean, gain.interval.low, gain.interval.high]
    return found


def lines(found: dict) -> list[str]:
    rows = [
        "# How long to train on everybody",
        "",
        "HAPT, `SeparableNet` 16, 12 epochs, 3 folds x 3 seeds. Best epochs on validation: "
        f"{', '.join(map(str, found['epochs']))}; median {found['median']}. Commands: `measure.py`.",
        "",
        "| network | test accuracy % | minus best on validation, points (95 % for new people) |",
        "|---|---|---|",
    ]
    words = {
        "best": "best epoch on validation",
        "cut": f"epoch {found['median']} of the long schedule",
        "scaled": f"schedule of {found['median']} epochs, its last",
        "whole": "last of 12 epochs",
    }
    for name, row in found["test"].items():
        low, high = (100 * end for end in row["interval"])
        gain = (
            f"{100 * row['minus_best']:+.2f} ({low:+.2f} to {high:+.2f})" if name != "best" else "–"
        )
        rows.append(f"| {words[name]} | {100 * row['accuracy']:.2f} | {gain} |")
    mean, low, high = (100 * value for value in found["scaled_minus_cut"])
    rows += ["", f"Scaled minus cut: {mean:+.2f} points ({low:+.2f} to {high:+.2f})."]
    return [*rows, ""]


if __name__ == "__main__":
    results = measure(Path(sys.argv[1]))
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "results.md").write_text("\n".join(lines(results)))
