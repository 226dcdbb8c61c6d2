"""Every method on real data, paired with the lone student over folds (held-out subjects) and seeds.

python -m benchmarks.method_matrix.run --recipes recipes/hapt --pairs 0:0 1:1 2:2 3:0 4:1 5:2

A pair is fold:seed. Each method's stage is taken from its own recipe file; recipes with the same data and split
share teachers and the lone student. Complete runs are found, not repeated: the table may be grown pair by pair.
"""

import argparse
import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.common import write
from benchmarks.method_matrix.forest import accuracy as forest_accuracy
from benchmarks.method_matrix.published import PUBLISHED
from benchmarks.methods import Group, groups
from tutelage.data import home
from tutelage.execution.run import execute
from tutelage.execution.workers import RunConfig
from tutelage.recipe.data_spec import DataSpec, load_data
from tutelage.recipe.fold import Fold
from tutelage.statistics.paired import PairedDifference, holm, paired_difference

Key = tuple[int, int]


def pair(text: str) -> Key:
    fold, _, seed = text.partition(":")
    return int(fold), int(seed)


def carry_out(group: Group, pairs: list[Key], places: RunConfig, name: str) -> dict[str, Any]:
    """Return stage -> (fold, seed) -> what its run found; a stage without a complete run is left out."""
    found: dict[str, dict[Key, dict[str, float]]] = {}
    for seed in sorted({seed for _, seed in pairs}):
        folds = sorted(fold for fold, own in pairs if own == seed)
        recipe = group.recipe.model_copy(update={"folds": folds, "seeds": [seed]})
        folder = execute(recipe, f"{name}-seed-{seed}", places)
        for run in json.loads((folder / "experiment.json").read_text())["runs"]:
            path = folder / run["path"]
            if not (path / "evaluation.json").exists():
                continue
            test = json.loads((path / "evaluation.json").read_text())["test"]
            times = [json.loads(line)["seconds"] for line in (path / "timing.jsonl").open()]
            found.setdefault(run["stage"], {})[run["fold"], seed] = {
                "accuracy": test["accuracy"],
                "macro_f1": test["macro_f1"],
                "nll": test["nll"],
                "seconds": statistics.median(times),
                "seed": run["seed"],
            }
    return found


def forests(group: Group, pairs: list[Key], cache: Path) -> dict[Key, float]:
    """Return the forest's accuracy per pair; kept in a file, because it takes as long as a run."""
    dataset = load_data(group.recipe.data, home(), None)
    kept = cache / "forest.json"
    known = json.loads(kept.read_text()) if kept.exists() else {}
    found = {}
    for fold, seed in pairs:
        data = Fold.of(DataSpec.of(group.recipe), dataset, fold, cache)
        key = f"{data.hash}-{seed}"
        if key not in known:
            known[key] = forest_accuracy(data, seed)
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(known))
        found[fold, seed] = known[key]
    return found


def compare(
    own: Mapping[Key, float], other: Mapping[Key, float], tested: float | None
) -> PairedDifference | None:
    keys = sorted(own.keys() & other.keys())
    if len(keys) < 2:
        return None
    return paired_difference([own[k] for k in keys], [other[k] for k in keys], test_fraction=tested)


def interval(result: PairedDifference | None, adjusted: float | None) -> str:
    if result is None or result.interval is None:
        return "one pair"
    low, high = 100 * result.interval.low, 100 * result.interval.high
    text = f"{100 * result.mean:+.1f} [{low:+.1f}, {high:+.1f}]"
    if result.verdict == "not distinguishable" or (adjusted is not None and adjusted > 0.05):
        return f"{text} n.d."
    return f"{text} {result.verdict}"


def rows_of(
    group: Group,
    found: Mapping[str, Any],
    forest: Mapping[Key, float],
    tested: float | None,
    published: Mapping[str, str],
) -> Any:
    def values(stage: str) -> dict[Key, float]:
        return {key: run["accuracy"] for key, run in found.get(stage, {}).items()}

    stages, used = group.recipe.stages, set(group.recipe.teachers())
    # An expert of some classes is tested on them alone: its accuracy is no rival of the others'.
    whole = [name for name in stages if not stages[name].classes]
    rivals = {"alone": values("alone"), "forest": forest}
    columns = {}
    for rival, theirs in rivals.items():
        against = {
            name: compare(values(name), theirs, tested)
            for name in whole
            if theirs and name != rival
        }
        adjusted = holm({n: r.p_value for n, r in against.items() if r is not None})
        columns[rival] = {n: interval(r, adjusted.get(n)) for n, r in against.items()}
    others = [name for name in stages if name not in ("alone", *group.methods)]
    rows = []
    for name in ("alone", *group.methods, *others):
        own = values(name)
        if not own:
            rows.append([name, "0", "no complete run", "", "", "", published.get(name, "")])
            continue
        # A teacher with a seed of its own is one network, however many students it taught.
        networks = {(key[0], run["seed"]): run["accuracy"] for key, run in found[name].items()}
        repeated = len(networks) < len(own)
        accuracies = [100 * value for value in networks.values()]
        spread = f" ± {statistics.stdev(accuracies):.1f}" if len(accuracies) > 1 else ""
        label = name if name not in used or name == "alone" else f"{name} (teacher)"
        if stages[name].classes:
            label += f", tested on its {len(stages[name].classes)} classes"
        rows.append(
            [
                label,
                str(len(networks)),
                f"{statistics.mean(accuracies):.1f}{spread}",
                f"{100 * statistics.mean(r['macro_f1'] for r in found[name].values()):.1f}",
                "" if repeated else columns["alone"].get(name, ""),
                "" if repeated else columns["forest"].get(name, ""),
                published.get(name, ""),
            ]
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--recipes", type=Path, default=Path("recipes/hapt"))
    parser.add_argument("--pairs", type=pair, nargs="+", default=[(0, 0), (1, 1), (2, 2)])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--jobs", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="names of recipe files, without .yaml")
    parser.add_argument("--set", nargs="*", default=[], help="key.path=value for every recipe")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    paths = [
        path
        for path in options.recipes.glob("*.yaml")
        if not options.only or path.stem in options.only
    ]
    head = ["method", "runs", "test accuracy, mean ± SD, %", "macro-F1, %", "minus alone, points",
            "minus forest, points", "published (where, protocol)"]  # fmt: skip
    places = RunConfig(options.runs, jobs=options.jobs)
    published = PUBLISHED.get(options.recipes.name, {})
    table, records = [head], {}
    for number, group in enumerate(groups(paths, options.set)):
        name = f"matrix-{options.recipes.name}-{number}"
        found = carry_out(group, options.pairs, places, name)
        wearable = group.recipe.data["type"] in ("Hapt", "Pamap2")
        forest = forests(group, options.pairs, options.runs / ".forest") if wearable else {}
        # Folds share training data, so their differences vary together: the interval is widened for it.
        tested = 1 / group.recipe.split.get("of", group.recipe.split)["folds"] if wearable else None
        if number:
            table.append([f"**other data or split: {', '.join(group.methods)}**", *[""] * 6])
        table += rows_of(group, found, forest, tested, published)
        if forest:
            mean = f"{100 * statistics.mean(forest.values()):.1f}"
            table.append(["random forest", str(len(forest)), mean, "", "", "", ""])
        records[name] = {
            stage: {f"{f}:{s}": run for (f, s), run in runs.items()}
            for stage, runs in found.items()
        } | {"forest": {f"{f}:{s}": value for (f, s), value in forest.items()}}
    folder = options.out or Path(__file__).parent / options.recipes.name
    folder.mkdir(parents=True, exist_ok=True)
    pairs = " ".join(f"{fold}:{seed}" for fold, seed in options.pairs)
    command = f"python -m benchmarks.method_matrix.run --recipes {options.recipes} --pairs {pairs}"
    if options.only:
        command += f" --only {' '.join(options.only)}"
    if options.set:
        command += f" --set {' '.join(options.set)}"
    note = (
        "Paired over folds and seeds; 95 % t intervals over the pairs (Nadeau and Bengio's correction where folds "
        "share training data), verdicts after Holm's correction over a column; n.d. = not distinguishable. Epochs "
        "are chosen on validation samples, the test samples are seen once. A small budget: rankings at the "
        "published budgets may differ."
    )
    write(folder, command, {"rows": table, "runs": records, "note": note}, table)


if __name__ == "__main__":
    main()
